//! Draws a token from logits in host memory, for the CPU kernels.
//!
//! The same parameters in the same order as on a device. There, a draw is a dozen operations over the whole
//! vocabulary, one of which is a sort that takes MLX tens of milliseconds on a CPU. Here, only as many of the most
//! likely tokens are examined as the parameters need.

use std::borrow::Cow;

use mlx_rs::error::{Exception, Result};
use runabout_engine::model::{SampleRequest, Sampled, TokenLogprobs};
use runabout_kernels::{Cpu, EXP_SUMS_CHUNK, argmax, exp_sums, top_k};
use runabout_text::{SamplingParams, TokenId, TokenSet};

use super::{draw_seed, sharpness, token_counts};

/// The number of tokens examined first if the parameters do not imply one.
const FIRST_LOOK: usize = 64;
/// The factor by which that number grows when it was too small.
const NEXT_LOOK: usize = 8;

/// Draws the token after `logits` `[vocab_size]`.
pub(crate) fn draw(cpu: &Cpu, logits: &[f32], request: &SampleRequest<'_>) -> Result<Sampled> {
    let params = request.params;
    let spread_of = |logits: &[f32]| Spread::of(cpu, logits).ok_or_else(no_number);
    let all = penalized(logits, params, request.history);
    let is_changed = matches!(all, Cow::Owned(_));
    // Of the tokens that may be drawn.
    let own_logits = only(Cow::Borrowed(logits), request.allowed_first());
    let own = spread_of(&own_logits)?;
    let own_logprob = |idx: usize| logits[idx] - own.log_sum;
    let logits = if is_changed { only(all.clone(), request.allowed_first()) } else { own_logits };
    if params.temperature == 0.0 && request.top_logprobs.is_none() {
        let idx = if is_changed { argmax(cpu, &logits).ok_or_else(no_number)? } else { own.greatest };
        return Ok(Sampled { token: to_token(idx), own_logprob: own_logprob(idx), logprobs: None });
    }
    let spread = if is_changed { spread_of(&logits)? } else { own };
    let scores = Scores::new(cpu, &logits, spread);
    let idx = if params.temperature == 0.0 {
        spread.greatest
    } else {
        let mut rng = fastrand::Rng::with_seed(draw_seed(request.seed, request.n_generated));
        let is_xtc_on = rng.f32() < params.xtc_probability;
        scores
            .pick(&scores.kept(params, is_xtc_on), sharpness(params.temperature), rng.f64())
            .ok_or_else(no_number)?
    };
    let logprobs = match request.top_logprobs {
        Some(n) => {
            let log_sum = spread_of(&all)?.log_sum;
            let top = top_k(cpu, &all, n).into_iter().map(|(i, it)| (to_token(i), it - log_sum));
            Some(TokenLogprobs { logprob: all[idx] - log_sum, top: top.collect() })
        }
        None => None,
    };
    Ok(Sampled { token: to_token(idx), own_logprob: own_logprob(idx), logprobs })
}

/// What all log probabilities of a distribution are relative to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    /// The index of the greatest logit.
    greatest: usize,
    /// The logarithm of the sum of exponentials of all logits.
    log_sum: f32,
}

impl Spread {
    /// `None` if no logit is a number.
    pub(super) fn of(cpu: &Cpu, logits: &[f32]) -> Option<Self> {
        let greatest = argmax(cpu, logits)?;
        let sum: f32 = exp_sums(cpu, logits, logits[greatest], 1.0).into_iter().sum();
        Some(Self { greatest, log_sum: logits[greatest] + sum.ln() })
    }
}

/// The logits with those of all tokens that may not be drawn set to minus infinity.
fn only<'a>(logits: Cow<'a, [f32]>, allowed: Option<&TokenSet>) -> Cow<'a, [f32]> {
    let Some(allowed) = allowed else { return logits };
    let mut logits = logits.into_owned();
    allowed.for_each_other(&mut logits, |it| *it = f32::NEG_INFINITY);
    Cow::Owned(logits)
}

/// Applies logit bias and penalties.
pub(super) fn penalized<'a>(
    logits: &'a [f32],
    params: &SamplingParams,
    history: &[TokenId],
) -> Cow<'a, [f32]> {
    let mut logits = Cow::Borrowed(logits);
    let mut edit = |token: TokenId, edit: &dyn Fn(f32) -> f32| {
        if let Some(logit) = logits.to_mut().get_mut(token as usize) {
            *logit = edit(*logit);
        }
    };
    for &(token, bias) in &params.logit_bias {
        edit(token, &|it| it + bias);
    }
    for (token, n) in token_counts(params, history) {
        edit(token, &|it| {
            let it = match params.repetition_penalty {
                1.0 => it,
                penalty if it < 0.0 => it * penalty,
                penalty => it / penalty,
            };
            it - (params.presence_penalty + params.frequency_penalty * n)
        });
    }
    logits
}

/// The distribution over the tokens that may be drawn, before any truncation.
pub(super) struct Scores<'a> {
    cpu: &'a Cpu,
    /// Minus infinity for tokens that may not be drawn.
    logits: &'a [f32],
    spread: Spread,
}

/// The tokens that are left after truncation.
#[derive(Debug, PartialEq)]
pub(super) enum Kept {
    /// These tokens, with their log probabilities.
    Listed(Vec<(usize, f32)>),
    /// All tokens except these.
    AllBut(Vec<usize>),
}

impl<'a> Scores<'a> {
    pub(super) fn new(cpu: &'a Cpu, logits: &'a [f32], spread: Spread) -> Self {
        Self { cpu, logits, spread }
    }

    fn logprob(&self, logit: f32) -> f32 {
        logit - self.spread.log_sum
    }

