//! Cancels: at any stage, within one step, keeping what was computed.

use runabout_engine::{CancelReason, FinishReason, scripted::ScriptedModel};

use super::*;

#[test]
fn cancel_during_prefill_keeps_the_prefix() {
    let mut model = ScriptedModel::hashing();
    let (recording, gate) = (model.recording(), model.gate());
    let engine = start_with(model, EngineOptions { prefill_chunk: 8, ..options() });
    let prompt = "a prompt of thirty-two tokens...";
    let job = submit(&engine, prompt, |_| {});
    gate.pass();
    gate.arrived();
    engine.cancel(job.id, CancelReason::Cancelled);
    gate.release();
    let events = job.events_to_end();
    assert_eq!(events.prefill, [(0, 32, 0), (8, 32, 0), (16, 32, 0)]);
    let finish = events.end.unwrap();
    assert_eq!((finish.reason, finish.text.as_str()), (FinishReason::Cancelled, ""));
    assert_eq!((finish.usage.prompt_tokens, finish.usage.completion_tokens), (32, 0));
    // Two steps, but not a third.
    assert_eq!(recording.take().len(), 2);

    drop(gate);
    let finish = submit(&engine, prompt, |_| {}).finish();
    assert_eq!(finish.usage.cached_tokens, 16);
    let fed = recording.take();
    assert_eq!((fed[0].start, fed[0].tokens.clone()), (16, bytes("ty-two t")));
    assert_eq!(finish.text, alone(prompt, 4));
}

#[test]
fn a_cancel_during_decode_ends_with_the_text_so_far_including_held_back_text() {
    let mut model = ScriptedModel::saying("abcST and more");
    let gate = model.gate();
    let engine = start(model);
    let job = submit(&engine, "p", |job| {
        job.max_tokens = 100;
        job.stop = vec!["STOP".to_owned()];
    });
    for _ in 0..4 {
        gate.pass();
    }
    gate.arrived();
    engine.cancel(job.id, CancelReason::Cancelled);
    gate.release();
    let events = job.events_to_end();
    // "S" and "T" could have been the beginning of the stop string, so they were held back.
    assert_eq!(events.deltas, ["a", "b", "c", "ST"]);
    let finish = events.end.unwrap();
    assert_eq!((finish.text.as_str(), finish.reason), ("abcST", FinishReason::Cancelled));
    assert_eq!(finish.tokens, bytes("abcST"));
}

#[test]
fn a_superseded_job_has_that_finish_reason() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let engine = start(model);
    let job = submit(&engine, "p", |job| job.max_tokens = 100);
    gate.arrived();
    engine.cancel(job.id, CancelReason::Superseded);
    gate.release();
    assert_eq!(job.finish().reason, FinishReason::Superseded);
}

#[test]
fn cancel_of_a_waiting_job_does_not_wait_for_the_running_step() {
    let mut model = ScriptedModel::hashing();
    let (recording, gate) = (model.recording(), model.gate());
    let engine = start(model);
    let running = submit(&engine, "runs", |job| job.max_tokens = 1);
    gate.arrived();
    let waiting = submit(&engine, "waits", |_| {});
    engine.cancel(waiting.id, CancelReason::Cancelled);
    // The model is still inside its step.
    let finish = waiting.finish();
    assert_eq!((finish.reason, finish.usage.prompt_tokens), (FinishReason::Cancelled, 5));
    gate.release();
    running.finish();
    assert_eq!(recording.spans().len(), 1);
}

#[test]
fn cancel_of_a_waiting_job_inside_the_engine_takes_effect_within_a_step() {
    let mut model = ScriptedModel::hashing();
    let (recording, gate) = (model.recording(), model.gate());
    let engine = start_with(model, one_at_a_time());
    let running = submit(&engine, "runs", |job| job.max_tokens = 3);
    gate.arrived();
    let waiting = submit(&engine, "waits", |_| {});
    gate.release();
    gate.arrived();
    engine.cancel(waiting.id, CancelReason::Cancelled);
    gate.release();
    assert_eq!(waiting.finish().reason, FinishReason::Cancelled);
    gate.pass();
    running.finish();
    assert!(recording.spans().iter().all(|span| span.tokens != bytes("waits")));
}

#[test]
fn cancel_while_the_model_loads_is_answered_at_once() {
    let (go_on, wait_here) = std::sync::mpsc::channel::<()>();
    let engine = Engine::spawn(options(), move |_| {
        wait_here.recv().unwrap();
        Ok(in_mode(ScriptedModel::hashing()).loaded())
    })
    .unwrap();
    let (cancelled, kept) = (submit(&engine, "cancelled", |_| {}), submit(&engine, "kept", |_| {}));
    engine.cancel(cancelled.id, CancelReason::Cancelled);
    assert_eq!(cancelled.finish().reason, FinishReason::Cancelled);
    assert!(matches!(engine.state(), State::Loading(_)));
    go_on.send(()).unwrap();
    assert_eq!(kept.finish().text, alone("kept", 4));
}

#[test]
fn a_dropped_receiver_cancels_its_job_and_the_prefix_is_kept() {
    let mut model = ScriptedModel::hashing();
    let (recording, gate) = (model.recording(), model.gate());
    let engine = start(model);
    let job = submit(&engine, "no client left", |job| job.max_tokens = 1000);
    gate.pass();
    gate.arrived();
    drop(job);
    gate.release();
    drop(gate);
    let finish = submit(&engine, "no client left here", |_| {}).finish();
    assert_eq!(finish.usage.cached_tokens, 14);
    // The 14 tokens took two steps of prefill; the thousand tokens of decode were not computed.
    let n_before: usize = recording.spans().iter().take_while(|span| span.start < 14).count();
    assert_eq!(n_before, 2);
    assert!(recording.spans().len() < 10);
}

#[test]
fn cancel_of_an_unknown_or_ended_job_does_nothing() {
    let engine = start(ScriptedModel::saying("ok"));
    let job = submit(&engine, "p", |_| {});
    let id = job.id;
    job.finish();
    engine.cancel(id, CancelReason::Cancelled);
    engine.cancel(JobId(999), CancelReason::Cancelled);
    assert_eq!(submit(&engine, "q", |_| {}).finish().text, "ok");
}
