//! A draft model: it saves steps of the model, and changes nothing else.

use runabout_engine::scripted::Recording;

use super::*;

const PROMPT: &str = "Say something new: ";

const TEXT: &str = "the quick brown fox jumps over a lazy dog: 13 wizards vex big jolted bank";

/// An engine with a draft model, and the records of what each of the two is fed.
fn start_with_draft(
    model: ScriptedModel,
    draft: ScriptedModel,
    options: EngineOptions,
) -> (Engine, [Recording; 2]) {
    let (model, draft) = (in_mode(model), in_mode(draft));
    let recordings = [model.recording(), draft.recording()];
    let engine = Engine::spawn(options, move |_| Ok(model.loaded_with_draft(draft))).unwrap();
    (engine, recordings)
}

/// Drafts as many tokens as pay off.
fn adaptive() -> EngineOptions {
    options()
}

fn always(n: usize) -> EngineOptions {
    EngineOptions { n_draft_tokens: Some(n), ..options() }
}

fn speculative(job: &mut Job) {
    job.speculate = true;
    job.max_tokens = 200;
}

#[test]
fn a_draft_model_that_agrees_with_the_model_is_always_right_and_saves_steps() {
    let (engine, [model, draft]) =
        start_with_draft(ScriptedModel::saying(TEXT), ScriptedModel::saying(TEXT), always(4));
    let finish = submit(&engine, PROMPT, speculative).finish();
    assert_eq!((finish.text.as_str(), finish.reason), (TEXT, runabout_engine::FinishReason::Eos));
    assert_eq!(finish.tokens, bytes(TEXT));
    let usage = finish.usage;
    assert_eq!(usage.completion_tokens, TEXT.len() + 1);
    assert_eq!(usage.drafted_tokens, usage.accepted_tokens);
    // The prompt in chunks, then five tokens per step.
    let n_chunks = model.spans().iter().filter(|it| !it.sampled).count();
    assert_eq!(model.spans().len() - n_chunks, 1 + TEXT.len().div_ceil(5));
    // The draft model was fed each token once, except the last draft of the last step.
    let n_fed: usize = draft.spans().iter().map(|it| it.tokens.len()).sum();
    assert!(n_fed <= PROMPT.len() + TEXT.len(), "{n_fed}");
}

#[test]
fn more_drafts_are_made_if_they_are_accepted() {
    let (engine, [model, _]) =
        start_with_draft(ScriptedModel::saying(TEXT), ScriptedModel::saying(TEXT), adaptive());
    let finish = submit(&engine, PROMPT, speculative).finish();
    assert_eq!(finish.text, TEXT);
    assert_eq!(finish.usage.drafted_tokens, finish.usage.accepted_tokens);
    let drafts: Vec<usize> = model.spans().iter().map(|it| it.n_drafted).filter(|it| *it > 0).collect();
    assert!(drafts.iter().max() > drafts.first(), "{drafts:?}");
    assert!(model.spans().len() * 2 < TEXT.len(), "{} steps", model.spans().len());
}

#[test]
fn a_draft_model_that_is_always_wrong_is_soon_no_longer_used() {
    let (engine, [model, _]) =
        start_with_draft(ScriptedModel::hashing(), ScriptedModel::new(|_, _| 1), adaptive());
    let finish = submit(&engine, PROMPT, speculative).finish();
    assert_eq!(finish.text, alone(PROMPT, 200));
    assert_eq!(finish.usage.accepted_tokens, 0);
    assert!((1..30).contains(&finish.usage.drafted_tokens), "{:?}", finish.usage);
    let n_chunks = model.spans().iter().filter(|it| !it.sampled).count();
    assert_eq!(model.spans().len() - n_chunks, 200);
}

#[test]
fn drafts_that_are_right_half_of_the_time_do_not_change_the_text() {
    // Right if the text so far has an even number of certain tokens.
    let model =
        || ScriptedModel::new(|held, n| if held.len() % 7 < 4 { 97 } else { bytes("bcdefgh")[n % 7] });
    let draft = ScriptedModel::new(|_, _| 97);
    let engine = start(model());
    let expected = submit(&engine, PROMPT, |job| job.max_tokens = 150).finish();
    for n in [1, 2, 5, 24] {
        let (engine, _) = start_with_draft(model(), ScriptedModel::new(|_, _| 97), always(n));
        let finish = submit(&engine, PROMPT, |job| {
            speculative(job);
            job.max_tokens = 150;
        })
        .finish();
        assert_eq!(finish.tokens, expected.tokens, "{n} at a time");
        assert!(
            finish.usage.accepted_tokens > 0 && finish.usage.accepted_tokens < finish.usage.drafted_tokens
        );
    }
    let (engine, _) = start_with_draft(model(), draft, adaptive());
    assert_eq!(submit(&engine, PROMPT, |job| job.max_tokens = 150).finish().tokens, expected.tokens);
}