    /// The `n` most likely tokens that may be drawn, with their log probabilities, most likely first, and whether the
    /// list is complete.
    fn best(&self, n: usize) -> (Vec<(usize, f32)>, bool) {
        let mut best = top_k(self.cpu, self.logits, n);
        best.retain(|(_, logit)| *logit > f32::NEG_INFINITY);
        let is_all = best.len() < n;
        (best.into_iter().map(|(idx, logit)| (idx, self.logprob(logit))).collect(), is_all)
    }

    /// The tokens that `params` leave to draw from.
    pub(super) fn kept(&self, params: &SamplingParams, is_xtc_on: bool) -> Kept {
        let mut n = FIRST_LOOK.max(params.top_k);
        loop {
            let (list, is_all) = self.best(n);
            if let Some(kept) = truncate(list, is_all, params, is_xtc_on) {
                return kept;
            }
            n *= NEXT_LOOK;
        }
    }

    /// The token at the fraction `share` of the total probability of `kept`, at a temperature of `1 / sharpness`.
    fn pick(&self, kept: &Kept, sharpness: f32, share: f64) -> Option<usize> {
        match kept {
            Kept::Listed(list) => {
                let best = list.first()?.1;
                let weight = |logprob: f32| f64::from((logprob - best) * sharpness).exp();
                let total: f64 = list.iter().map(|it| weight(it.1)).sum();
                at_share(list.iter().map(|it| (it.0, weight(it.1))), share * total)
            }
            Kept::AllBut(excluded) => {
                let greatest = self.logits[self.spread.greatest];
                let weight = |idx: usize| f64::from((self.logits[idx] - greatest) * sharpness).exp();
                let sums = exp_sums(self.cpu, self.logits, greatest, sharpness);
                let mut sums: Vec<f64> = sums.into_iter().map(f64::from).collect();
                for &idx in excluded {
                    sums[idx / EXP_SUMS_CHUNK] -= weight(idx);
                }
                let target = share * sums.iter().sum::<f64>();
                let chunk = at_share(sums.iter().copied().enumerate(), target)?;
                let before: f64 = sums[..chunk].iter().sum();
                let start = chunk * EXP_SUMS_CHUNK;
                let end = self.logits.len().min(start + EXP_SUMS_CHUNK);
                let weights =
                    (start..end).filter(|idx| !excluded.contains(idx)).map(|idx| (idx, weight(idx)));
                at_share(weights, target - before)
            }
        }
    }
}

/// The first index at which the cumulative weight exceeds `target`; the last one with any weight if rounding prevents
/// that.
fn at_share(weights: impl Iterator<Item = (usize, f64)>, target: f64) -> Option<usize> {
    let mut sum = 0.0;
    let mut last = None;
    for (idx, weight) in weights.filter(|it| it.1 > 0.0) {
        sum += weight;
        last = Some(idx);
        if sum > target {
            break;
        }
    }
    last
}

/// Applies top-p, min-p, xtc and top-k to the most likely tokens, `list`, which may be all tokens. `None` if a longer
/// list is needed.
fn truncate(
    mut list: Vec<(usize, f32)>,
    is_all: bool,
    params: &SamplingParams,
    is_xtc_on: bool,
) -> Option<Kept> {
    let mass = |list: &[(usize, f32)]| list.iter().map(|it| f64::from(it.1).exp()).sum::<f64>();
    // Whether all tokens outside the list are excluded.
    let mut is_closed = is_all;
    if params.top_p > 0.0 && params.top_p < 1.0 {
        let target = f64::from(params.top_p) * if is_all { mass(&list) } else { 1.0 };
        let mut n = 0;
        let mut above = 0.0;
        while n < list.len() && above < target {
            above += f64::from(list[n].1).exp();
            n += 1;
        }
        // Tokens as likely as the last one stay too.
        let last = list[..n].last().map(|it| it.1);
        n += list[n..].iter().take_while(|it| Some(it.1) == last).count();
        is_closed |= n < list.len();
        list.truncate(n);
    }
    if params.min_p > 0.0
        && let Some(&(_, best)) = list.first()
    {
        let threshold = best + params.min_p.ln();
        let n = list.partition_point(|it| it.1 >= threshold).max(params.min_tokens_to_keep);
        is_closed |= n < list.len();
        list.truncate(n);
    }
    let cuts = params.min_p > 0.0 || (params.top_p > 0.0 && params.top_p < 1.0);
    if cuts && !is_closed {
        return None;
    }
    let mut excluded = Vec::new();
    if is_xtc_on {
        let total = if is_closed { mass(&list) } else { 1.0 };
        let n_above = list.partition_point(|it| f64::from(it.1).exp() / total > params.xtc_threshold.into());
        if n_above == list.len() && !is_closed {
            return None;
        }
        if let Some(&(_, least)) = list[..n_above].last() {
            let is_excluded = |&&(idx, logprob): &&(usize, f32)| {
                logprob > least && !params.xtc_special_tokens.contains(&to_token(idx))
            };
            excluded = list[..n_above].iter().filter(is_excluded).map(|it| it.0).collect();
            list.retain(|it| !excluded.contains(&it.0));
        }
    }
    if params.top_k > 0 {
        if list.len() < params.top_k && !is_closed {
            return None;
        }
        list.truncate(params.top_k);
        is_closed = true;
    }
    Some(if is_closed { Kept::Listed(list) } else { Kept::AllBut(excluded) })
}

fn no_number() -> Exception {
    Exception::custom("the model gave no number")
}

/// Vocabularies have fewer tokens than ids have values.
fn to_token(idx: usize) -> TokenId {
    TokenId::try_from(idx).unwrap_or(TokenId::MAX)
}
