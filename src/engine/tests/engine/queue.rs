//! Jobs that are refused, and the engine's shutdown.

use runabout_engine::{FinishReason, scripted::ScriptedModel};

use super::*;

#[test]
fn jobs_beyond_the_limit_of_waiting_ones_are_refused() {
    let mut model = ScriptedModel::saying("ok");
    let gate = model.gate();
    let engine = start_with(model, EngineOptions { max_queued: 2, ..one_at_a_time() });
    let running = submit(&engine, "runs", |_| {});
    gate.arrived();
    gate.release();
    gate.arrived();
    let waiting = [submit(&engine, "w1", |_| {}), submit(&engine, "w2", |_| {})];
    assert_eq!(engine.status().n_waiting, 2);
    let refused = submit(&engine, "w3", |_| {});
    assert!(matches!(refused.error(), JobError::Overloaded { n_queued: 2 }));
    // Inside the engine they count too.
    gate.release();
    gate.arrived();
    assert_eq!(engine.status().n_waiting, 2);
    assert!(matches!(submit(&engine, "w4", |_| {}).error(), JobError::Overloaded { n_queued: 2 }));
    drop(gate);
    assert_eq!(running.finish().text, "ok");
    for job in waiting {
        assert_eq!(job.finish().text, "ok");
    }
    assert_eq!(submit(&engine, "w5", |_| {}).finish().text, "ok");
}

#[test]
fn a_client_that_floods_the_engine_delays_no_other() {
    let mut model = ScriptedModel::saying("ok");
    let gate = model.gate();
    let recording = model.recording();
    let options = EngineOptions { max_queued: 2, max_running_for_others: 1, ..one_at_a_time() };
    let engine = start_with(model, options);
    let running = submit(&engine, "runs", |_| {});
    gate.arrived();
    let waiting = [submit(&engine, "a", |_| {}), submit(&engine, "b", |_| {})];
    assert!(matches!(submit(&engine, "c", |_| {}).error(), JobError::Overloaded { n_queued: 2 }));
    let other = submit(&engine, "other", |job| job.client = ClientId(1));
    drop(gate);
    for job in [running, other].into_iter().chain(waiting) {
        assert_eq!(job.finish().text, "ok");
    }
    // It did not wait for the jobs that came before it.
    let fed: Vec<_> = recording.spans().into_iter().map(|it| it.tokens).collect();
    let place = |it: &str| fed.iter().position(|tokens| *tokens == bytes(it)).expect("it ran");
    assert!(place("other") < place("a"), "{fed:?}");
}

#[test]
fn a_prompt_that_leaves_no_room_for_a_token_is_refused_with_the_limit() {
    let mut model = ScriptedModel::saying("ok");
    model.description.context_length = 8;
    let engine = start(model);
    let error = submit(&engine, "12345678", |_| {}).error();
    assert!(matches!(error, JobError::PromptTooLong { n_tokens: 8, limit: 7 }));
    // Prefill alone needs no room for a token.
    assert_eq!(submit(&engine, "12345678", |job| job.max_tokens = 0).finish().usage.prompt_tokens, 8);
    let error = submit(&engine, "123456789", |job| job.max_tokens = 0).error();
    assert!(matches!(error, JobError::PromptTooLong { n_tokens: 9, limit: 8 }));
    assert_eq!(submit(&engine, "1234567", |_| {}).finish().reason, FinishReason::Length);
}

#[test]
fn a_prompt_that_is_too_long_is_refused_without_waiting() {
    let mut model = ScriptedModel::saying("ok");
    model.description.context_length = 8;
    let gate = model.gate();
    let engine = start(model);
    let running = submit(&engine, "runs", |_| {});
    gate.arrived();
    let refused = submit(&engine, "much too long", |_| {});
    gate.release();
    assert!(matches!(refused.error(), JobError::PromptTooLong { .. }));
    drop(gate);
    running.finish();
}

#[test]
fn a_job_without_tokens_is_an_error_not_a_hang() {
    let engine = start(ScriptedModel::saying("ok"));
    assert!(matches!(submit(&engine, "", |_| {}).error(), JobError::StepFailed { .. }));
}

#[test]
fn shutdown_ends_running_jobs_with_their_text_and_refuses_the_rest() {
    let mut model = ScriptedModel::saying("abcdef");
    let gate = model.gate();
    let engine = start(model);
    let running = submit(&engine, "runs", |job| job.max_tokens = 100);
    gate.pass();
    gate.arrived();
    let waiting = submit(&engine, "waits", |_| {});
    engine.shutdown();
    // These are answered without waiting for the step.
    assert!(matches!(waiting.error(), JobError::ShuttingDown));
    assert!(matches!(submit(&engine, "late", |_| {}).error(), JobError::ShuttingDown));
    gate.release();
    let finish = running.finish();
    assert_eq!((finish.text.as_str(), finish.reason), ("ab", FinishReason::Cancelled));
    wait(engine.stopped());
}

#[test]
fn jobs_that_wait_inside_the_engine_are_answered_at_shutdown() {
    let mut model = ScriptedModel::saying("abcdef");
    let gate = model.gate();
    let engine = start_with(model, one_at_a_time());
    let running = submit(&engine, "runs", |job| job.max_tokens = 100);
    gate.arrived();
    let waiting = submit(&engine, "waits", |_| {});
    gate.release();
    gate.arrived();
    engine.shutdown();
    gate.release();
    assert!(matches!(waiting.error(), JobError::ShuttingDown));
    assert_eq!(running.finish().reason, FinishReason::Cancelled);
}

#[test]
fn an_idle_engine_stops_when_its_last_handle_is_dropped() {
    let engine = start(ScriptedModel::hashing());
    submit(&engine, "p", |_| {}).finish();
    let mut state = engine.watch_state();
    let clone = engine.clone();
    drop(engine);
    submit(&clone, "still works", |_| {}).finish();
    drop(clone);
    wait(async { while state.changed().await.is_ok() {} });
}

#[test]
fn jobs_from_many_threads_all_end_with_their_own_text() {
    let engine = start_with(ScriptedModel::hashing(), EngineOptions { max_queued: 1000, ..options() });
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let engine = engine.clone();
            scope.spawn(move || {
                for idx in 0..25 {
                    let prompt = format!("thread {thread}, job {idx}");
                    let job = submit(&engine, &prompt, |job| {
                        job.priority =
                            if idx % 2 == 0 { Priority::Interactive } else { Priority::Background };
                    });
                    assert_eq!(job.finish().text, alone(&prompt, 4));
                }
            });
        }
    });
    let status = engine.status();
    assert_eq!((status.n_waiting, status.n_running), (0, 0));
}
