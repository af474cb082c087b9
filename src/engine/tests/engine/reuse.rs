//! Moving what follows an edit, if that is allowed: which tokens, when, and what happens to the slot they come from.
//!
//! Only models whose slots return to any length can do this, so most of these tests are the same in both modes.

use proptest::prelude::*;
use runabout_engine::scripted::{FedSpan, Shift};

use super::*;

const HEAD: &str = "system: you edit files. file: ";
const TAIL: &str = "\nfn tail() { the rest of the file, which nobody has touched }\nuser: what does it do?";

fn reusing(n_min_reuse: usize) -> EngineOptions {
    EngineOptions { n_min_reuse, ..options() }
}

fn prompt(edited: &str) -> String {
    format!("{HEAD}{edited}{TAIL}")
}

/// The start of each span, and its tokens as text.
fn fed(spans: &[FedSpan]) -> Vec<(usize, String)> {
    let text = |tokens: &[u32]| tokens.iter().map(|it| char::from(u8::try_from(*it).unwrap())).collect();
    spans.iter().map(|it| (it.start, text(&it.tokens))).collect()
}

#[test]
fn only_the_edit_and_the_last_token_are_computed() {
    for (edited, expected) in [("NEWER", "NEWER"), ("O-and-more", "-and-more"), ("OL", "")] {
        let model = ScriptedModel::hashing();
        let recording = model.recording();
        let engine = start_as_it_is(model, reusing(16));
        submit(&engine, &prompt("OLD"), |_| {}).finish();
        recording.take();
        let edited = prompt(edited);
        let finish = submit(&engine, &edited, |job| job.max_tokens = 1).finish();
        assert_eq!(finish.text, alone(&edited, 1));
        let n_alike = edited.len() - TAIL.len() - expected.len();
        let mut spans = vec![(n_alike, expected.to_owned()), (edited.len() - 1, "?".to_owned())];
        spans.retain(|it| !it.1.is_empty());
        assert_eq!(fed(&recording.spans()), spans);
        let n_moved = TAIL.len() - 1;
        let shifts = recording.shifts();
        let [Shift { slot, start, from, range }] = shifts.as_slice() else { panic!("{shifts:?}") };
        assert_ne!(slot, from);
        assert_eq!(*start, n_alike + expected.len());
        assert_eq!(*range, HEAD.len() + 3..HEAD.len() + 3 + n_moved);
        assert_eq!(finish.usage.cached_tokens, n_alike + n_moved);
        let cache = engine.status().cache;
        assert_eq!(cache.n_tokens_found, (n_alike + n_moved) as u64);
    }
}

#[test]
fn nothing_is_moved_unless_it_is_enabled_and_long_enough() {
    for n_min_reuse in [0, TAIL.len()] {
        let model = ScriptedModel::hashing();
        let recording = model.recording();
        let engine = start_as_it_is(model, reusing(n_min_reuse));
        submit(&engine, &prompt("OLD"), |_| {}).finish();
        let finish = submit(&engine, &prompt("NEWER"), |_| {}).finish();
        assert_eq!((finish.usage.cached_tokens, recording.shifts()), (HEAD.len(), Vec::new()));
    }
}

#[test]
fn several_edits_are_handled_and_chunks_end_where_a_part_begins() {
    let model = ScriptedModel::hashing();
    let recording = model.recording();
    let engine = start_as_it_is(model, EngineOptions { prefill_chunk: 4, ..reusing(10) });
    let middle = "the first part that stays; ";
    submit(&engine, &prompt(&format!("one {middle}two")), |_| {}).finish();
    recording.take();
    let edited = prompt(&format!("eleven {middle}twelve"));
    let finish = submit(&engine, &edited, |job| job.max_tokens = 1).finish();
    assert_eq!(finish.text, alone(&edited, 1));
    let texts: Vec<String> = fed(&recording.spans()).into_iter().map(|it| it.1).collect();
    assert_eq!(texts.concat(), "elevenelve?", "{texts:?}");
    assert_eq!(finish.usage.cached_tokens, edited.len() - "elevenelve?".len());
}

#[test]
fn the_slot_of_the_same_document_is_used_up_and_another_ones_stays_if_much_is_left() {
    let engine = start_as_it_is(ScriptedModel::hashing(), reusing(16));
    let document: Arc<str> = "file:///a".into();
    for edited in ["OLD", "NEWER", "NEWEST OF ALL"] {
        submit(&engine, &prompt(edited), |job| job.document = Some(Arc::clone(&document))).finish();
        assert_eq!(engine.status().cache.n_slots, 1);
    }
    let engine = start_as_it_is(ScriptedModel::hashing(), reusing(16));
    let long = format!("{}{}", prompt("OLD"), "and a long answer, ".repeat(20));
    submit(&engine, &long, |_| {}).finish();
    submit(&engine, &prompt("NEWER"), |_| {}).finish();
    assert_eq!(engine.status().cache.n_slots, 2);
    let finish = submit(&engine, &long, |_| {}).finish();
    assert_eq!(finish.usage.cached_tokens, long.len() - 1);
}

