//! A limit on the tokens that a slot holds: which are dropped and when, and that nothing else gets to see the difference.

use runabout_engine::{FinishReason, MIN_KV_TOKENS};

use super::*;

/// A model that knows what its slots hold, and what was fed where.
fn model() -> ScriptedModel {
    let mut model = ScriptedModel::hashing();
    model.description.context_length = 64;
    model
}

/// The text that the model writes if it sees only what the rule leaves, computed here without the engine: whenever
/// `n_most` tokens are held and one more is to come, a quarter of those behind the first four goes.
fn as_ruled(prompt: &str, n_most: usize, n_new: usize) -> String {
    let engine = start_as_it_is(ScriptedModel::hashing(), options());
    let next = |held: &str| submit(&engine, held, |job| job.max_tokens = 1).finish().text;
    let (mut held, mut text) = (String::new(), String::new());
    let feed = |held: &mut String, it: char| {
        if held.len() == n_most {
            held.replace_range(4..4 + (n_most - 4) / 4, "");
        }
        held.push(it);
    };
    prompt.chars().for_each(|it| feed(&mut held, it));
    while text.len() < n_new {
        let drawn = next(&held);
        text += &drawn;
        feed(&mut held, drawn.chars().next().unwrap());
    }
    text
}

#[test]
fn a_full_slot_drops_a_quarter_behind_its_first_four_tokens_however_the_tokens_were_fed() {
    let prompts =
        ["short", "exactly as many!", "a prompt that is longer than all that may be held at a time"];
    for n_most in [16, 20, 37] {
        for prompt in prompts {
            let expected = as_ruled(prompt, n_most, 90);
            for (prefill_chunk, speculate) in [(512, false), (5, false), (512, true), (3, true)] {
                let model = model();
                let recording = model.recording();
                let engine = start_as_it_is(model, EngineOptions { prefill_chunk, ..options() });
                let finish = submit(&engine, prompt, |job| {
                    job.max_kv_tokens = Some(n_most);
                    job.max_tokens = 90;
                    job.speculate = speculate;
                })
                .finish();
                assert_eq!(
                    finish.text, expected,
                    "{prompt} in {n_most}, chunks of {prefill_chunk}, {speculate}"
                );
                assert_eq!(finish.reason, FinishReason::Length);
                assert_eq!((finish.usage.prompt_tokens, finish.usage.completion_tokens), (prompt.len(), 90));
                let most_held = recording.spans().iter().map(|it| it.start + it.tokens.len()).max();
                assert_eq!(most_held, Some(n_most), "it is used and never exceeded");
            }
        }
    }
}

#[test]
fn drafts_are_checked_beside_drops_and_change_nothing() {
    let text = "one two three four; ".repeat(8);
    for n_most in [24, 40, 51] {
        let model = ScriptedModel::saying(&text);
        let recording = model.recording();
        let engine = start_as_it_is(model, options());
        let finish = submit(&engine, "say: one two three four; one two", |job| {
            job.max_kv_tokens = Some(n_most);
            job.max_tokens = 500;
            job.speculate = true;
        })
        .finish();
        assert_eq!((finish.text.as_str(), finish.reason), (text.as_str(), FinishReason::Eos));
        assert!(finish.usage.accepted_tokens > 0, "{:?}", finish.usage);
        assert!(recording.spans().iter().all(|it| it.start + it.tokens.len() <= n_most));
    }
}

#[test]
fn the_prompt_may_be_longer_than_the_context_and_the_text_goes_on_beyond_it() {
    let engine = start_as_it_is(model(), options());
    let prompt = "0123456789".repeat(20);
    let refused = submit(&engine, &prompt, |_| {}).error();
    assert!(matches!(refused, JobError::PromptTooLong { .. }), "{refused}");
    // More than the context has is as much as it has.
    let finish = submit(&engine, &prompt, |job| {
        job.max_kv_tokens = Some(1000);
        job.max_tokens = 300;
    })
    .finish();
    assert_eq!(finish.text, as_ruled(&prompt, 64, 300));
}

