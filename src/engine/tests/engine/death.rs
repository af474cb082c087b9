//! Failed steps, failed loads, and the death of the thread: every affected job gets an error.

use runabout_engine::{FinishReason, LoadError, scripted::ScriptedModel};

use super::*;

#[test]
fn a_failed_step_fails_its_own_job_and_drops_its_slot_and_others_continue() {
    let mut model = ScriptedModel::hashing();
    let (recording, gate) = (model.recording(), model.gate());
    let engine = start(model);
    let background = submit(&engine, "background", |job| job.max_tokens = 10);
    gate.pass();
    gate.arrived();
    let failing = submit(&engine, "interactive", |job| job.priority = Priority::Interactive);
    gate.release();
    // Its first chunk succeeds, so that its slot has contents that must not be trusted. It shares the next step, and
    // then has one to itself.
    gate.pass();
    assert_eq!(gate.arrived().len(), 2);
    gate.fail("one of you");
    let fed = gate.arrived();
    assert_eq!((fed.len(), fed[0].tokens[0]), (1, bytes("i")[0]));
    gate.fail("out of luck");
    drop(gate);
    let error = failing.error();
    assert!(matches!(error, JobError::StepFailed { message } if message == "out of luck"));
    assert_eq!(background.finish().text, alone("background", 10));
    recording.take();
    // What the failed step left is not reused.
    let finish = submit(&engine, "interactive", |_| {}).finish();
    assert_eq!(finish.usage.cached_tokens, 0);
    assert_eq!(finish.text, alone("interactive", 4));
}

#[test]
fn of_the_jobs_that_share_a_failed_step_only_the_one_that_fails_alone_fails() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let engine = start(model);
    let prompts = ["one", "two", "three"];
    let jobs = prompts.map(|prompt| submit(&engine, prompt, |job| job.max_tokens = 10));
    while gate.pass().len() < 3 {}
    gate.arrived();
    gate.fail("one of you");
    // Each restarts alone, until it has drawn a token.
    let fed = gate.pass();
    assert_eq!((fed.len(), fed[0].start), (1, 0));
    assert_eq!(fed[0].tokens[..3], bytes("one"));
    let fed = gate.arrived();
    assert_eq!((fed.len(), fed[0].start), (1, 0));
    assert_eq!(fed[0].tokens[..3], bytes("two"));
    gate.fail("you it is");
    drop(gate);
    let [one, two, three] = jobs;
    assert!(matches!(two.error(), JobError::StepFailed { message } if message == "you it is"));
    assert_eq!(one.finish().text, alone("one", 10));
    assert_eq!(three.finish().text, alone("three", 10));
}

#[test]
fn after_a_panic_in_the_model_every_pending_and_later_job_fails() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let engine = start(model);
    let running = submit(&engine, "runs", |job| job.max_tokens = 100);
    gate.arrived();
    let inside = submit(&engine, "inside", |_| {});
    gate.release();
    gate.arrived();
    let in_the_inbox = submit(&engine, "in the inbox", |_| {});
    gate.panic("the device is gone");
    for job in [running, inside, in_the_inbox] {
        let error = job.error();
        assert!(matches!(error, JobError::EngineDied { message } if message == "the device is gone"));
    }
    assert!(matches!(engine.state(), State::Failed(JobError::EngineDied { .. })));
    assert!(matches!(submit(&engine, "later", |_| {}).error(), JobError::EngineDied { .. }));
    wait(engine.stopped());
    assert!(matches!(engine.state(), State::Failed(JobError::EngineDied { .. })));
}

#[test]
fn if_the_model_does_not_load_every_job_fails_with_that_error() {
    let (go_on, wait_here) = std::sync::mpsc::channel::<()>();
    let engine = Engine::spawn(options(), move |_| {
        wait_here.recv().unwrap();
        Err(LoadError::Failed { message: "no such folder".to_owned() })
    })
    .unwrap();
    let early = submit(&engine, "early", |_| {});
    go_on.send(()).unwrap();
    let error = early.error();
    assert!(matches!(error, JobError::LoadFailed { message } if message == "no such folder"));
    assert!(matches!(engine.state(), State::Failed(JobError::LoadFailed { .. })));
    assert!(matches!(submit(&engine, "late", |_| {}).error(), JobError::LoadFailed { .. }));
}

#[test]
fn a_panic_while_loading_counts_as_a_failed_load() {
    let (go_on, wait_here) = std::sync::mpsc::channel::<()>();
    let engine = Engine::spawn(options(), move |_| {
        wait_here.recv().unwrap();
        panic!("a broken file");
    })
    .unwrap();
    let early = submit(&engine, "early", |_| {});
    go_on.send(()).unwrap();
    let message = "loading ended in a panic: a broken file";
    assert!(matches!(early.error(), JobError::LoadFailed { message: it } if it == message));
    assert!(matches!(submit(&engine, "late", |_| {}).error(), JobError::LoadFailed { .. }));
    assert!(matches!(engine.state(), State::Failed(JobError::LoadFailed { .. })));
}

#[test]
fn a_job_that_was_decided_before_the_panic_keeps_its_own_end() {
    let mut model = ScriptedModel::saying("ab");
    let gate = model.gate();
    let engine = start(model);
    let first = submit(&engine, "first", |job| job.max_tokens = 1);
    gate.arrived();
    let second = submit(&engine, "second", |_| {});
    gate.release();
    gate.arrived();
    gate.panic("too late for the first");
    assert_eq!(first.finish().reason, FinishReason::Length);
    assert!(matches!(second.error(), JobError::EngineDied { .. }));
}
