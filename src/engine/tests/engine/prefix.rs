//! The prefix cache: what is fed again and what is not, and that no text depends on it.

use proptest::prelude::*;
use runabout_engine::scripted::{FedSpan, ScriptedModel};

use super::*;

fn n_fed(spans: &[FedSpan]) -> usize {
    spans.iter().map(|span| span.tokens.len()).sum()
}

#[test]
fn the_second_request_feeds_only_the_suffix() {
    let model = ScriptedModel::saying("");
    let recording = model.recording();
    let engine = start(model);
    submit(&engine, "fn main() {", |_| {}).finish();
    recording.take();
    let finish = submit(&engine, "fn main() { let", |_| {}).finish();
    assert_eq!(finish.usage.cached_tokens, 11);
    let fed = recording.take();
    assert_eq!(fed.len(), 1);
    assert_eq!((fed[0].start, fed[0].tokens.clone()), (11, bytes(" let")));
}

#[test]
fn generated_text_is_found_in_the_cache_too() {
    let model = ScriptedModel::replying(&[("Q1 ", "A1 "), ("Q1 A1 Q2 ", "A2 ")]);
    let recording = model.recording();
    let engine = start(model);
    submit(&engine, "Q1 ", |job| job.max_tokens = 10).finish();
    recording.take();
    let finish = submit(&engine, "Q1 A1 Q2 ", |job| job.max_tokens = 10).finish();
    assert_eq!(finish.text, "A2 ");
    assert_eq!(finish.usage.cached_tokens, 6);
    assert_eq!(recording.take()[0].tokens, bytes(by_mode("Q2 ", "Q2")));
}

#[test]
fn a_prompt_that_is_completely_cached_feeds_its_last_token_again() {
    let model = ScriptedModel::hashing();
    let recording = model.recording();
    let engine = start(model);
    let first = submit(&engine, "the same prompt", |_| {}).finish();
    recording.take();
    let second = submit(&engine, "the same prompt", |_| {}).finish();
    assert_eq!(second.text, first.text);
    assert_eq!(second.usage.cached_tokens, 14);
    assert_eq!(recording.take()[0].tokens, bytes("t"));
}

#[test]
fn typing_reuses_the_text_before_the_cursor() {
    let model = ScriptedModel::hashing();
    let recording = model.recording();
    let engine = start(model);
    let file = "let mut total = 0; for item in items { total += item.price * item.quantity; }";
    submit(&engine, &format!("{file}|suffix"), |_| {}).finish();
    recording.take();
    let typed = format!("{file} total|suffix");
    let finish = submit(&engine, &typed, |_| {}).finish();
    // Nobody knew that the prompts would depart from each other there.
    assert_eq!(finish.usage.cached_tokens, by_mode(file.len(), 0));
    assert_eq!(finish.text, alone(&typed, 4));
    assert_eq!(engine.status().cache.n_slots, by_mode(1, 2));
}

#[test]
fn a_long_slot_is_not_sacrificed_for_a_short_shared_beginning() {
    let model = ScriptedModel::hashing();
    let recording = model.recording();
    let engine = start(model);
    let long = format!("system: {}", "a long conversation ".repeat(20));
    submit(&engine, &long, |_| {}).finish();
    submit(&engine, "system: something else", |_| {}).finish();
    assert_eq!(engine.status().cache.n_slots, 2);
    recording.take();
    let finish = submit(&engine, &format!("{long}goes on"), |_| {}).finish();
    assert_eq!(finish.usage.cached_tokens, long.len() - by_mode(0, 1));
    assert_eq!(n_fed(&recording.take()[..1]), by_mode(7, 8));
}

