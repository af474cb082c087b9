//! Drafts from the text: they save steps, and change nothing else.

use runabout_engine::{FinishReason, MAX_DRAFTS, scripted::ScriptedModel};

use super::*;

const TEXT: &str =
    "fn total(items: &[Item]) -> f64 { items.iter().map(|item| item.price * item.count).sum() }";

fn prompt() -> String {
    format!("Repeat this: {TEXT} Here it is: ")
}

fn speculative(job: &mut Job) {
    job.speculate = true;
    job.max_tokens = 200;
}

#[test]
fn a_copied_text_takes_a_fraction_of_the_steps_and_the_usage_shows_it() {
    let model = ScriptedModel::saying(TEXT);
    let recording = model.recording();
    let engine = start(model);
    submit(&engine, &prompt(), |job| job.max_tokens = 0).finish();
    recording.take();
    let events = submit(&engine, &prompt(), speculative).events_to_end();
    let finish = events.end.unwrap();
    assert_eq!((finish.text.as_str(), finish.reason), (TEXT, FinishReason::Eos));
    assert_eq!(finish.tokens, bytes(TEXT));
    // One step for the prompt's last token, and at most one for every three tokens of the text.
    let n_steps = recording.spans().len();
    assert!(n_steps * 3 < TEXT.len(), "{n_steps} steps");
    let usage = finish.usage;
    assert_eq!(usage.completion_tokens, TEXT.len() + 1);
    assert_eq!(usage.accepted_tokens, usage.completion_tokens - n_steps);
    let n_drafted: usize = recording.spans().iter().map(|it| it.n_drafted).sum();
    assert_eq!(usage.drafted_tokens, n_drafted);
}

#[test]
fn what_was_generated_for_another_job_is_drafted_too() {
    let model = ScriptedModel::saying(TEXT);
    let recording = model.recording();
    let engine = start(model);
    let prompt = "Write a function: ";
    let first = submit(&engine, prompt, speculative).finish();
    // The text has few letters, so a match by chance is possible, but it copies nothing of length.
    assert!(first.usage.accepted_tokens * 4 < TEXT.len(), "{:?}", first.usage);
    recording.take();
    let second = submit(&engine, prompt, speculative).finish();
    assert_eq!((&second.text, &second.tokens, second.reason), (&first.text, &first.tokens, first.reason));
    let n_steps = recording.spans().len();
    assert!(n_steps * 3 < TEXT.len(), "{n_steps} steps");
    assert_eq!(second.usage.accepted_tokens, second.usage.completion_tokens - n_steps);
    // A job that allows no drafts gets none.
    let third = submit(&engine, prompt, |job| job.max_tokens = 200).finish();
    assert_eq!((third.text, third.usage.drafted_tokens), (first.text, 0));
}

#[test]
fn drafts_of_all_jobs_in_a_step_are_limited() {
    let mut model = ScriptedModel::saying(TEXT);
    let recording = model.recording();
    let gate = model.gate();
    let engine = start(model);
    let jobs: Vec<_> = (0..8).map(|n| submit(&engine, &format!("{n}: {}", prompt()), speculative)).collect();
    gate.arrived();
    drop(gate);
    for job in jobs {
        assert_eq!(job.finish().text, TEXT);
    }
    // A slot that comes again begins the next step.
    let (mut slots, mut n_drafted, mut most) = (Vec::new(), 0, 0);
    for span in recording.spans() {
        if slots.contains(&span.slot) {
            (slots, n_drafted) = (Vec::new(), 0);
        }
        slots.push(span.slot);
        n_drafted += span.n_drafted;
        most = most.max(n_drafted);
    }
    assert!((MAX_DRAFTS + 1..=2 * MAX_DRAFTS).contains(&most), "{most} drafts in a step");
}

#[test]
fn without_permission_nothing_is_drafted() {
    let model = ScriptedModel::saying(TEXT);
    let recording = model.recording();
    let engine = start(model);
    let finish = submit(&engine, &prompt(), |job| job.max_tokens = 200).finish();
    assert_eq!((finish.usage.drafted_tokens, finish.usage.accepted_tokens), (0, 0));
    assert!(recording.spans().iter().all(|it| it.n_drafted == 0));
}

#[test]
fn no_drafts_are_made_beyond_the_token_limit() {
    let engine = start(ScriptedModel::saying(TEXT));
    for max_tokens in 1..60 {
        let finish = submit(&engine, &prompt(), |job| {
            job.speculate = true;
            job.max_tokens = max_tokens;
        })
        .finish();
        assert_eq!((finish.text.as_str(), finish.reason), (&TEXT[..max_tokens], FinishReason::Length));
        assert_eq!(finish.usage.completion_tokens, max_tokens);
    }
}

#[test]
fn drafts_do_not_exceed_the_context_length() {
    let mut model = ScriptedModel::saying(TEXT);
    let n_prompt = prompt().len();
    model.description.context_length = n_prompt + 40;
    let engine = start(model);
    let finish = submit(&engine, &prompt(), speculative).finish();
    assert_eq!((finish.text.as_str(), finish.reason), (&TEXT[..40], FinishReason::Length));
}

#[test]
fn after_a_stop_string_among_drafts_the_ledger_matches_the_slot() {
    let model = ScriptedModel::saying(TEXT);
    let engine = start(model);
    let finish = submit(&engine, &prompt(), |job| {
        speculative(job);
        job.stop = vec!["item.price".to_owned()];
    })
    .finish();
    let expected = TEXT.split("item.price").next().unwrap();
    assert_eq!((finish.text.as_str(), finish.reason), (expected, FinishReason::Stop { index: 0 }));
    assert_eq!(finish.usage.completion_tokens, expected.len() + "item.price".len());
    // The scripted model checks that a slot holds what the engine assumes.
    let again = submit(&engine, &format!("{}{}", prompt(), &TEXT[..70]), speculative).finish();
    assert!(again.usage.cached_tokens > prompt().len());
}

#[test]
fn with_drafts_there_is_one_log_probability_per_token_too() {
    let engine = start(ScriptedModel::saying(TEXT));
    let finish = submit(&engine, &prompt(), |job| {
        speculative(job);
        job.top_logprobs = Some(1);
    })
    .finish();
    let top: Vec<u32> = finish.logprobs.iter().map(|it| it.top[0].0).collect();
    assert_eq!(top, finish.tokens);
    assert!(finish.usage.accepted_tokens > 0);
}

#[test]
fn a_text_that_copies_nothing_costs_no_steps_and_hardly_a_row() {
    let model = ScriptedModel::hashing();
    let recording = model.recording();
    let engine = start(model);
    let finish = submit(&engine, "something new, if you please", speculative).finish();
    assert_eq!(finish.text, alone("something new, if you please", 200));
    assert!(finish.usage.drafted_tokens < 10, "{:?}", finish.usage);
    assert!(recording.spans().len() <= 200 + by_mode(1, 2));
}
