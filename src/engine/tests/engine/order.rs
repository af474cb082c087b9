//! Which job runs before which, and that being overtaken changes nothing else.

use runabout_engine::{LoadProgress, LoadStage, scripted::ScriptedModel};

use super::*;

#[test]
fn an_interactive_job_overtakes_between_two_tokens_and_nothing_is_computed_again() {
    let mut model = ScriptedModel::hashing();
    let (recording, gate) = (model.recording(), model.gate());
    let engine = start(model);
    let background = submit(&engine, "a long chat", |job| job.max_tokens = 20);
    // Two chunks of the prompt, three tokens.
    for _ in 0..4 {
        gate.pass();
    }
    gate.arrived();
    let interactive = submit(&engine, "urgent", |job| {
        job.max_tokens = 3;
        job.priority = Priority::Interactive;
    });
    gate.release();
    // The very next step is the interactive job's.
    assert_eq!(gate.arrived()[0].tokens, bytes("urgent"));
    drop(gate);
    assert_eq!(interactive.finish().text, alone("urgent", 3));
    assert_eq!(background.finish().text, alone("a long chat", 20));

    let spans = recording.spans();
    let of_background: Vec<_> = spans.iter().filter(|span| span.slot == spans[0].slot).collect();
    let n_fed: usize = of_background.iter().map(|span| span.tokens.len()).sum();
    assert_eq!(n_fed, "a long chat".len() + 20 - 1);
    // It continued only after the interactive job was done.
    let resumed = spans.iter().rposition(|span| span.slot != spans[0].slot).unwrap();
    assert!(spans[resumed + 1..].iter().all(|span| span.slot == spans[0].slot));
    assert_eq!(spans[resumed + 1].start, 14);
}

#[test]
fn an_interactive_job_overtakes_a_prefill_between_two_chunks() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let engine = start_with(model, EngineOptions { prefill_chunk: 8, ..options() });
    let prompt = "a prompt of thirty-two tokens...";
    let background = submit(&engine, prompt, |_| {});
    gate.arrived();
    let interactive = submit(&engine, "now", |job| job.priority = Priority::Interactive);
    gate.release();
    assert_eq!(gate.arrived()[0].tokens, bytes("now"));
    drop(gate);
    interactive.finish();
    assert_eq!(background.finish().text, alone(prompt, 4));
}

#[test]
fn within_a_priority_jobs_start_in_order_of_arrival() {
    let mut model = ScriptedModel::saying("");
    let (recording, gate) = (model.recording(), model.gate());
    let engine = start_with(model, one_at_a_time());
    let first = submit(&engine, "0", |job| job.priority = Priority::Interactive);
    gate.arrived();
    let jobs: Vec<Submitted> = [
        ("third", Priority::Background),
        ("ahead", Priority::Interactive),
        ("last", Priority::Background),
        ("second", Priority::Interactive),
    ]
    .map(|(prompt, priority)| submit(&engine, prompt, |job| job.priority = priority))
    .into();
    gate.release();
    drop(gate);
    first.finish();
    for job in jobs {
        job.finish();
    }
    // The third job's prompt may get some tokens while the others run, so only the starts are compared.
    let spans = recording.spans();
    let order: Vec<u32> = spans.iter().filter(|it| it.start == 0).map(|it| it.tokens[0]).collect();
    assert_eq!(order, bytes("0astl"));
}

#[test]
fn jobs_that_wait_for_the_model_to_load_run_afterwards() {
    let (go_on, wait_here) = std::sync::mpsc::channel::<()>();
    let engine = Engine::spawn(options(), move |report| {
        report(LoadProgress { stage: LoadStage::Load, done: 1, total: 2 });
        wait_here.recv().unwrap();
        Ok(in_mode(ScriptedModel::saying("loaded")).loaded())
    })
    .unwrap();
    let job = submit(&engine, "p", |job| job.max_tokens = 100);
    let state = wait_for(&engine, |state| matches!(state, State::Loading(LoadProgress { done: 1, .. })));
    assert!(matches!(state, State::Loading(LoadProgress { stage: LoadStage::Load, done: 1, total: 2 })));
    assert_eq!(engine.status().n_waiting, 1);
    go_on.send(()).unwrap();
    let state = wait_for(&engine, |state| matches!(state, State::Ready(_)));
    assert!(matches!(state, State::Ready(description) if description.architecture == "scripted"));
    assert_eq!(job.finish().text, "loaded");
}