#[test]
fn memory_is_reserved_for_the_limit_and_never_exceeded() {
    let mut model = model();
    model.description.context_length = 1 << 20;
    model.description.slot_cost.bytes_per_token = 1 << 20;
    let gate = model.gate();
    // Memory for 60 tokens, besides the memory for a step.
    let limits = EngineOptions {
        memory_limit_bytes: Some((60 + 320) << 20),
        cache_limit_bytes: u64::MAX,
        ..options()
    };
    let engine = start_as_it_is(model, limits);
    let prompt = "0123456789".repeat(10);
    let long = |job: &mut Job| job.max_tokens = 200;
    let refused = submit(&engine, &prompt, long).error();
    assert!(matches!(refused, JobError::OutOfMemory { .. }), "{refused}");
    // Two at a time fit.
    let jobs = [0, 1, 2].map(|_| {
        submit(&engine, &prompt, |job| {
            long(job);
            job.priority = Priority::Interactive;
            job.max_kv_tokens = Some(30);
        })
    });
    // None is done before the others are there.
    gate.arrived();
    drop(gate);
    let expected = as_ruled(&prompt, 30, 200);
    for job in jobs {
        assert_eq!(job.finish().text, expected);
    }
    let peak = engine.status().memory.peak_bytes;
    assert_eq!(peak, 60 << 20, "both are full at times");
}

#[test]
fn nothing_that_followed_dropped_tokens_is_used_for_another_prompt() {
    let engine = start_as_it_is(model(), options());
    // Whatever is dropped, what stays begins like the next prompt.
    let same = "a".repeat(40);
    let limited = submit(&engine, &same, |job| {
        job.max_kv_tokens = Some(20);
        job.max_tokens = 8;
    })
    .finish();
    assert_eq!(limited.text, as_ruled(&same, 20, 8));
    let finish = submit(&engine, &same, |_| {}).finish();
    assert_eq!((finish.text, finish.usage.cached_tokens), (alone(&same, 4), 0));
    // The other way round, only what is held before the first drop is used.
    let limited = submit(&engine, &same, |job| {
        job.max_kv_tokens = Some(20);
        job.max_tokens = 8;
    })
    .finish();
    assert_eq!((limited.text, limited.usage.cached_tokens), (as_ruled(&same, 20, 8), 20));
}

#[test]
fn a_conversation_beyond_the_limit_computes_only_what_is_new() {
    for n_most in [16, 20, 37] {
        let engine = start_as_it_is(model(), options());
        let mut prompt = "a first message, which is longer than the limit".to_owned();
        let mut n_fed = 0;
        for turn in 0..5 {
            let finish = submit(&engine, &prompt, |job| {
                job.max_kv_tokens = Some(n_most);
                job.max_tokens = 9;
            })
            .finish();
            assert_eq!(finish.text, as_ruled(&prompt, n_most, 9), "turn {turn} in {n_most}");
            assert_eq!(finish.usage.cached_tokens, n_fed, "turn {turn} in {n_most}");
            // The token that was drawn last was not fed.
            n_fed = prompt.len() + 8;
            prompt += &finish.text;
            prompt += " next";
        }
        assert_eq!(engine.status().cache.n_slots, 1, "one slot went through all of it");
    }
}

