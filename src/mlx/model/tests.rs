//! Tests of a tiny random model, on MLX's operations and on the CPU kernels.
//!
//! Both must give the same results for every kind of checkpoint, however tokens are divided into spans and steps.

#![allow(clippy::unwrap_used)]

use runabout_engine::model::{LanguageModel, SampleRequest, Sampled, SlotId, Span};
use runabout_text::SamplingParams;

use crate::cpu::Kernels;
use crate::device::Compute;
use crate::testing::alone;
use crate::testing::tiny::{self, Tiny};
use crate::{KvBits, LoadError, MlxModel, Placement, Precision};

fn load(tiny: &Tiny, kernels: Option<Kernels>, kv_bits: Option<KvBits>) -> MlxModel {
    let placement = Placement { compute: Compute::Cpu, kernels, kv_bits, group: None };
    crate::load_with(tiny.folder.path(), None, &placement, &mut |_, _| {}).unwrap()
}

fn stock(tiny: &Tiny) -> MlxModel {
    load(tiny, None, None)
}

/// With the kernels' own choice of path and precision, if they are built.
fn fast(tiny: &Tiny) -> MlxModel {
    fast_in(tiny, None)
}

fn fast_in(tiny: &Tiny, precision: Option<Precision>) -> MlxModel {
    let kernels = Kernels::new(None, precision).unwrap();
    load(tiny, kernels, None)
}

fn sample(params: &SamplingParams, top_logprobs: Option<usize>) -> SampleRequest<'_> {
    SampleRequest { params, history: &[], n_generated: 0, seed: 0, top_logprobs, allowed: &[] }
}

fn greedy() -> SamplingParams {
    SamplingParams { temperature: 0.0, ..SamplingParams::default() }
}

fn step_one(model: &mut MlxModel, slot: SlotId, tokens: &[u32], top_logprobs: Option<usize>) -> Sampled {
    let params = greedy();
    let span =
        Span { slot, tokens, n_drafted: 0, sample: Some(sample(&params, top_logprobs)), checkpoint: false };
    model.step(&[span]).unwrap().remove(0).remove(0)
}

/// Log probabilities of the whole vocabulary, by token, after `tokens`.
fn logprobs(model: &mut MlxModel, tokens: &[u32]) -> Vec<f32> {
    let slot = model.open_slot();
    let sampled = step_one(model, slot, tokens, Some(tiny::VOCABULARY as usize));
    model.close_slot(slot);
    let mut top = sampled.logprobs.unwrap().top;
    assert_eq!(top.len(), tiny::VOCABULARY as usize);
    top.sort_by_key(|it| it.0);
    top.into_iter().map(|it| it.1).collect()
}

/// `n` greedy tokens after `prompt`, which is fed in chunks of `chunk`.
fn generate(model: &mut MlxModel, slot: SlotId, prompt: &[u32], chunk: usize, n: usize) -> Vec<u32> {
    let mut chunks: Vec<_> = prompt.chunks(chunk).collect();
    let last = chunks.pop().unwrap();
    for tokens in chunks {
        assert_eq!(
            model.step(&[Span { slot, tokens, n_drafted: 0, sample: None, checkpoint: false }]).unwrap(),
            [[]]
        );
    }
    let mut out = vec![step_one(model, slot, last, None).token];
    while out.len() < n {
        out.push(step_one(model, slot, &out[out.len() - 1..], None).token);
    }
    out
}

fn prompt(n: usize, seed: u32) -> Vec<u32> {
    (0..tiny::VOCABULARY).cycle().map(|i| (i * 37 + seed * 11) % tiny::VOCABULARY).take(n).collect()
}

