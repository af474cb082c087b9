//! Compares tiny models of every architecture with what mlx_lm computes: `tests/parity/models.json`.
//!
//! `cargo xtask bench parity` compares all logits of the same models, and needs Python.

#![allow(clippy::unwrap_used)]

use std::num::NonZeroUsize;

use runabout_engine::model::{LanguageModel, SampleRequest, Span};
use runabout_text::SamplingParams;

use crate::cpu::Kernels;
use crate::device::Compute;
use crate::testing::alone;
use crate::testing::stored::{StoredModel, StoredModels};
use crate::{MlxModel, Placement, Precision, models};

/// The greatest error of MLX's own operations, relative to the greatest logit.
pub(crate) const MAX_ERROR: f32 = 1e-3;
/// The same of the CPU kernels, which keep keys and values in float16.
pub(crate) const MAX_KERNELS_ERROR: f32 = 4e-3;
/// Tokens whose logits differ by less may change places.
const MIN_GAP: f32 = 2e-2;
/// The prompt is fed in chunks of this many tokens, a number that no window and no cache divides into.
const CHUNK: usize = 29;

#[test]
fn every_architecture_computes_what_mlx_lm_computes() {
    let _alone = alone();
    let stored = StoredModels::read();
    let kernels = Kernels::new(None, Some(Precision::F32)).unwrap();
    let mut differing = Vec::new();
    for expected in &stored.models {
        let folder = stored.checkpoint(expected);
        let load = |kernels: Option<Kernels>| {
            let placement = Placement { compute: Compute::Cpu, kernels, kv_bits: None, group: None };
            let adapter = expected.adapter_folder(folder.path());
            crate::load_with(folder.path(), adapter.as_deref(), &placement, &mut |_, _| {})
                .unwrap_or_else(|e| panic!("{}: {e}", expected.name))
        };
        let mut model = load(None);
        let found = differing_logits(&mut model, &stored, expected, MAX_ERROR);
        differing.extend(found.map(|it| format!("{}, MLX's operations: {it}", expected.name)));
        if let Some(kernels) = &kernels {
            model = load(Some(kernels.clone()));
            let found = differing_logits(&mut model, &stored, expected, MAX_KERNELS_ERROR);
            differing.extend(found.map(|it| format!("{}, kernels: {it}", expected.name)));
        }
        let found = differing_token(&mut model, &stored.prompt, expected);
        differing.extend(found.map(|it| format!("{}: {it}", expected.name)));
    }
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
fn every_architecture_is_compared_with_mlx_lm() {
    let stored = StoredModels::read();
    // Other names of architectures that are compared. mlx_lm has no files for them either.
    let other_names = ["iquestcoder", "xverse", "qwen3_5_text", "qwen3_5_moe_text", "gemma4_unified"];
    for name in models::names().filter(|it| !other_names.contains(it)) {
        assert!(stored.models.iter().any(|it| it.config["model_type"] == name), "{name}");
    }
}

/// What to say of logits of the prompt that are not as expected, with the prompt in one piece or in chunks.
pub(crate) fn differing_logits(
    model: &mut MlxModel,
    stored: &StoredModels,
    expected: &StoredModel,
    max_error: f32,
) -> Option<String> {
    let n_vocabulary = model.description().vocabulary_size;
    [stored.prompt.len(), CHUNK].into_iter().find_map(|chunk| {
        let got = model.logits(&stored.prompt, NonZeroUsize::new(chunk).unwrap()).unwrap();
        let rows: Vec<_> = got.chunks_exact(n_vocabulary).collect();
        stored.positions.iter().zip(&expected.logits).find_map(|(position, expected_row)| {
            let errors =
                rows[*position].iter().zip(expected_row).map(|(a, b)| (a - b).abs() / expected.scale);
            // `max` would ignore what is not a number.
            let worst = errors.fold(0.0_f32, |a, b| if b <= a { a } else { b });
            let is_right = worst <= max_error;
            (!is_right).then(|| format!("error {worst:.1e} at {position} in chunks of {chunk}"))
        })
    })
}

/// What to say of the first greedy token that is another one without being about as probable.
pub(crate) fn differing_token(
    model: &mut MlxModel,
    prompt: &[u32],
    expected: &StoredModel,
) -> Option<String> {
    let params = SamplingParams { temperature: 0.0, ..SamplingParams::default() };
    let sample = SampleRequest {
        params: &params,
        history: &[],
        n_generated: 0,
        seed: 0,
        top_logprobs: None,
        allowed: &[],
    };
    let slot = model.open_slot();
    let mut next = prompt.to_vec();
    for (i, (token, gap)) in expected.tokens.iter().zip(&expected.gaps).enumerate() {
        let span = Span { slot, tokens: &next, n_drafted: 0, sample: Some(sample), checkpoint: false };
        let drawn = model.step(&[span]).unwrap().remove(0).remove(0).token;
        if drawn != *token {
            let message = format!("greedy token {i} is {drawn} instead of {token}, which leads by {gap}");
            return (*gap >= MIN_GAP).then_some(message);
        }
        next = vec![drawn];
    }
    None
}
