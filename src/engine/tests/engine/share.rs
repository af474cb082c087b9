//! Prompts with the same beginning: computed once, copied, and kept for the next.

use runabout_engine::{
    CancelReason,
    scripted::{FedSpan, ScriptedModel},
};

use super::*;

fn n_fed(spans: &[FedSpan]) -> usize {
    spans.iter().map(|span| span.tokens.len()).sum()
}

/// A few dozen tokens, so more than the length below which tokens are computed again instead of copied.
fn long(words: &str) -> String {
    words.repeat(40)
}

#[test]
fn choices_of_one_prompt_compute_it_once() {
    let model = ScriptedModel::hashing();
    let recording = model.recording();
    let engine = start(model);
    let prompt = long("choose ");
    let jobs = [(); 4].map(|()| submit(&engine, &prompt, |job| job.max_tokens = 5));
    for (idx, job) in jobs.into_iter().enumerate() {
        let finish = job.finish();
        assert_eq!(finish.text, alone(&prompt, 5));
        let cached = if idx == 0 { 0 } else { prompt.len() - 1 };
        assert_eq!(finish.usage.cached_tokens, cached);
    }
    // The prompt, its last token for each of the others, and four of the five tokens of each text.
    assert_eq!(n_fed(&recording.spans()), prompt.len() + 3 + 4 * 4);
}

#[test]
fn a_job_waits_until_the_shared_beginning_is_computed_and_no_longer() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let engine = start_with(model, EngineOptions { prefill_chunk: 40, ..options() });
    let shared = "the rules of the house. ".repeat(3);
    let first = format!("{shared}{}", long("first "));
    let second = format!("{shared}and the second");
    let jobs = [&first, &second].map(|prompt| submit(&engine, prompt, |_| {}));
    // Eight tokens, then 32 and 40: the second job starts when the first holds what they share.
    let mut n_held = 0;
    while n_held < shared.len() {
        let fed = gate.pass();
        assert_eq!(fed.len(), 1);
        n_held += fed[0].tokens.len();
    }
    // The first job's prompt, which arrived earlier, used up the step, but the second has its slot.
    gate.arrived();
    assert_eq!(engine.status().n_running, 2);
    drop(gate);
    for (prompt, job) in [first, second].iter().zip(jobs) {
        assert_eq!(job.finish().text, alone(prompt, 4));
    }
}

#[test]
fn an_interactive_job_does_not_wait_for_a_background_prompt() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let engine = start(model);
    let prompt = long("alike ");
    let slow = submit(&engine, &prompt, |_| {});
    gate.arrived();
    let quick = submit(&engine, &prompt, |job| job.priority = Priority::Interactive);
    gate.release();
    let fed = gate.pass();
    // Too little has been computed to be worth a copy.
    assert_eq!((fed[0].start, fed[0].tokens.len()), (0, 32));
    drop(gate);
    assert_eq!(quick.finish().text, alone(&prompt, 4));
    assert_eq!(slow.finish().text, alone(&prompt, 4));
}

#[test]
fn when_the_job_that_computes_the_prompt_is_cancelled_the_next_one_continues() {
    let mut model = ScriptedModel::hashing();
    let (recording, gate) = (model.recording(), model.gate());
    let engine = start(model);
    let prompt = long("shared ");
    let leader = submit(&engine, &prompt, |_| {});
    let follower = submit(&engine, &prompt, |_| {});
    gate.pass();
    gate.arrived();
    engine.cancel(leader.id, CancelReason::Cancelled);
    gate.release();
    drop(gate);
    leader.finish();
    let finish = follower.finish();
    assert_eq!(finish.usage.cached_tokens, 40);
    assert_eq!(n_fed(&recording.spans()), prompt.len() + 3);
}

#[test]
fn a_conversation_stays_complete_when_another_shares_its_beginning() {
    let model = ScriptedModel::hashing();
    let engine = start(model);
    let system = "you are a careful assistant. ".repeat(4);
    let ask = |question: &str| {
        let prompt = format!("{system}{question}");
        submit(&engine, &prompt, |job| job.borders = vec![system.len()]).finish().usage.cached_tokens
    };
    let first = long("the first question ");
    assert_eq!(ask(&first), 0);
    assert_eq!(ask("another"), system.len());
    // Both are still cached when they continue.
    let n_again = by_mode(0, 1);
    assert_eq!(ask(&format!("{first} goes on")), system.len() + first.len() - n_again);
    assert_eq!(ask("another question"), system.len() + "another".len() - n_again);
}

#[test]
fn a_system_prompt_is_kept_longer_than_what_followed_it() {
    let mut model = ScriptedModel::saying("");
    model.description.slot_cost.bytes_per_token = 1;
    let engine = start_with(model, EngineOptions { cache_limit_bytes: 1000, ..options() });
    let system = "you are a careful assistant. ".repeat(4);
    let ask = |prompt: &str| {
        submit(&engine, prompt, |job| job.borders = vec![system.len()]).finish().usage.cached_tokens
    };
    let chat = |question: &str| ask(&format!("{system}{question}"));
    chat(&long("one "));
    assert_eq!(chat(&long("two ")), system.len());
    // Other prompts fill the cache several times.
    for idx in 0..20 {
        ask(&long(&format!("file {idx} ")));
        assert!(engine.status().cache.bytes <= 1000);
    }
    assert_eq!(chat("three"), system.len());
}

#[test]
fn typing_keeps_one_slot_for_its_document_however_long_the_suffix_is() {
    let engine = start(ScriptedModel::hashing());
    let suffix = long("the rest of the file. ");
    let mut file = "fn main() { let total".to_owned();
    for key in " = 0; ".chars() {
        let n_before = file.len();
        file.push(key);
        let prompt = format!("{file}|{suffix}");
        let finish = submit(&engine, &prompt, |job| job.document = Some("main.rs".into())).finish();
        assert_eq!(finish.text, alone(&prompt, 4));
        // Where prompts depart from each other is known at the second key.
        let known = if n_before == 22 { 0 } else { 22 };
        assert!(n_before == 21 || finish.usage.cached_tokens == by_mode(n_before, known));
    }
    assert_eq!(engine.status().cache.n_slots, by_mode(1, 2));
}
