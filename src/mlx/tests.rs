//! A tiny random model through MLX's operations and through the CPU kernels.
//!
//! Whatever the checkpoint is like, both must say the same, however tokens are cut into spans and steps.

#![allow(clippy::unwrap_used)]

mod tiny;

use runabout_engine::model::{LanguageModel, SampleRequest, Sampled, SlotId, Span};
use runabout_text::SamplingParams;

use self::tiny::Tiny;
use crate::MlxModel;
use crate::cpu_kernels::Kernels;
use crate::device::Compute;
use crate::testing::alone;

fn stock(tiny: &Tiny) -> MlxModel {
    crate::load_with(tiny.folder.path(), Compute::Cpu, None, &mut |_, _| {}).unwrap()
}

/// With the kernels, where they are built.
fn fast(tiny: &Tiny) -> MlxModel {
    let kernels = Kernels::new(None).unwrap();
    crate::load_with(tiny.folder.path(), Compute::Cpu, kernels, &mut |_, _| {}).unwrap()
}

fn sample(params: &SamplingParams, top_logprobs: Option<usize>) -> Option<SampleRequest<'_>> {
    Some(SampleRequest { params, history: &[], n_generated: 0, seed: 0, top_logprobs })
}

fn greedy() -> SamplingParams {
    SamplingParams { temperature: 0.0, ..SamplingParams::default() }
}

fn step_one(
    model: &mut MlxModel,
    slot: SlotId,
    tokens: &[u32],
    top_logprobs: Option<usize>,
) -> Option<Sampled> {
    let params = greedy();
    let span = Span { slot, tokens, sample: sample(&params, top_logprobs) };
    model.step(&[span]).unwrap().remove(0)
}

/// Log probabilities of the whole vocabulary, by token, after `tokens`.
fn logprobs(model: &mut MlxModel, tokens: &[u32]) -> Vec<f32> {
    let slot = model.open_slot();
    let sampled = step_one(model, slot, tokens, Some(tiny::VOCABULARY)).unwrap();
    model.close_slot(slot);
    let mut top = sampled.logprobs.unwrap().top;
    assert_eq!(top.len(), tiny::VOCABULARY);
    top.sort_by_key(|it| it.0);
    top.into_iter().map(|it| it.1).collect()
}

/// `n` greedy tokens after `prompt`, which is fed in chunks of `chunk`.
fn generate(model: &mut MlxModel, slot: SlotId, prompt: &[u32], chunk: usize, n: usize) -> Vec<u32> {
    let mut chunks: Vec<_> = prompt.chunks(chunk).collect();
    let last = chunks.pop().unwrap();
    for tokens in chunks {
        assert_eq!(model.step(&[Span { slot, tokens, sample: None }]).unwrap(), [None]);
    }
    let mut out = vec![step_one(model, slot, last, None).unwrap().token];
    while out.len() < n {
        out.push(step_one(model, slot, &out[out.len() - 1..], None).unwrap().token);
    }
    out
}

fn prompt(n: usize, seed: u32) -> Vec<u32> {
    (0..n as u32).map(|i| (i * 37 + seed * 11) % tiny::VOCABULARY as u32).collect()
}

#[test]
fn both_paths_give_the_same_probabilities() {
    let _alone = alone();
    for tiny in Tiny::all() {
        let (mut stock, mut fast) = (stock(&tiny), fast(&tiny));
        for n in [1, 7, 40] {
            let (expected, got) = (logprobs(&mut stock, &prompt(n, 1)), logprobs(&mut fast, &prompt(n, 1)));
            let size = expected.iter().fold(0.0_f32, |size, it| size.max(it.abs()));
            let error = expected.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(error < 1e-4 * size, "{}, {n} tokens: {error} of {size}", tiny.name);
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
        model.truncate_slot(slot, 100);
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
                .map(|(&slot, tokens)| Span { slot, tokens, sample: sample(&params, None) })
                .collect();
            for (got, sampled) in got.iter_mut().zip(model.step(&spans).unwrap()) {
                got.push(sampled.unwrap().token);
            }
        }
        assert_eq!(got, expected, "{}", tiny.name);
    }
}

#[cfg(cpu_kernels)]
#[test]
fn a_failed_step_closes_its_slot_and_the_next_step_works() {
    let _alone = alone();
    let tiny = Tiny::llama();
    let mut model = fast(&tiny);
    let (slot, other) = (model.open_slot(), model.open_slot());
    let expected = generate(&mut model, other, &prompt(9, 6), 9, 4);
    let beyond = [tiny::VOCABULARY as u32];
    let error = model.step(&[Span { slot, tokens: &beyond, sample: sample(&greedy(), None) }]).unwrap_err();
    assert!(error.message.contains("does not exist"), "{}", error.message);
    model.truncate_slot(other, 3);
    assert_eq!(generate(&mut model, other, &prompt(9, 6)[3..], 9, 4), expected);
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
    let per_token = model.description().kv_bytes_per_token;
    let held = model.memory();
    assert!(held.active_bytes >= loaded.active_bytes + 256 * per_token, "{loaded:?} {held:?} {per_token}");
    assert!(held.active_bytes <= loaded.active_bytes + 257 * per_token, "{loaded:?} {held:?} {per_token}");
    assert!(held.peak_bytes >= held.active_bytes);
    model.close_slot(slot);
    assert!(model.memory().active_bytes < held.active_bytes - 255 * per_token);
}