#[test]
fn the_draft_model_draws_as_the_model_does() {
    let (engine, [_, draft]) =
        start_with_draft(ScriptedModel::hashing(), ScriptedModel::hashing(), always(3));
    let finish = submit(&engine, PROMPT, |job| {
        speculative(job);
        job.top_logprobs = Some(1);
        job.params.temperature = 1.0;
        job.params.seed = Some(5);
    })
    .finish();
    assert_eq!(finish.text, alone(PROMPT, 200));
    assert_eq!(finish.usage.drafted_tokens, finish.usage.accepted_tokens);
    assert_eq!(finish.logprobs.len(), 200);
    assert!(draft.spans().iter().all(|it| it.n_drafted == 0));
}

#[test]
fn drafts_from_the_text_come_before_those_of_the_draft_model() {
    let prompt = format!("Repeat this: {TEXT}. Here it is: {}", &TEXT[..12]);
    let rest = &TEXT[12..];
    // The drafts of the draft model would all be rejected.
    let (engine, _) = start_with_draft(ScriptedModel::saying(rest), ScriptedModel::new(|_, _| 1), always(2));
    let finish = submit(&engine, &prompt, speculative).finish();
    assert_eq!(finish.text, rest);
    assert!(finish.usage.accepted_tokens * 2 > rest.len(), "{:?}", finish.usage);
    assert!(finish.usage.drafted_tokens < 2 * finish.usage.accepted_tokens, "{:?}", finish.usage);
}

#[test]
fn without_permission_the_draft_model_is_not_used() {
    let (engine, [_, draft]) =
        start_with_draft(ScriptedModel::hashing(), ScriptedModel::hashing(), always(4));
    let finish = submit(&engine, PROMPT, |job| job.max_tokens = 50).finish();
    assert_eq!(finish.usage.drafted_tokens, 0);
    assert_eq!(draft.spans(), []);
}

#[test]
fn a_long_prompt_is_not_read_twice_for_a_short_answer() {
    let (mut model, mut draft) = (ScriptedModel::hashing(), ScriptedModel::hashing());
    // A draft costs a tenth of a token, and reading a token costs a two hundredth.
    (model.description.weights_bytes, draft.description.weights_bytes) = (9, 1);
    let (engine, [_, draft]) = start_with_draft(model, draft, adaptive());
    let prompt = "A long prompt. ".repeat(100);
    submit(&engine, &prompt, |job| {
        speculative(job);
        job.max_tokens = 20;
    })
    .finish();
    assert_eq!(draft.spans(), []);
    let finish = submit(&engine, &prompt, speculative).finish();
    assert_eq!(finish.text, alone(&prompt, 200));
    assert!(finish.usage.accepted_tokens > 50, "{:?}", finish.usage);
}

#[test]
fn the_draft_models_slot_follows_the_models_slot() {
    let (engine, [_, draft]) =
        start_with_draft(ScriptedModel::hashing(), ScriptedModel::hashing(), always(4));
    let first = submit(&engine, PROMPT, |job| {
        speculative(job);
        job.max_tokens = 40;
    })
    .finish();
    draft.take();
    // The conversation continues: nothing is read again except the very end.
    let prompt = format!("{PROMPT}{} and more", first.text);
    let second = submit(&engine, &prompt, |job| {
        speculative(job);
        job.max_tokens = 40;
    })
    .finish();
    assert_eq!(second.text, alone(&prompt, 40));
    let n_fed: usize = draft.spans().iter().map(|it| it.tokens.len()).sum();
    assert!(n_fed <= " and more".len() + 40 + 6, "{n_fed}");
    // The slot is copied for a prompt that shares its beginning, and truncated for one that ends earlier.
    for (prompt, n_new) in [(format!("{} another end", &prompt[..40]), 12), (prompt[..30].to_owned(), 0)] {
        draft.take();
        let finish = submit(&engine, &prompt, |job| {
            speculative(job);
            job.max_tokens = 20;
        })
        .finish();
        assert_eq!(finish.text, alone(&prompt, 20));
        assert_eq!(finish.usage.drafted_tokens, finish.usage.accepted_tokens);
        let n_fed: usize = draft.spans().iter().map(|it| it.tokens.len()).sum();
        assert!(n_fed <= n_new + 20 + 6, "{n_fed} for `{prompt}`");
    }
}

