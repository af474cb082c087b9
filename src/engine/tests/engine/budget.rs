//! Time: budgets, timings, measured speed, and chunks that fit the target time of a step.

use runabout_engine::{FinishReason, scripted::ScriptedModel};

use super::*;

/// An engine with a clock that the test moves.
fn start_with_clock(model: ScriptedModel) -> (Engine, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    let options = EngineOptions { clock: Arc::clone(&clock) as _, ..EngineOptions::default() };
    (start_with(model, options), clock)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_time_budget_ends_a_job_with_the_text_so_far() {
    let mut model = ScriptedModel::saying("abcdef");
    let gate = model.gate();
    let (engine, clock) = start_with_clock(model);
    let job = submit(&engine, "p", |job| {
        job.max_tokens = 100;
        job.time_budget = Some(ms(250));
    });
    for _ in 0..3 {
        gate.arrived();
        clock.advance(ms(100));
        gate.release();
    }
    let finish = job.finish();
    assert_eq!((finish.text.as_str(), finish.reason), ("abc", FinishReason::Budget));
}

#[test]
fn a_time_budget_counts_from_submission_and_continues_while_the_job_is_overtaken() {
    let mut model = ScriptedModel::saying("abcdef");
    let gate = model.gate();
    let (engine, clock) = start_with_clock(model);
    let first = submit(&engine, "1", |job| job.max_tokens = 1);
    gate.arrived();
    let job = submit(&engine, "2", |job| job.time_budget = Some(ms(600)));
    clock.advance(ms(500));
    gate.release();
    first.finish();
    // It has started, and is overtaken after its first token.
    gate.arrived();
    let interactive = submit(&engine, "3", |job| job.priority = Priority::Interactive);
    gate.release();
    gate.arrived();
    clock.advance(ms(100));
    gate.release();
    let finish = job.finish();
    assert_eq!((finish.text.as_str(), finish.reason), ("a", FinishReason::Budget));
    assert_eq!(finish.timing.queue, ms(500));
    drop(gate);
    interactive.finish();
}

#[test]
fn a_job_whose_time_budget_ends_in_the_queue_never_runs() {
    let mut model = ScriptedModel::saying("abcdef");
    let gate = model.gate();
    let (engine, clock) = start_with_clock(model);
    let first = submit(&engine, "1", |job| job.max_tokens = 2);
    gate.arrived();
    let job = submit(&engine, "2", |job| job.time_budget = Some(ms(100)));
    clock.advance(ms(100));
    gate.release();
    let finish = job.finish();
    assert_eq!((finish.text.as_str(), finish.reason), ("", FinishReason::Budget));
    assert_eq!((finish.timing.queue, finish.usage.completion_tokens), (ms(100), 0));
    drop(gate);
    first.finish();
}

#[test]
fn a_time_budget_that_ends_in_prefill_gives_no_text_and_keeps_the_prefix() {
    let mut model = ScriptedModel::saying("abcdef");
    let gate = model.gate();
    let (engine, clock) = start_with_clock(model);
    let budgeted = |job: &mut Job| job.time_budget = Some(ms(50));
    let job = submit(&engine, "a prompt of more than eight tokens", budgeted);
    gate.arrived();
    clock.advance(ms(50));
    gate.release();
    let finish = job.finish();
    assert_eq!((finish.text.as_str(), finish.reason), ("", FinishReason::Budget));
    assert_eq!(finish.timing.first_token, None);
    drop(gate);
    let finish = submit(&engine, "a prompt of more than eight tokens", budgeted).finish();
    assert_eq!(finish.usage.cached_tokens, 8);
}

#[test]
fn timings_are_those_of_the_stages() {
    let mut model = ScriptedModel::saying("ab");
    let gate = model.gate();
    let (engine, clock) = start_with_clock(model);
    let first = submit(&engine, "1", |job| job.max_tokens = 1);
    gate.arrived();
    let job = submit(&engine, "nine byte", |job| job.max_tokens = 100);
    clock.advance(ms(7));
    gate.release();
    first.finish();
    for elapsed in [10, 20, 3, 4] {
        gate.arrived();
        clock.advance(ms(elapsed));
        gate.release();
    }
    let timing = job.finish().timing;
    assert_eq!(timing.queue, ms(7));
    assert_eq!(timing.prefill, ms(30));
    assert_eq!(timing.first_token, Some(ms(37)));
    assert_eq!(timing.decode, ms(7));
    assert_eq!(timing.total, ms(44));
}

#[test]
fn speed_is_only_reported_if_it_was_measured() {
    let mut model = ScriptedModel::saying("ab");
    let gate = model.gate();
    let (engine, clock) = start_with_clock(model);
    assert_eq!(engine.status().speed.prefill_tokens_per_second, None);
    let job = submit(&engine, "12345678", |job| job.max_tokens = 100);
    for elapsed in [100, 10, 10] {
        gate.arrived();
        clock.advance(ms(elapsed));
        gate.release();
    }
    job.finish();
    let speed = engine.status().speed;
    assert!((speed.prefill_tokens_per_second.unwrap() - 80.0).abs() < 1e-6);
    assert!((speed.decode_tokens_per_second.unwrap() - 100.0).abs() < 1e-6);
}

#[test]
fn every_token_that_the_model_is_fed_is_counted() {
    let model = ScriptedModel::saying("ab");
    let recording = model.recording();
    let engine = start(model);
    for (prompt, n_new) in [("12345678", 8), ("12345678", by_mode(1, 8))] {
        let before = engine.status().n_computed;
        submit(&engine, prompt, |job| job.max_tokens = 100).finish();
        // `a` and `b` are fed, and the end token is not.
        assert_eq!(engine.status().n_computed - before, n_new + 2, "{prompt}");
    }
    let n_fed: usize = recording.spans().iter().map(|it| it.tokens.len()).sum();
    assert_eq!(engine.status().n_computed, n_fed as u64);
}

#[test]
fn prefill_chunks_adapt_to_the_target_time_of_a_step() {
    let mut model = ScriptedModel::saying("");
    let gate = model.gate();
    let (engine, clock) = start_with_clock(model);
    let job = submit(&engine, &"x".repeat(1000), |_| {});
    let mut sizes = Vec::new();
    // A machine that prefills a token in half a millisecond, and later becomes ten times slower.
    let per_token = |n_fed: usize| if n_fed < 500 { 500 } else { 5000 };
    let mut n_fed = 0;
    while n_fed < 1000 {
        let n_tokens = gate.arrived()[0].tokens.len();
        n_fed += n_tokens;
        sizes.push(n_tokens);
        clock.advance(Duration::from_micros(per_token(n_fed) * n_tokens as u64));
        gate.release();
    }
    job.finish();
    assert_eq!(sizes[..5], [8, 32, 100, 100, 100]);
    assert!(sizes[sizes.len() - 2] < 30, "{sizes:?}");
}