#[test]
fn both_paths_give_the_same_probabilities() {
    let _alone = alone();
    // Most of the difference comes from keys and values in float16.
    let bounds = [(Precision::F32, 5e-4), (Precision::Int16, 2e-3), (Precision::Int8, 5e-2)];
    for (tiny, (precision, bound)) in Tiny::all().iter().flat_map(|it| bounds.map(|bound| (it, bound))) {
        let (mut stock, mut fast) = (stock(tiny), fast_in(tiny, Some(precision)));
        for n in [1, 7, 40] {
            let (expected, got) = (logprobs(&mut stock, &prompt(n, 1)), logprobs(&mut fast, &prompt(n, 1)));
            let size = expected.iter().fold(0.0_f32, |size, it| size.max(it.abs()));
            let error = expected.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(error < bound * size, "{} in {precision}, {n} tokens: {error} of {size}", tiny.name);
        }
    }
}

#[test]
fn tokens_do_not_depend_on_chunks_and_a_slot_can_be_cut_back() {
    let _alone = alone();
    for tiny in Tiny::all() {
        let mut model = fast(&tiny);
        let prompt = prompt(300, 2);
        let slot = model.open_slot();
        let expected = generate(&mut model, slot, &prompt, 300, 12);
        for chunk in [1, 16, 31, 256] {
            let slot = model.open_slot();
            assert_eq!(generate(&mut model, slot, &prompt, chunk, 12), expected, "{} {chunk}", tiny.name);
            model.close_slot(slot);
        }
        model.rewind_slot(slot, 100);
        assert_eq!(generate(&mut model, slot, &prompt[100..], 64, 12), expected, "{}", tiny.name);
    }
}

#[test]
fn tokens_do_not_depend_on_what_else_is_in_the_batch() {
    let _alone = alone();
    for tiny in Tiny::all() {
        let mut model = fast(&tiny);
        let prompts = [prompt(5, 3), prompt(1, 4), prompt(33, 5)];
        let expected: Vec<_> = prompts
            .iter()
            .map(|it| {
                let slot = model.open_slot();
                generate(&mut model, slot, it, 64, 10)
            })
            .collect();
        let slots: Vec<_> = prompts.iter().map(|_| model.open_slot()).collect();
        let params = greedy();
        let mut got: Vec<Vec<u32>> = vec![Vec::new(); prompts.len()];
        for i in 0..10 {
            let feeds: Vec<Vec<u32>> = prompts
                .iter()
                .zip(&got)
                .map(|(prompt, got)| if i == 0 { prompt.clone() } else { got[got.len() - 1..].to_vec() })
                .collect();
            let spans: Vec<_> = slots
                .iter()
                .zip(&feeds)
                .map(|(&slot, tokens)| Span {
                    slot,
                    tokens,
                    n_drafted: 0,
                    sample: Some(sample(&params, None)),
                    checkpoint: false,
                })
                .collect();
            for (got, sampled) in got.iter_mut().zip(model.step(&spans).unwrap()) {
                got.extend(sampled.into_iter().map(|it| it.token));
            }
        }
        assert_eq!(got, expected, "{}", tiny.name);
    }
}

/// Generates at least `N_DRAFTED` tokens after `prompt`, with four drafts per step of which the first `n_right(step)`
/// are taken from `expected`. Returns them and the number of steps.
fn draft(
    model: &mut MlxModel,
    params: &SamplingParams,
    prompt: &[u32],
    expected: &[u32],
    n_right: fn(usize) -> usize,
) -> (Vec<u32>, usize) {
    let slot = model.open_slot();
    let mut known = prompt.to_vec();
    let (mut n_fed, mut n_steps) = (0, 0);
    while known.len() < prompt.len() + N_DRAFTED {
        let n_generated = known.len() - prompt.len();
        let drafts: Vec<u32> = expected
            .iter()
            .skip(n_generated)
            .take(4)
            .enumerate()
            .map(|(i, &it)| if i < n_right(n_steps) { it } else { (it + 1) % tiny::VOCABULARY })
            .collect();
        let history = [known.as_slice(), &drafts].concat();
        let request = SampleRequest {
            params,
            history: &history,
            n_generated: n_generated as u64,
            seed: 3,
            top_logprobs: None,
            allowed: &[],
        };
        let span = Span {
            slot,
            tokens: &history[n_fed..],
            n_drafted: drafts.len(),
            sample: Some(request),
            checkpoint: false,
        };
        let drawn = model.step(&[span]).unwrap().remove(0);
        let n_right = n_right(n_steps).min(drafts.len());
        assert_eq!(drawn.len(), n_right + 1, "{} drafts, {n_right} of them right", drafts.len());
        n_fed = known.len() + n_right;
        known.extend(drawn.iter().map(|it| it.token));
        n_steps += 1;
    }
    (known.split_off(prompt.len()), n_steps)
}

