//! The memory limit: what is refused, what waits, and what is reported.

use runabout_engine::{LoadError, StepCost, scripted::ScriptedModel};

use super::*;

/// Memory for 1000 tokens of 1 MiB, besides the memory for a step.
const LIMIT_BYTES: u64 = (1000 + 320) << 20;

fn start_limited(mut model: ScriptedModel) -> Engine {
    model.description.slot_cost.bytes_per_token = 1 << 20;
    start_with(
        model,
        EngineOptions { memory_limit_bytes: Some(LIMIT_BYTES), cache_limit_bytes: u64::MAX, ..options() },
    )
}

#[test]
fn a_job_that_can_never_fit_is_refused_with_the_memory_it_needs() {
    let engine = start_limited(ScriptedModel::saying("ok"));
    let error = submit(&engine, "0123456789", |job| job.max_tokens = 1000).error();
    let JobError::OutOfMemory { needed_bytes, available_bytes } = error else { panic!("{error}") };
    assert_eq!((needed_bytes >> 20, available_bytes >> 20), (by_mode(1010, 1014), 1000));
    let max_tokens = by_mode(990, 986);
    assert_eq!(submit(&engine, "0123456789", |job| job.max_tokens = max_tokens).finish().text, "ok");
}

#[test]
fn the_memory_kept_for_a_step_is_that_of_the_largest_one() {
    let mut model = ScriptedModel::saying("ok");
    model.description.slot_cost.bytes_per_token = 1 << 20;
    model.description.step_cost =
        StepCost { fixed_bytes: 10 << 20, bytes_per_token: 3 << 20, bytes_per_draw: 2 << 20 };
    // It feeds at most 100 tokens and draws at most 50: one for a job of each priority, and one after each draft.
    let options = EngineOptions {
        prefill_chunk: 100,
        memory_limit_bytes: Some((10 + 3 * 100 + 2 * 50 + 30) << 20),
        ..one_at_a_time()
    };
    let engine = start_with(model, options);
    let error = submit(&engine, "0123456789", |job| job.max_tokens = 21).error();
    let JobError::OutOfMemory { available_bytes, .. } = error else { panic!("{error}") };
    assert_eq!(available_bytes >> 20, 30);
    let max_tokens = by_mode(20, 16);
    assert_eq!(submit(&engine, "0123456789", |job| job.max_tokens = max_tokens).finish().text, "ok");
}

#[test]
fn a_job_that_does_not_fit_now_waits_and_memory_is_reported_as_short() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let engine = start_limited(model);
    let mut is_short = engine.watch_memory();
    let first = submit(&engine, "first", |job| job.max_tokens = 500);
    gate.arrived();
    let second = submit(&engine, "second", |job| job.max_tokens = 500);
    gate.release();
    gate.arrived();
    assert!(engine.status().memory_is_short);
    assert!(*is_short.borrow_and_update());
    assert_eq!(engine.status().n_running, 1);
    drop(gate);
    assert_eq!(first.finish().text, alone("first", 500));
    assert_eq!(second.finish().text, alone("second", 500));
    assert!(!engine.status().memory_is_short);
}

#[test]
fn running_jobs_and_the_cache_together_stay_within_the_limit() {
    for step_tokens in [1, 32] {
        stays_within_the_limit(step_tokens);
    }
}

/// Uses a model that allocates memory for `step_tokens` at a time, and keeps it when a slot is rewound.
fn stays_within_the_limit(step_tokens: usize) {
    let mut model = ScriptedModel::hashing();
    model.description.slot_cost.step_tokens = step_tokens;
    let engine = start_limited(model);
    let mut jobs = Vec::new();
    for idx in 0..20_u8 {
        let prompt = char::from(b'a' + idx).to_string().repeat(100 + usize::from(idx));
        jobs.push(submit(&engine, &prompt, |job| {
            job.max_tokens = 100;
            job.speculate = true;
        }));
    }
    for job in jobs {
        job.finish();
    }
    let status = engine.status();
    assert!(status.memory.peak_bytes <= 1000 << 20, "{status:?}");
    assert!(status.cache.bytes > 500 << 20, "as much as fits is kept");
    assert_eq!(status.cache.bytes, status.memory.active_bytes);
}

#[test]
fn many_short_texts_give_back_unused_memory_if_it_is_needed() {
    let mut model = ScriptedModel::hashing();
    model.description.slot_cost.step_tokens = 100;
    let engine = start_limited(model);
    let prompts: Vec<String> = (0..20_u8).map(|idx| char::from(b'a' + idx).to_string().repeat(30)).collect();
    for prompt in &prompts {
        submit(&engine, prompt, |job| job.max_tokens = 2).finish();
    }
    // Their unused memory alone would fill the limit after ten of them; all twenty are kept.
    assert_eq!(engine.status().cache.n_slots, 20);
    for prompt in &prompts {
        let finish = submit(&engine, prompt, |job| job.max_tokens = 2).finish();
        assert_eq!((finish.usage.cached_tokens, finish.text), (29, alone(prompt, 2)));
    }
    assert!(engine.status().memory.peak_bytes <= 1000 << 20, "{:?}", engine.status());
}

#[test]
fn if_the_model_does_not_fit_every_job_fails_with_that_error() {
    let refusal = LoadError::OutOfMemory { needed_bytes: 9, available_bytes: 5 };
    let engine = Engine::spawn(options(), move |_| Err(refusal)).unwrap();
    wait_for(&engine, |state| matches!(state, State::Failed(_)));
    let error = submit(&engine, "p", |_| {}).error();
    assert!(matches!(error, JobError::ModelTooLarge { needed_bytes: 9, available_bytes: 5 }));
}