#[test]
fn drafts_for_several_running_jobs_are_made_together() {
    let prompts = ["one", "another", "a third prompt", "and a fourth"];
    let (engine, [model, _]) =
        start_with_draft(ScriptedModel::hashing(), ScriptedModel::hashing(), always(3));
    let jobs = prompts.map(|it| submit(&engine, it, speculative));
    let interactive = submit(&engine, "in between", |job| {
        speculative(job);
        job.priority = Priority::Interactive;
        job.max_tokens = 30;
    });
    assert_eq!(interactive.finish().text, alone("in between", 30));
    for (job, prompt) in jobs.into_iter().zip(prompts) {
        let finish = job.finish();
        assert_eq!(finish.text, alone(prompt, 200));
        assert_eq!(finish.usage.drafted_tokens, finish.usage.accepted_tokens);
    }
    assert!(model.spans().iter().any(|it| it.n_drafted == 3));
}

#[test]
fn if_the_draft_model_fails_only_its_drafts_are_missing() {
    let mut draft = ScriptedModel::hashing();
    let gate = draft.gate();
    let (engine, _) = start_with_draft(ScriptedModel::hashing(), draft, always(2));
    let job = submit(&engine, PROMPT, |job| {
        speculative(job);
        job.max_tokens = 30;
    });
    gate.pass();
    gate.arrived();
    gate.fail("the draft model is out of order");
    // It reads from the beginning and succeeds.
    drop(gate);
    let finish = job.finish();
    assert_eq!(finish.text, alone(PROMPT, 30));
    assert!(finish.usage.accepted_tokens > 0);
}

#[test]
fn tokens_that_only_one_of_the_models_has_end_the_drafting() {
    let mut draft = ScriptedModel::new(|_, n| if n < 10 { 97 } else { 300 });
    draft.description.vocabulary_size = 301;
    let model = || ScriptedModel::new(|_, n| if n == 30 { 264 } else { 97 });
    let (engine, _) = start_with_draft(model(), draft, always(4));
    let finish = submit(&engine, PROMPT, |job| {
        speculative(job);
        job.max_tokens = 20;
    })
    .finish();
    assert_eq!(finish.tokens, vec![97; 20]);
    // The draft model is never fed a token that it does not have.
    let mut draft = ScriptedModel::new(|held, _| {
        assert!(held.iter().all(|it| *it < 200));
        97
    });
    draft.description.vocabulary_size = 200;
    let (engine, _) = start_with_draft(model(), draft, always(4));
    let finish = submit(&engine, PROMPT, |job| {
        speculative(job);
        job.end_tokens = Vec::new();
        job.max_tokens = 60;
    })
    .finish();
    assert_eq!((finish.tokens[30], finish.tokens.len()), (264, 60));
}

#[test]
fn the_memory_of_the_draft_model_counts() {
    let (mut model, mut draft) = (ScriptedModel::saying("ok"), ScriptedModel::saying("ok"));
    (model.description.slot_cost.bytes_per_token, draft.description.slot_cost.bytes_per_token) =
        (3 << 20, 1 << 20);
    (model.description.weights_bytes, draft.description.weights_bytes) = (30, 10);
    let limited = EngineOptions { memory_limit_bytes: Some((1000 + 320) << 20), ..options() };
    let (engine, _) = start_with_draft(model, draft, limited);
    let error = submit(&engine, "0123456789", |job| job.max_tokens = 241).error();
    let JobError::OutOfMemory { needed_bytes, available_bytes } = error else { panic!("{error}") };
    assert_eq!((needed_bytes >> 20, available_bytes >> 20), (4 * 251, 1000));
    assert_eq!(submit(&engine, "0123456789", |job| job.max_tokens = 240).finish().text, "ok");
    let State::Ready(description) = engine.state() else { panic!("the model is there") };
    assert_eq!((description.weights_bytes, description.slot_cost.bytes_per_token), (40, 4 << 20));
    // The prompt, and one token; of the two that were drawn, one was fed.
    assert_eq!(engine.status().cache.bytes, (10 + 2) * (4 << 20));
}