const N_DRAFTED: usize = 16;

#[test]
fn drafts_change_nothing_but_the_number_of_steps() {
    let _alone = alone();
    // Penalties depend on the history, which includes drafts; each draw has its own number.
    let sampled = SamplingParams { temperature: 0.8, frequency_penalty: 0.5, ..SamplingParams::default() };
    for (tiny, params) in Tiny::all().iter().flat_map(|it| [(it, greedy()), (it, sampled.clone())]) {
        let mut model = fast(tiny);
        let prompt = prompt(20, 8);
        let (expected, _) = draft(&mut model, &params, &prompt, &[], |_| 0);
        for (n_right, n_steps) in
            [(|_| 0) as fn(usize) -> usize, |step| step % 3, |_| 4].into_iter().zip([16, 9, 4])
        {
            let (got, n_taken) = draft(&mut model, &params, &prompt, &expected, n_right);
            assert_eq!((&got[..N_DRAFTED], n_taken), (&expected[..], n_steps), "{}", tiny.name);
        }
    }
}

#[test]
fn a_copied_slot_goes_its_own_way() {
    let _alone = alone();
    for tiny in Tiny::all() {
        let mut model = fast(&tiny);
        let (one, other) = (prompt(300, 2), prompt(300, 9));
        let slot = model.open_slot();
        let expected_other = {
            let slot = model.open_slot();
            generate(&mut model, slot, &[&one[..100], &other[100..]].concat(), 300, 8)
        };
        let expected = generate(&mut model, slot, &one, 300, 8);
        let copy = model.copy_slot(slot, 100).unwrap().slot;
        model.rewind_slot(slot, 200);
        assert_eq!(generate(&mut model, copy, &other[100..], 300, 8), expected_other, "{}", tiny.name);
        assert_eq!(generate(&mut model, slot, &one[200..], 300, 8), expected, "{}", tiny.name);
    }
}

#[test]
fn a_token_beyond_the_embedding_fails_its_step_and_the_next_step_works() {
    let _alone = alone();
    let tiny = Tiny::llama();
    for mut model in [stock(&tiny), fast(&tiny)] {
        let (slot, other) = (model.open_slot(), model.open_slot());
        let expected = generate(&mut model, other, &prompt(9, 6), 9, 4);
        let beyond = [tiny::VOCABULARY];
        let error = model
            .step(&[Span {
                slot,
                tokens: &beyond,
                n_drafted: 0,
                sample: Some(sample(&greedy(), None)),
                checkpoint: false,
            }])
            .unwrap_err();
        assert_eq!(error.message, "expected tokens below 250, got 250");
        model.close_slot(slot);
        model.rewind_slot(other, 3);
        assert_eq!(generate(&mut model, other, &prompt(9, 6)[3..], 9, 4), expected);
    }
}

