//! A newer job that supersedes an older one, after the user has typed more.

use runabout_engine::{CancelReason, FinishReason, Supersede, scripted::ScriptedModel};

use super::*;

const SAID: &str = "println!(\"{total}\");";

/// A job of 30 tokens after `prompt` that supersedes `older`, with `typed` inserted.
fn supersede(engine: &Engine, older: &Submitted, prompt: &str, typed: &str) -> Submitted {
    submit(engine, prompt, |job| {
        job.max_tokens = 30;
        job.supersedes = Some(Supersede { job: older.id, typed: typed.to_owned() });
    })
}

/// Lets the model generate `n` tokens after a prompt that takes one step.
fn say(gate: &runabout_engine::scripted::Gate, n: usize) {
    for _ in 0..n {
        gate.pass();
    }
}

#[test]
fn typing_what_was_suggested_keeps_the_suggestion_and_computes_nothing_again() {
    let mut model = ScriptedModel::saying(SAID);
    let (recording, gate) = (model.recording(), model.gate());
    let engine = start(model);
    let older = submit(&engine, "x;\n", |job| job.max_tokens = 30);
    say(&gate, 7);
    gate.arrived();
    let newer = supersede(&engine, &older, "x;\nprin", "prin");
    gate.release();
    drop(gate);
    let old = older.finish();
    assert_eq!((old.text.as_str(), old.reason), (&SAID[..8], FinishReason::Superseded));
    let events = newer.events_to_end();
    assert_eq!(events.prefill, [(7, 7, 7)]);
    // What was already generated after it is sent immediately.
    assert_eq!(events.deltas[0], &SAID[4..8]);
    let new = events.end.unwrap();
    assert_eq!((new.text.as_str(), new.reason), (&SAID[4..], FinishReason::Eos));
    assert_eq!(new.tokens, bytes(&SAID[4..]));
    assert_eq!((new.usage.prompt_tokens, new.usage.cached_tokens), (7, 7));
    // Each token is counted once, for one of the two jobs.
    assert_eq!(old.usage.completion_tokens + new.usage.completion_tokens, SAID.len() + 1);
    let n_fed: usize = recording.spans().iter().map(|it| it.tokens.len()).sum();
    assert_eq!(n_fed, "x;\n".len() + SAID.len());
}

#[test]
fn one_sequence_continues_key_after_key() {
    let mut model = ScriptedModel::saying(SAID);
    let (recording, gate) = (model.recording(), model.gate());
    let engine = start(model);
    let mut job = submit(&engine, "x;\n", |job| job.max_tokens = 30);
    say(&gate, 4);
    for n_typed in 1..=3 {
        gate.arrived();
        let typed = &SAID[n_typed - 1..n_typed];
        let newer = supersede(&engine, &job, &format!("x;\n{}", &SAID[..n_typed]), typed);
        gate.release();
        assert_eq!(std::mem::replace(&mut job, newer).finish().reason, FinishReason::Superseded);
    }
    drop(gate);
    assert_eq!(job.finish().text, SAID[3..]);
    let n_fed: usize = recording.spans().iter().map(|it| it.tokens.len()).sum();
    assert_eq!(n_fed, "x;\n".len() + SAID.len());
}

#[test]
fn typing_something_else_starts_from_the_prompt() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let engine = start(model);
    let older = submit(&engine, "let a = ", |job| job.max_tokens = 30);
    say(&gate, 3);
    gate.arrived();
    let newer = supersede(&engine, &older, "let a = \u{1}", "\u{1}");
    gate.release();
    drop(gate);
    assert_eq!(older.finish().reason, FinishReason::Superseded);
    let finish = newer.finish();
    assert_eq!(finish.text, alone("let a = \u{1}", 30));
    assert_eq!(finish.usage.cached_tokens, by_mode("let a = ".len(), 0));
}