#[test]
fn the_cache_stays_within_its_bytes_and_evicts_the_least_recently_used() {
    let mut model = ScriptedModel::saying("");
    model.description.slot_cost.bytes_per_token = 10;
    // A slot takes 150 bytes, or 210 with its fixed part and a checkpoint.
    let cache_limit_bytes = by_mode(400, 520);
    let engine = start_with(model, EngineOptions { cache_limit_bytes, ..options() });
    let prompts = ["aaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbb", "ccccccccccccccc"];
    let ask = |prompt: &str| submit(&engine, prompt, |_| {}).finish().usage.cached_tokens;
    assert_eq!(ask(prompts[0]), 0);
    assert_eq!(ask(prompts[1]), 0);
    assert_eq!(ask(prompts[0]), 14);
    // There is no room for three; the second is the least recently used.
    assert_eq!(ask(prompts[2]), 0);
    assert_eq!(ask(prompts[0]), 14);
    assert_eq!(ask(prompts[1]), 0);
    let status = engine.status();
    let bytes = by_mode(300, 420);
    assert_eq!((status.cache.n_slots, status.cache.n_tokens, status.cache.bytes), (2, 30, bytes));
    assert_eq!(status.memory.active_bytes, bytes);
}

#[test]
fn slots_are_evicted_before_a_step_not_after_it() {
    let mut model = ScriptedModel::saying("");
    model.description.slot_cost.bytes_per_token = 10;
    let engine = start_with(model, EngineOptions { cache_limit_bytes: 200, ..options() });
    submit(&engine, "aaaaaaaa", |_| {}).finish();
    submit(&engine, "bbbbbbbbbbbbbbbbbb", |_| {}).finish();
    assert_eq!(engine.status().memory.peak_bytes, by_mode(180, 180 + 40));
}

#[test]
fn the_number_of_slots_is_limited_too() {
    let engine = start_with(ScriptedModel::saying(""), EngineOptions { max_slots: 2, ..options() });
    for letter in ["a", "b", "c", "d"] {
        submit(&engine, &letter.repeat(10), |_| {}).finish();
        assert!(engine.status().cache.n_slots <= 2);
    }
    assert_eq!(submit(&engine, &"d".repeat(10), |_| {}).finish().usage.cached_tokens, 9);
    assert_eq!(submit(&engine, &"a".repeat(10), |_| {}).finish().usage.cached_tokens, 0);
}

#[test]
fn warming_a_cached_prompt_keeps_it_from_eviction() {
    let engine = start_with(ScriptedModel::saying(""), EngineOptions { max_slots: 2, ..options() });
    for letter in ["a", "b", "a", "c"] {
        submit(&engine, &letter.repeat(10), |job| job.max_tokens = 0).finish();
    }
    assert_eq!(submit(&engine, &"a".repeat(10), |_| {}).finish().usage.cached_tokens, 9);
}

#[test]
fn the_status_counts_prompts_looked_up_and_found() {
    let engine = start(ScriptedModel::saying(""));
    submit(&engine, "0123456789", |_| {}).finish();
    submit(&engine, "0123456789abcde", |_| {}).finish();
    let cache = engine.status().cache;
    assert_eq!((cache.n_lookups, cache.n_hits), (2, 1));
    assert_eq!((cache.n_tokens_asked, cache.n_tokens_found), (25, 10));
}

/// A prompt made of a few words, so that prompts share beginnings.
fn prompts() -> impl Strategy<Value = Vec<(String, usize)>> {
    let word = prop::sample::select(vec!["let ", "x ", "= ", "value", "; "]);
    let prompt = prop::collection::vec(word, 1..20).prop_map(|words| words.concat());
    prop::collection::vec((prompt, 0_usize..6), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The hashing model uses what its slots really hold, so a token too many or too few there changes the text.
    #[test]
    fn greedy_text_depends_neither_on_chunks_nor_on_the_cache(
        prompts in prompts(),
        prefill_chunk in 1_usize..40,
        cache_limit_bytes in 0_u64..400,
        max_slots in 0_usize..4,
    ) {
        let options = EngineOptions { prefill_chunk, cache_limit_bytes, max_slots, ..options() };
        let engine = start_with(ScriptedModel::hashing(), options);
        for (prompt, max_tokens) in &prompts {
            let finish = submit(&engine, prompt, |job| job.max_tokens = *max_tokens).finish();
            prop_assert_eq!(finish.text, alone(prompt, *max_tokens), "{}", prompt);
            prop_assert!(engine.status().cache.bytes <= cache_limit_bytes);
        }
    }
}