/// Generates after each of the prompts, in one batch, and ends with the first prompt alone. `goes_on(n)` says whether
/// the step after step `n` may start early.
fn generate_ahead(
    model: &mut MlxModel,
    params: &SamplingParams,
    prompts: &[Vec<u32>],
    goes_on: impl Fn(usize) -> bool,
) -> Vec<Vec<Sampled>> {
    let slots: Vec<_> = prompts.iter().map(|_| model.open_slot()).collect();
    let mut texts: Vec<Vec<Sampled>> = prompts.iter().map(|_| Vec::new()).collect();
    let mut fed = prompts.to_vec();
    for n in 0..24 {
        let n_together = if n < 12 { slots.len() } else { 1 };
        let spans: Vec<_> = (0..n_together)
            .map(|idx| {
                let request = SampleRequest {
                    n_generated: n as u64,
                    seed: idx as u64,
                    top_logprobs: (idx == 0).then_some(2),
                    ..sample(params, None)
                };
                Span {
                    slot: slots[idx],
                    tokens: &fed[idx],
                    n_drafted: 0,
                    sample: Some(request),
                    checkpoint: false,
                }
            })
            .collect();
        let drawn = if goes_on(n) { model.step_ahead(&spans) } else { model.step(&spans) }.unwrap();
        for (idx, mut drawn) in drawn.into_iter().enumerate() {
            let drawn = drawn.remove(0);
            fed[idx] = vec![drawn.token];
            texts[idx].push(drawn);
        }
        if n % 7 == 3 {
            // Another request interrupts.
            let slot = model.open_slot();
            generate(model, slot, &prompt(20, 9), 20, 2);
            model.close_slot(slot);
        }
    }
    for slot in slots {
        model.close_slot(slot);
    }
    texts
}

#[test]
fn a_step_that_is_begun_before_it_is_asked_for_says_the_same() {
    let _alone = alone();
    let tiny = Tiny::llama();
    let mut model = stock(&tiny);
    let prompts = [prompt(40, 3), prompt(1, 4), prompt(33, 5)];
    let sampled = SamplingParams { temperature: 0.9, top_p: 0.95, ..SamplingParams::default() };
    let penalized = SamplingParams { repetition_penalty: 1.3, ..greedy() };
    for params in [greedy(), sampled, penalized] {
        let expected = generate_ahead(&mut model, &params, &prompts, |_| false);
        for every in 1..4 {
            let got = generate_ahead(&mut model, &params, &prompts, |n| n % every == 0);
            assert_eq!(got, expected, "every {every}");
        }
    }
}

#[test]
fn a_slot_is_what_it_was_though_a_step_was_begun_for_it() {
    let _alone = alone();
    let tiny = Tiny::llama();
    let mut model = stock(&tiny);
    let prompt = prompt(60, 6);
    let slot = model.open_slot();
    let expected = generate(&mut model, slot, &prompt, 60, 8);
    model.close_slot(slot);
    let params = greedy();
    // Leaves a step that was started early after the first token.
    let begin = |model: &mut MlxModel| {
        let slot = model.open_slot();
        let span = Span {
            slot,
            tokens: &prompt,
            n_drafted: 0,
            sample: Some(sample(&params, None)),
            checkpoint: false,
        };
        assert_eq!(model.step_ahead(&[span]).unwrap()[0][0].token, expected[0]);
        slot
    };
    // Feeds another token than the drawn one, then truncates to the prompt.
    let slot = begin(&mut model);
    step_one(&mut model, slot, &[(expected[0] + 1) % tiny::VOCABULARY], None);
    model.rewind_slot(slot, 59);
    assert_eq!(generate(&mut model, slot, &prompt[59..], 60, 8), expected);
    // Truncated, copied and shrunk right away.
    let slot = begin(&mut model);
    model.rewind_slot(slot, 30);
    assert_eq!(generate(&mut model, slot, &prompt[30..], 60, 8), expected);
    let slot = begin(&mut model);
    let copy = model.copy_slot(slot, 60).unwrap().slot;
    for slot in [slot, copy] {
        assert_eq!(generate(&mut model, slot, &expected[..1], 1, 7), expected[1..]);
    }
    let slot = begin(&mut model);
    model.fit_slot(slot);
    assert_eq!(generate(&mut model, slot, &expected[..1], 1, 7), expected[1..]);
}