#[test]
fn a_cancel_before_the_move_leaves_both_slots_unchanged() {
    let mut model = ScriptedModel::hashing();
    let recording = model.recording();
    let gate = model.gate();
    let engine = start_as_it_is(model, reusing(16));
    let first = submit(&engine, &prompt("OLD"), |job| job.max_tokens = 1);
    while !gate.pass().iter().any(|it| it.sampled) {}
    first.finish();
    let edited = prompt("NEWER");
    let second = submit(&engine, &edited, |_| {});
    gate.arrived();
    engine.cancel(second.id, runabout_engine::CancelReason::Cancelled);
    gate.release();
    drop(gate);
    let finish = second.finish();
    assert_eq!(finish.usage.cached_tokens, HEAD.len());
    assert_eq!(recording.shifts(), []);
    assert_eq!(engine.status().cache.n_slots, 2);
    let again = submit(&engine, &edited, |_| {}).finish();
    assert_eq!((again.text, again.usage.cached_tokens), (alone(&edited, 4), edited.len() - 1));
}

#[test]
fn without_memory_for_both_slots_the_tail_is_computed() {
    for (kv_mib, n_shifts) in [(300, 1), (250, 0)] {
        let mut model = ScriptedModel::hashing();
        model.description.slot_cost.bytes_per_token = 1 << 20;
        let recording = model.recording();
        let options = EngineOptions {
            memory_limit_bytes: Some((kv_mib + 320) << 20),
            cache_limit_bytes: u64::MAX,
            ..reusing(16)
        };
        let engine = start_as_it_is(model, options);
        submit(&engine, &prompt("OLD"), |_| {}).finish();
        let edited = prompt("NEWER");
        let finish = submit(&engine, &edited, |job| job.max_tokens = 40).finish();
        assert_eq!(finish.text, alone(&edited, 40));
        assert_eq!(recording.shifts().len(), n_shifts);
        let memory = engine.status().memory;
        assert!(memory.peak_bytes <= kv_mib << 20, "{kv_mib} {memory:?}");
    }
}

#[test]
fn if_a_model_cannot_move_tokens_they_are_computed() {
    let mut model = ScriptedModel::hashing();
    model.shifts_fail = true;
    let engine = start_as_it_is(model, reusing(16));
    submit(&engine, &prompt("OLD"), |_| {}).finish();
    let edited = prompt("NEWER");
    assert_eq!(submit(&engine, &edited, |_| {}).finish().text, alone(&edited, 4));
    assert_eq!(submit(&engine, "something else", |_| {}).finish().text, alone("something else", 4));
}

#[test]
fn nothing_is_moved_in_a_model_that_cannot_do_this() {
    // The scripted model panics if it is asked to.
    for only_checkpoints in [false, true] {
        let mut model = ScriptedModel::hashing();
        if only_checkpoints {
            model = model.with_checkpoints_only();
        } else {
            model.description.can_shift = false;
        }
        let engine = start_as_it_is(model, reusing(16));
        submit(&engine, &prompt("OLD"), |_| {}).finish();
        let finish = submit(&engine, &prompt("NEWER"), |_| {}).finish();
        assert_eq!(finish.text, alone(&prompt("NEWER"), 4));
        assert_eq!(finish.usage.cached_tokens, if only_checkpoints { 0 } else { HEAD.len() });
    }
}

fn prompts() -> impl Strategy<Value = Vec<String>> {
    let word = prop::sample::select(vec!["let ", "x ", "= ", "value", "; ", "a much longer word "]);
    let prompt = prop::collection::vec(word, 1..20).prop_map(|words| words.concat());
    prop::collection::vec(prompt, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The hashing model uses what its slots hold: whatever was moved, it must be the prompt.
    #[test]
    fn slots_hold_the_prompt_however_it_was_assembled(
        prompts in prompts(),
        n_min_reuse in 1_usize..12,
        prefill_chunk in 1_usize..40,
        cache_limit_bytes in 0_u64..800,
        max_slots in 0_usize..5,
        n_together in 1_usize..4,
    ) {
        let options = EngineOptions { prefill_chunk, cache_limit_bytes, max_slots, ..reusing(n_min_reuse) };
        let engine = start_with(ScriptedModel::hashing(), options);
        for together in prompts.chunks(n_together) {
            let jobs: Vec<Submitted> = together.iter().map(|it| submit(&engine, it, |_| {})).collect();
            for (prompt, job) in together.iter().zip(jobs) {
                prop_assert_eq!(job.finish().text, alone(prompt, 4), "{}", prompt);
            }
            prop_assert!(engine.status().cache.bytes <= cache_limit_bytes);
        }
    }
}
