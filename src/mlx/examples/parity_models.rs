//! Compares tiny models of every architecture with mlx_lm, logit by logit: `parity_models FOLDER [PRECISION [KV_BITS]]`.
//!
//! `tests/parity/models.py` makes the folder. Prints a line per model, of columns with tabs between them: its name, the
//! greatest error relative to the greatest logit, with the prompt in one piece, in chunks and token by token, and how many
//! greedy tokens are equal. With `RUNABOUT_KERNELS=off` MLX's own operations are compared, else the CPU kernels.
//! `cargo xtask bench parity` runs both and makes a table.

#![expect(clippy::print_stdout, reason = "a tool for a terminal; the ban is for the worker")]

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use runabout_engine::model::{LanguageModel, SampleRequest, Span};
use runabout_mlx::{DeviceChoice, KvBits, LoadOptions, MlxModel, Precision};
use runabout_text::SamplingParams;
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    name: String,
    prompt: Vec<u32>,
    tokens: Vec<u32>,
    gaps: Vec<f32>,
    logits: Vec<Vec<f32>>,
}

/// The greatest error in float32.
const MAX_ERROR: f32 = 1e-3;
/// The greatest error of the CPU kernels with keys and values in float16.
const MAX_KERNELS_ERROR: f32 = 4e-3;
/// Tokens whose logits differ by less may change places.
const MIN_GAP: f32 = 2e-2;
const CHUNK: usize = 7;
const EXCUSED: usize = 40;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().context("usage: parity_models FOLDER [PRECISION [KV_BITS]]")?;
    let precision = args.next().map(|it| it.parse::<Precision>()).transpose()?;
    let kv_bits = args.next().map(|it| it.parse::<KvBits>()).transpose().map_err(anyhow::Error::msg)?;
    let is_mlx = std::env::var("RUNABOUT_KERNELS").is_ok_and(|it| it == "off");
    let is_exact = is_mlx || kv_bits == Some(KvBits::ThirtyTwo);
    let max_error = if is_exact { MAX_ERROR } else { MAX_KERNELS_ERROR };
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(&folder)?.map(|it| Ok(it?.path())).collect::<Result<_>>()?;
    folders.sort();
    let mut n_failed = 0;
    for folder in &folders {
        let expected: Expected = serde_json::from_slice(&std::fs::read(folder.join("expected.json"))?)?;
        match compare(folder, &expected, precision, kv_bits, is_exact) {
            Ok((error, n_equal, is_excused)) => {
                let is_right = error < max_error && is_excused;
                n_failed += usize::from(!is_right);
                let mark = if is_right { "" } else { "\tdiffers" };
                println!("{}\t{error:.1e}\t{n_equal}/{}{mark}", expected.name, expected.tokens.len());
            }
            Err(error) => {
                n_failed += 1;
                println!("{}\t{error:#}", expected.name);
            }
        }
    }
    if n_failed > 0 {
        bail!("{n_failed} of {} models differ", folders.len());
    }
    Ok(())
}

/// The greatest error, and the result of [`greedy`].
fn compare(
    folder: &Path,
    expected: &Expected,
    precision: Option<Precision>,
    kv_bits: Option<KvBits>,
    is_exact: bool,
) -> Result<(f32, usize, bool)> {
    let adapter = Some(folder.join("adapter")).filter(|it| it.exists());
    let options =
        LoadOptions { device: DeviceChoice::Cpu, precision, kv_bits, adapter, ..LoadOptions::default() };
    let mut model = runabout_mlx::load(folder, &options, &mut |_, _| {})?;
    let error = error(&mut model, expected, is_exact)?;
    let (n_equal, is_excused) = greedy(&mut model, expected)?;
    Ok((error, n_equal, is_excused))
}

/// The greatest error relative to the greatest logit. Unless the computation `is_exact`, one position of [`EXCUSED`] is
/// left out: where two experts are almost equally likely, a small error changes which one is used, and all logits.
fn error(model: &mut MlxModel, expected: &Expected, is_exact: bool) -> Result<f32> {
    let scale = expected.logits.iter().flatten().fold(0.0_f32, |a, b| a.max(b.abs()));
    let mut errors = Vec::new();
    for chunk in [expected.prompt.len(), CHUNK, 1] {
        let chunk = NonZeroUsize::new(chunk).context("a prompt has tokens")?;
        let got = model.logits(&expected.prompt, chunk)?;
        for (i, expected) in expected.logits.iter().enumerate() {
            let got = &got[i * expected.len()..(i + 1) * expected.len()];
            // Not a number counts as the greatest error.
            let errors_here = got.iter().zip(expected).map(|(got, expected)| (got - expected).abs());
            errors.push(errors_here.fold(0.0, |a, b| if b.is_nan() { f32::INFINITY } else { b.max(a) }));
        }
    }
    errors.sort_by(f32::total_cmp);
    let counted = if is_exact { errors.len() } else { errors.len() - errors.len() / EXCUSED };
    Ok(errors[counted - 1] / scale)
}

/// The number of equal greedy tokens, and whether the first other one is excused by a small gap.
fn greedy(model: &mut MlxModel, expected: &Expected) -> Result<(usize, bool)> {
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
    let mut next = expected.prompt.clone();
    for (i, (token, gap)) in expected.tokens.iter().zip(&expected.gaps).enumerate() {
        let span = Span { slot, tokens: &next, n_drafted: 0, sample: Some(sample), checkpoint: false };
        let drawn = model.step(&[span])?.into_iter().flatten().next().context("a token was asked for")?;
        if drawn.token != *token {
            return Ok((i, *gap < MIN_GAP));
        }
        next = vec![drawn.token];
    }
    Ok((expected.tokens.len(), true))
}