#[test]
fn a_slot_that_was_cut_gives_its_memory_back_and_goes_on() {
    let _alone = alone();
    let tiny = Tiny::llama();
    for mut model in [stock(&tiny), fast(&tiny)] {
        let prompt = prompt(700, 8);
        let slot = model.open_slot();
        generate(&mut model, slot, &prompt, 700, 1);
        assert_eq!(model.slot_room(slot), 768);
        model.rewind_slot(slot, 33);
        assert_eq!(model.slot_room(slot), 768);
        let before = model.memory().active_bytes;
        model.fit_slot(slot);
        assert!((33..=48).contains(&model.slot_room(slot)), "{}", model.slot_room(slot));
        let n_given_back = before - model.memory().active_bytes;
        assert!(n_given_back >= 700 * model.description().slot_cost.bytes_per_token, "{n_given_back}");
        let other = model.open_slot();
        let expected = generate(&mut model, other, &prompt[..300], 300, 8);
        assert_eq!(generate(&mut model, slot, &prompt[33..300], 300, 8), expected);
        // Nothing is held, so nothing is kept.
        model.rewind_slot(slot, 0);
        model.fit_slot(slot);
        assert_eq!(model.slot_room(slot), 0);
        assert_eq!(generate(&mut model, slot, &prompt[..300], 300, 8), expected);
    }
}

#[test]
fn keys_and_values_of_few_bits_take_less_memory_and_say_nearly_the_same() {
    let _alone = alone();
    let tiny = Tiny::wide_heads();
    // Float32; then one scale and one bias of the same type for 32 numbers.
    let n_values = 2 * 2 * 2 * 32;
    let expected = [4 * n_values, n_values + n_values / 4, n_values / 2 + n_values / 4];
    assert_eq!(few_bits(&tiny, None), expected);
    if let Some(kernels) = Kernels::new(None, None).unwrap() {
        let [whole, eight, four] = few_bits(&tiny, Some(&kernels));
        assert!(whole == 2 * n_values && eight < whole && four < eight, "{whole} {eight} {four}");
    }
}

/// Compares results, and returns the bytes per token of keys and values unquantized, in 8 and in 4 bits.
fn few_bits(tiny: &Tiny, kernels: Option<&Kernels>) -> [u64; 3] {
    let mut exact = load(tiny, kernels.cloned(), None);
    let mut bytes = vec![exact.description().slot_cost.bytes_per_token];
    for (bits, bound) in [(KvBits::Eight, 0.03), (KvBits::Four, 0.4)] {
        let mut model = load(tiny, kernels.cloned(), Some(bits));
        bytes.push(model.description().slot_cost.bytes_per_token);
        for n in [1, 40, 300] {
            let (expected, got) = (logprobs(&mut exact, &prompt(n, 1)), logprobs(&mut model, &prompt(n, 1)));
            let size = expected.iter().fold(0.0_f32, |size, it| size.max(it.abs()));
            let error = expected.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(error < bound * size, "{bits} bits, {n} tokens: {error} of {size}");
            assert!(n == 1 || error > 0.0, "{bits} bits leave everything as it was");
        }
        // All operations on a slot.
        let slot = model.open_slot();
        let expected = generate(&mut model, slot, &prompt(300, 2), 300, 12);
        model.rewind_slot(slot, 100);
        let before = model.memory().active_bytes;
        model.fit_slot(slot);
        assert!(model.memory().active_bytes < before);
        let copy = model.copy_slot(slot, 50).unwrap().slot;
        assert_eq!(generate(&mut model, slot, &prompt(300, 2)[100..], 64, 12), expected, "{bits} bits");
        assert_eq!(generate(&mut model, copy, &prompt(300, 2)[50..], 250, 12), expected, "{bits} bits");
    }
    bytes.try_into().unwrap()
}

#[test]
fn keys_and_values_of_few_bits_are_refused_where_they_cannot_be() {
    let _alone = alone();
    let tiny = Tiny::llama();
    let placement =
        Placement { compute: Compute::Cpu, kernels: None, kv_bits: Some(KvBits::Eight), group: None };
    let error = crate::load_with(tiny.folder.path(), None, &placement, &mut |_, _| {}).err().unwrap();
    assert!(matches!(error, LoadError::KvHeads(16)), "{error}");
}