#[test]
fn what_departs_before_the_last_drop_or_drops_elsewhere_begins_again() {
    let prompt = "0123456789".repeat(4);
    // The limit of the next job, how much its prompt shares, and how much of that is in the cache. Of 46 tokens, the last
    // were dropped after 44.
    for (n_most, n_shared, n_cached) in [
        (Some(20), 46, 46),
        (Some(20), 45, 45),
        (Some(20), 44, 44),
        (Some(20), 43, 0),
        (Some(24), 46, 0),
        (None, 46, 0),
    ] {
        let engine = start_as_it_is(model(), options());
        let first = submit(&engine, &prompt, |job| {
            job.max_kv_tokens = Some(20);
            job.max_tokens = 7;
        })
        .finish();
        let next = prompt.clone() + &first.text;
        let next = next[..n_shared].to_owned() + "#!";
        let finish = submit(&engine, &next, |job| {
            job.max_kv_tokens = n_most;
            job.max_tokens = 12;
        })
        .finish();
        assert_eq!(finish.usage.cached_tokens, n_cached, "{n_shared} tokens, {n_most:?}");
        assert_eq!(finish.text, as_ruled(&next, n_most.unwrap_or(64), 12), "{n_shared} tokens, {n_most:?}");
    }
}

#[test]
fn a_slot_that_dropped_tokens_is_the_first_to_make_room() {
    let mut model = model();
    model.description.slot_cost.bytes_per_token = 1 << 20;
    // Memory for 60 tokens, besides the memory for a step.
    let limits = EngineOptions {
        memory_limit_bytes: Some((60 + 320) << 20),
        cache_limit_bytes: u64::MAX,
        ..options()
    };
    let engine = start_as_it_is(model, limits);
    let run = |prompt: &str, n_most| {
        submit(&engine, prompt, |job| {
            job.max_kv_tokens = n_most;
            job.max_tokens = 5;
        })
        .finish()
    };
    run("another prompt", None);
    run(&"0123456789".repeat(10), Some(30));
    assert_eq!(engine.status().cache.n_slots, 2);
    run(&"b".repeat(35), None);
    let status = engine.status();
    assert_eq!(status.cache.n_slots, 2, "the other one stays");
    assert!(status.memory.peak_bytes <= 60 << 20, "{:?}", status.memory);
    assert_eq!(run("another prompt", None).usage.cached_tokens, 13);
}

#[test]
fn a_job_that_stays_within_the_limit_leaves_all_to_the_cache() {
    let engine = start_as_it_is(model(), options());
    let limited = submit(&engine, "a prompt of 20 bytes", |job| job.max_kv_tokens = Some(24)).finish();
    assert_eq!(limited.text, alone("a prompt of 20 bytes", 4));
    let again = submit(&engine, "a prompt of 20 bytes", |job| job.max_kv_tokens = Some(24)).finish();
    assert_eq!((again.text, again.usage.cached_tokens), (limited.text, 19));
}

#[test]
fn a_model_that_cannot_drop_tokens_says_so() {
    let engine = start_as_it_is(ScriptedModel::hashing().with_checkpoints_only(), options());
    let refused = submit(&engine, "hi", |job| job.max_kv_tokens = Some(MIN_KV_TOKENS)).error();
    assert!(
        matches!(&refused, JobError::CannotDrop { architecture } if architecture == "scripted"),
        "{refused}"
    );
}

#[test]
fn a_job_whose_tokens_cannot_be_dropped_fails_and_the_others_go_on() {
    let mut model = ScriptedModel::hashing();
    model.shifts_fail = true;
    let engine = start_as_it_is(model, options());
    let limited = submit(&engine, "limited", |job| {
        job.max_kv_tokens = Some(16);
        job.max_tokens = 50;
    });
    let free = submit(&engine, "free", |job| job.max_tokens = 50);
    assert!(matches!(limited.error(), JobError::StepFailed { .. }));
    assert_eq!(free.finish().text, alone("free", 50));
}

#[test]
fn a_draft_model_reads_nothing_for_a_job_with_a_limit() {
    let draft = ScriptedModel::hashing();
    let read = draft.recording();
    let engine = Engine::spawn(options(), move |_| Ok(model().loaded_with_draft(draft))).unwrap();
    let finish = submit(&engine, "a prompt", |job| {
        job.max_kv_tokens = Some(16);
        job.max_tokens = 50;
        job.speculate = true;
    })
    .finish();
    assert_eq!(finish.text, as_ruled("a prompt", 16, 50));
    assert_eq!(read.spans(), []);
}
