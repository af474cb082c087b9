//! Compares greedy tokens with those of mlx_lm, and measures the speed of steps.
//!
//! `parity FOLDER [EXPECTED.json [PRECISION]]`.
//!
//! The expected tokens are in `tests/parity`. This bypasses engine and worker, so it measures the model alone. Set
//! `RUNABOUT_KERNELS` to compare kernels.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use runabout_engine::model::{LanguageModel, SampleRequest, SlotId, Span};
use runabout_mlx::{LoadOptions, MlxModel, Precision};
use runabout_text::SamplingParams;
use serde::Deserialize;

/// Logits closer than this can change order with the order of summation.
const MIN_GAP: f64 = 1e-3;
/// Timings are the best of this many rounds.
const N_ROUNDS: usize = 3;
const N_DECODED: usize = 48;

#[derive(Deserialize)]
struct Case {
    name: String,
    prompt_tokens: Vec<u32>,
    tokens: Vec<u32>,
    gaps: Vec<f64>,
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().context("usage: parity FOLDER [EXPECTED.json [PRECISION]]")?;
    let expected = args.next();
    let precision = args.next().map(|it| it.parse::<Precision>()).transpose()?;
    let started = Instant::now();
    let mut model = runabout_mlx::load(
        Path::new(&folder),
        &LoadOptions { precision, ..LoadOptions::default() },
        &mut |_, _| {},
    )?;
    eprintln!("loaded in {:.2?}, {:?}", started.elapsed(), model.memory());
    if let Some(expected) = expected {
        compare(&mut model, &std::fs::read_to_string(expected)?)?;
    }
    time(&mut model)
}

fn compare(model: &mut MlxModel, expected: &str) -> Result<()> {
    let cases: Vec<Case> = serde_json::from_str(expected)?;
    let (mut n_equal, mut n_expected) = (0, 0);
    for case in &cases {
        let slot = model.open_slot();
        let mut got = vec![feed(model, slot, &case.prompt_tokens)?];
        while got.len() < case.tokens.len() {
            got.push(feed(model, slot, &got[got.len() - 1..])?);
        }
        model.close_slot(slot);
        let difference = got.iter().zip(&case.tokens).position(|(a, b)| a != b);
        n_expected += case.tokens.len();
        n_equal += difference.unwrap_or(case.tokens.len());
        if let Some(i) = difference {
            let gap = case.gaps.get(i).copied().unwrap_or(f64::MAX);
            ensure!(gap <= MIN_GAP, "`{}` differs at token {i}, with a gap of {gap}", case.name);
            eprintln!("`{}` differs at token {i}, with a gap of {gap}", case.name);
        }
    }
    eprintln!("{n_equal} of {n_expected} tokens are equal");
    Ok(())
}

/// Feeds tokens and returns the most likely next one.
fn feed(model: &mut MlxModel, slot: SlotId, tokens: &[u32]) -> Result<u32> {
    let next = feed_all(model, &[slot], tokens)?;
    next.first().copied().context("a token was asked for")
}

/// Feeds the same tokens to several slots at once.
fn feed_all(model: &mut MlxModel, slots: &[SlotId], tokens: &[u32]) -> Result<Vec<u32>> {
    let params = SamplingParams { temperature: 0.0, ..SamplingParams::default() };
    let sample = Some(SampleRequest {
        params: &params,
        history: &[],
        n_generated: 0,
        seed: 0,
        top_logprobs: None,
        allowed: &[],
    });
    let spans: Vec<_> =
        slots.iter().map(|&slot| Span { slot, tokens, n_drafted: 0, sample, checkpoint: false }).collect();
    Ok(model.step(&spans)?.into_iter().flatten().map(|it| it.token).collect())
}

fn time(model: &mut MlxModel) -> Result<()> {
    let prompt: Vec<u32> = (0..1024).map(|i| 1000 + i * 37 % 5000).collect();
    let [mut short, mut long, mut four, mut prefill] = [0.0_f64; 4];
    for _ in 0..N_ROUNDS {
        short = short.max(decode_rate(model, 1, &prompt[..128])?);
        long = long.max(decode_rate(model, 1, &prompt)?);
        four = four.max(decode_rate(model, 4, &prompt[..128])?);
        let slot = model.open_slot();
        let started = Instant::now();
        feed(model, slot, &prompt[..512])?;
        prefill = prefill.max(512.0 / started.elapsed().as_secs_f64());
        model.close_slot(slot);
    }
    eprintln!("decode: {short:.1} tokens/s after 128, {long:.1} after 1024, {four:.1} for four at once");
    eprintln!("prefill of 512: {prefill:.1} tokens/s");
    eprintln!("{:?}", model.memory());
    Ok(())
}

/// Tokens per second of all slots together, in the steps after `prompt`.
fn decode_rate(model: &mut MlxModel, n_slots: usize, prompt: &[u32]) -> Result<f64> {
    let slots: Vec<_> = (0..n_slots).map(|_| model.open_slot()).collect();
    for &slot in &slots {
        feed(model, slot, prompt)?;
    }
    let started = Instant::now();
    for token in &prompt[..N_DECODED] {
        feed_all(model, &slots, std::slice::from_ref(token))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    for slot in slots {
        model.close_slot(slot);
    }
    Ok((n_slots * N_DECODED) as f64 / seconds)
}