#[cfg(cpu_kernels)]
#[test]
fn memory_counts_what_mlx_does_not() {
    let _alone = alone();
    let tiny = Tiny::llama();
    let mut model = fast(&tiny);
    let loaded = model.memory();
    let slot = model.open_slot();
    generate(&mut model, slot, &prompt(256, 7), 256, 1);
    let per_token = model.description().slot_cost.bytes_per_token;
    let held = model.memory();
    assert!(held.active_bytes >= loaded.active_bytes + 256 * per_token, "{loaded:?} {held:?} {per_token}");
    assert!(held.active_bytes <= loaded.active_bytes + 257 * per_token, "{loaded:?} {held:?} {per_token}");
    assert!(held.peak_bytes >= held.active_bytes);
    model.close_slot(slot);
    assert!(model.memory().active_bytes < held.active_bytes - 255 * per_token);
}

/// Log probabilities after `next`: in a slot that holds `before` and then `moved`, copied from a slot where it
/// follows `there`; and in a slot that was fed all of it.
fn shifted_and_fresh(model: &mut MlxModel, there: &[u32], before: &[u32], moved: &[u32]) -> [Vec<f32>; 2] {
    let feed = |model: &mut MlxModel, slot: SlotId, tokens: &[u32]| {
        if !tokens.is_empty() {
            model.step(&[Span { slot, tokens, n_drafted: 0, sample: None, checkpoint: false }]).unwrap();
        }
    };
    let likely = |model: &mut MlxModel, slot: SlotId| {
        let sampled = step_one(model, slot, &[17], Some(tiny::VOCABULARY as usize));
        model.close_slot(slot);
        let mut top = sampled.logprobs.unwrap().top;
        top.sort_by_key(|it| it.0);
        top.into_iter().map(|it| it.1).collect()
    };
    let (from, slot, fresh) = (model.open_slot(), model.open_slot(), model.open_slot());
    feed(model, from, &[there, moved, &[1, 2, 3]].concat());
    feed(model, slot, before);
    model.append_shifted(slot, from, there.len()..there.len() + moved.len()).unwrap();
    feed(model, fresh, &[before, moved].concat());
    model.close_slot(from);
    [likely(model, slot), likely(model, fresh)]
}

#[test]
fn keys_of_tokens_that_moved_are_those_of_their_new_positions() {
    let _alone = alone();
    // Rounding twice leaves quantized values unchanged.
    let kinds = [(None, 2e-3), (Some(KvBits::Eight), 0.02), (Some(KvBits::Four), 0.4)];
    let kernels = Kernels::new(None, Some(Precision::F32)).ok().flatten();
    for (tiny, (kv_bits, bound)) in Tiny::single_layers().iter().flat_map(|it| kinds.map(|kind| (it, kind))) {
        for kernels in [None].into_iter().chain(kernels.clone().map(Some)) {
            let what = format!("{}, {kv_bits:?}, kernels: {}", tiny.name, kernels.is_some());
            let mut model = load(tiny, kernels, kv_bits);
            // Moves forwards and backwards, across the borders of blocks and growth steps.
            for (n_there, n_before, n_moved) in
                [(3, 40, 30), (300, 2, 30), (250, 260, 1), (0, 5, 280), (9, 0, 12)]
            {
                let (there, before) = (prompt(n_there, 4), prompt(n_before, 5));
                let moved = prompt(n_moved, 6);
                let [got, expected] = shifted_and_fresh(&mut model, &there, &before, &moved);
                let size = expected.iter().fold(0.0_f32, |size, it| size.max(it.abs()));
                let error = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(error < bound * size, "{what}: {n_there} to {n_before}: {error} of {size}");
            }
        }
    }
}

