//! Perplexity of a model on a text: `perplexity FOLDER TEXT_FILE [PRECISION]`.
//!
//! Feeds the text token by token, as decoding does, and reads the probability of each next token. Starts afresh every
//! `WINDOW` tokens.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use runabout_engine::model::{LanguageModel, SampleRequest, Span};
use runabout_mlx::{LoadOptions, Precision};
use runabout_text::{SamplingParams, TokenSet, Tokenizer};

/// Tokens in a window, few enough for every model.
const WINDOW: usize = 1024;
/// Tokens of the text that are used.
const N_TOKENS: usize = 4000;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: perplexity FOLDER TEXT_FILE [PRECISION]";
    let (folder, text) = (args.next().context(usage)?, args.next().context(usage)?);
    let precision = args.next().map(|it| it.parse::<Precision>()).transpose()?;
    let folder = Path::new(&folder);
    let tokenizer = Tokenizer::from_folder(folder)?;
    let mut tokens = tokenizer.encode_prompt(&std::fs::read_to_string(text)?);
    ensure!(tokens.len() >= N_TOKENS, "expected {N_TOKENS} tokens, got {}", tokens.len());
    tokens.truncate(N_TOKENS);

    let mut model =
        runabout_mlx::load(folder, &LoadOptions { precision, ..LoadOptions::default() }, &mut |_, _| {})?;
    let params = SamplingParams { temperature: 0.0, ..SamplingParams::default() };
    let (mut sum, mut n) = (0.0, 0);
    for window in tokens.chunks(WINDOW) {
        let slot = model.open_slot();
        for pair in window.windows(2) {
            let [fed, next] = pair else { continue };
            let only_next: TokenSet = [*next].into_iter().collect();
            let sample = SampleRequest {
                params: &params,
                history: &[],
                n_generated: 0,
                seed: 0,
                top_logprobs: Some(0),
                allowed: std::slice::from_ref(&only_next),
            };
            let span = Span {
                slot,
                tokens: std::slice::from_ref(fed),
                n_drafted: 0,
                sample: Some(sample),
                checkpoint: false,
            };
            let drawn = model.step(&[span])?.remove(0).remove(0);
            sum += f64::from(drawn.logprobs.context("log probabilities were asked for")?.logprob);
            n += 1;
        }
        model.close_slot(slot);
    }
    eprintln!("perplexity {:.4} over {n} tokens", (-sum / f64::from(n)).exp());
    Ok(())
}