#[test]
fn the_same_request_again_continues_even_before_there_is_text() {
    let mut model = ScriptedModel::hashing();
    let (recording, gate) = (model.recording(), model.gate());
    let engine = start(model);
    let older = submit(&engine, "a prompt of some length", |job| job.max_tokens = 30);
    gate.arrived();
    let newer = supersede(&engine, &older, "a prompt of some length", "");
    gate.release();
    drop(gate);
    let old = older.finish();
    assert_eq!((old.text.as_str(), old.reason), ("", FinishReason::Superseded));
    assert_eq!(newer.finish().text, alone("a prompt of some length", 30));
    let n_fed: usize = recording.spans().iter().map(|it| it.tokens.len()).sum();
    assert_eq!(n_fed, 23 + 29);
}

#[test]
fn typed_text_does_not_count_against_the_token_limit() {
    let mut model = ScriptedModel::saying(&"abcdefghij".repeat(10));
    let gate = model.gate();
    let engine = start(model);
    let older = submit(&engine, "p", |job| job.max_tokens = 30);
    say(&gate, 9);
    gate.arrived();
    let newer = supersede(&engine, &older, "pabcd", "abcd");
    gate.release();
    drop(gate);
    older.finish();
    let finish = newer.finish();
    assert_eq!((finish.tokens.len(), finish.reason), (30, FinishReason::Length));
    assert!(finish.text.starts_with("efghij"));
    assert_eq!(finish.usage.completion_tokens, 24);
}

#[test]
fn a_waiting_job_is_superseded_in_the_queue() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let engine = start_with(model, one_at_a_time());
    let running = submit(&engine, "runs", |job| job.max_tokens = 3);
    gate.arrived();
    let older = submit(&engine, "waits", |_| {});
    let newer = supersede(&engine, &older, "waits here", " here");
    gate.release();
    drop(gate);
    running.finish();
    assert_eq!(older.finish().reason, FinishReason::Superseded);
    assert_eq!(newer.finish().text, alone("waits here", 30));
}

#[test]
fn a_refused_job_still_ends_the_one_it_supersedes() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let engine = start_with(model, EngineOptions { max_queued: 1, ..one_at_a_time() });
    let older = submit(&engine, "runs", |job| job.max_tokens = 100);
    gate.arrived();
    let waiting = submit(&engine, "waits", |_| {});
    let newer = supersede(&engine, &older, "runs on", " on");
    assert!(matches!(newer.error(), JobError::Overloaded { .. }));
    gate.release();
    drop(gate);
    assert_eq!(older.finish().reason, FinishReason::Superseded);
    waiting.finish();
}

#[test]
fn superseding_a_job_that_has_ended_is_harmless() {
    let engine = start(ScriptedModel::saying("abc"));
    let older = submit(&engine, "p", |_| {});
    let id = older.id;
    older.finish();
    let newer = submit(&engine, "pa", |job| {
        job.supersedes = Some(Supersede { job: id, typed: "a".to_owned() });
    });
    assert_eq!(newer.finish().text, "abc");
}

#[test]
fn a_cancel_of_the_older_job_after_the_hand_over_does_not_affect_the_newer_one() {
    let mut model = ScriptedModel::saying(SAID);
    let gate = model.gate();
    let engine = start(model);
    let older = submit(&engine, "x;\n", |job| job.max_tokens = 30);
    say(&gate, 3);
    gate.arrived();
    let newer = supersede(&engine, &older, "x;\np", "p");
    // Too late: the sequence has been handed over when this is read.
    engine.cancel(older.id, CancelReason::Cancelled);
    gate.release();
    gate.arrived();
    engine.cancel(newer.id, CancelReason::Cancelled);
    gate.release();
    drop(gate);
    assert_eq!(older.finish().reason, FinishReason::Superseded);
    let finish = newer.finish();
    assert_eq!((finish.text.as_str(), finish.reason), (&SAID[1..5], FinishReason::Cancelled));
}