#[test]
fn a_slot_goes_its_own_way_after_it_got_tokens_from_another() {
    let _alone = alone();
    for tiny in [Tiny::llama(), Tiny::wide_heads()] {
        for mut model in [stock(&tiny), fast(&tiny)] {
            let one = prompt(300, 2);
            let (slot, other) = (model.open_slot(), model.open_slot());
            let expected = generate(&mut model, slot, &one, 300, 8);
            generate(&mut model, other, &prompt(20, 3), 20, 1);
            model.rewind_slot(other, 20);
            model.append_shifted(other, slot, 200..300).unwrap();
            assert!(model.slot_room(other) >= 120);
            // The source slot is unchanged, and the target can be truncated and continued.
            let said = generate(&mut model, other, &prompt(9, 4), 9, 8);
            model.rewind_slot(other, 120);
            assert_eq!(generate(&mut model, other, &prompt(9, 4), 9, 8), said, "{}", tiny.name);
            model.rewind_slot(slot, 250);
            assert_eq!(generate(&mut model, slot, &one[250..], 50, 8), expected, "{}", tiny.name);
        }
    }
}

#[test]
fn a_slot_without_some_of_its_tokens_is_as_if_the_others_had_been_moved_together() {
    let _alone = alone();
    let kernels = Kernels::new(None, Some(Precision::F32)).ok().flatten();
    for tiny in Tiny::single_layers().iter().chain([&Tiny::llama(), &Tiny::wide_heads()]) {
        for kernels in [None].into_iter().chain(kernels.clone().map(Some)) {
            let what = format!("{}, kernels: {}", tiny.name, kernels.is_some());
            let mut model = load(tiny, kernels, None);
            let tokens = prompt(600, 3);
            let (slot, other) = (model.open_slot(), model.open_slot());
            generate(&mut model, slot, &tokens, 600, 1);
            generate(&mut model, other, &tokens[..4], 4, 1);
            model.append_shifted(other, slot, 304..600).unwrap();
            let expected = generate(&mut model, other, &prompt(9, 4), 9, 8);
            model.drop_tokens(slot, 4..304).unwrap();
            assert_eq!(model.slot_room(slot), 512, "{what}: the rest, in whole steps");
            assert_eq!(generate(&mut model, slot, &prompt(9, 4), 9, 8), expected, "{what}");
            // It can be cut and copied as ever, behind and before the place.
            let copy = model.copy_slot(slot, 300).unwrap();
            assert_eq!(copy.n_tokens, 300);
            assert_eq!(generate(&mut model, copy.slot, &prompt(9, 4), 9, 8), expected, "{what}: a copy");
            model.rewind_slot(slot, 2);
            let again = generate(&mut model, slot, &tokens[2..50], 48, 8);
            let fresh = model.open_slot();
            assert_eq!(generate(&mut model, fresh, &tokens[..50], 50, 8), again, "{what}: cut");
        }
    }
}

/// The process's resident memory.
#[cfg(all(cpu_kernels, target_os = "linux"))]
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[cfg(all(cpu_kernels, target_os = "linux"))]
#[test]
fn memory_of_slots_goes_back_to_the_system_whatever_stays_between_them() {
    let _alone = alone();
    let tiny = Tiny::wide_heads();
    let mut model = fast(&tiny);
    let whole = model.open_slot();
    generate(&mut model, whole, &prompt(1000, 2), 256, 1);
    let before = (resident_bytes(), model.memory().active_bytes);
    let slots: Vec<_> = (0..400).map(|i| model.copy_slot(whole, 100 + i * 2).unwrap().slot).collect();
    let full = (resident_bytes(), model.memory().active_bytes);
    assert!(
        full.0 - before.0 > (full.1 - before.1) * 9 / 10,
        "what is counted is taken: {before:?} {full:?}"
    );
    for (_, slot) in slots.iter().enumerate().filter(|(i, _)| i % 10 != 0) {
        model.close_slot(*slot);
    }
    let left = (resident_bytes(), model.memory().active_bytes);
    assert!(full.0 - left.0 > (full.1 - left.1) * 9 / 10, "what is freed goes: {full:?} {left:?}");
}
