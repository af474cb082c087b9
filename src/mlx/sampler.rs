//! Draws a token from logits on the device. See [`host`] for logits in host memory.
//!
//! Order and meaning are those of mlx_lm's `sample_utils.py`: logit bias, then repetition, presence and frequency
//! penalties on the logits; log probabilities; then top-p, min-p, xtc, top-k and one draw. Each draw has its own
//! random key, made from the sequence's seed and the token's number, so the same seed gives the same text whatever
//! else runs.

pub(crate) mod host;

use std::collections::HashMap;

use mlx_rs::error::{Exception, Result};
use mlx_rs::ops::indexing::{argmax_axis, take_along_axis};
use mlx_rs::{Array, Dtype, ops, random};
use runabout_engine::model::{SampleRequest, Sampled, TokenLogprobs};
use runabout_text::{SamplingParams, TokenId, TokenSet};

/// A draw that is not evaluated yet, so that all draws of a batch are evaluated together.
pub(crate) struct PendingToken {
    token: Array,       // scalar, u32
    own_logprob: Array, // scalar, f32
    logprobs: Option<PendingLogprobs>,
}

struct PendingLogprobs {
    all: Array,         // [vocab_size]
    top: Option<Array>, // [n], ids in no order
}

/// Draws the token after `logits` `[vocab_size]`.
pub(crate) fn draw(logits: &Array, request: &SampleRequest<'_>) -> Result<PendingToken> {
    let params = request.params;
    let own = logits;
    let logits = penalized(own, params, request.history)?;
    let set = request.allowed_first();
    let allowed = |scores: &Array| match set {
        Some(set) => only(scores, set),
        None => Ok(scores.clone()),
    };
    if params.temperature == 0.0 && request.top_logprobs.is_none() {
        let token = argmax_axis(&allowed(&logits)?, -1, false)?;
        return Ok(PendingToken { own_logprob: own_logprob(own, &token, set)?, token, logprobs: None });
    }
    let logits = logits.as_dtype(Dtype::Float32)?;
    let logprobs = logits.subtract(logits.logsumexp_axis(-1, true)?)?;
    let token = if params.temperature == 0.0 {
        argmax_axis(&allowed(&logprobs)?, -1, false)?
    } else {
        let (xtc_key, draw_key) =
            random::split(random::key(draw_seed(request.seed, request.n_generated))?, 2)?;
        let kept = truncated(&allowed(&logprobs)?, params, &xtc_key)?;
        // Relative to the maximum, so that no temperature causes an overflow.
        let relative = kept.subtract(kept.max(false)?)?;
        let sharpened = relative.multiply(Array::from_f32(sharpness(params.temperature)))?;
        random::categorical(sharpened, -1, None, &draw_key)?
    };
    let logprobs = match request.top_logprobs {
        None => None,
        Some(n) => {
            let n = to_i32(n).min(logprobs.dim(0));
            let top = (n > 0).then(|| top_ids(&logprobs, n)).transpose()?;
            Some(PendingLogprobs { all: logprobs, top })
        }
    };
    Ok(PendingToken { own_logprob: own_logprob(own, &token, set)?, token, logprobs })
}

impl PendingToken {
    /// The token, a scalar that may not be evaluated yet.
    pub(crate) fn token(&self) -> &Array {
        &self.token
    }

    /// The arrays to evaluate before [`Self::finish`].
    pub(crate) fn arrays(&self) -> impl Iterator<Item = &Array> {
        let logprobs = self.logprobs.iter().flat_map(|it| std::iter::once(&it.all).chain(&it.top));
        [&self.token, &self.own_logprob].into_iter().chain(logprobs)
    }

    pub(crate) fn finish(self) -> Result<Sampled> {
        let token = self.token.try_item_exact::<u32>().map_err(|e| Exception::custom(e.to_string()))?;
        let own_logprob =
            self.own_logprob.try_item_exact::<f32>().map_err(|e| Exception::custom(e.to_string()))?;
        let Some(PendingLogprobs { all, top }) = self.logprobs else {
            return Ok(Sampled { token, own_logprob, logprobs: None });
        };
        let all = all.as_slice::<f32>();
        let mut top: Vec<(TokenId, f32)> = match &top {
            Some(ids) => ids.as_slice::<u32>().iter().map(|&id| (id, all[id as usize])).collect(),
            None => Vec::new(),
        };
        top.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let logprobs = TokenLogprobs { logprob: all[token as usize], top };
        Ok(Sampled { token, own_logprob, logprobs: Some(logprobs) })
    }
}

/// The log probability of a drawn token under `logits` themselves, among the `allowed` ones.
fn own_logprob(logits: &Array, token: &Array, allowed: Option<&TokenSet>) -> Result<Array> {
    let logits = logits.as_dtype(Dtype::Float32)?;
    let log_sum = match allowed {
        Some(allowed) => only(&logits, allowed)?.logsumexp(false)?,
        None => logits.logsumexp(false)?,
    };
    take_along_axis(&logits, &token.reshape(&[1])?, 0)?.reshape(&[])?.subtract(log_sum)
}

/// The ids of the `n` largest values of `[vocab_size]`, unordered.
fn top_ids(logprobs: &Array, n: i32) -> Result<Array> {
    let order = ops::argpartition_axis(logprobs.negative()?, n - 1, -1)?;
    let first = Array::from_iter(0..n, &[n]);
    order.take(first)?.as_dtype(Dtype::Uint32)?.contiguous()
}

/// The factor on log probabilities for a temperature above 0. It is bounded, because the inverse of a tiny
/// temperature is infinite.
fn sharpness(temperature: f32) -> f32 {
    const MAX: f32 = 1e30;
    (1.0 / temperature).min(MAX)
}

/// The `ids` that are within `[vocab_size]`. MLX does not check, and would read and write out of bounds.
fn known(logits: &Array, ids: impl IntoIterator<Item = TokenId>) -> Vec<TokenId> {
    let n = logits.size();
    ids.into_iter().filter(|id| (*id as usize) < n).collect()
}

/// Applies logit bias and penalties, which change only the logits of tokens in the bias or in the history.
fn penalized(logits: &Array, params: &SamplingParams, history: &[TokenId]) -> Result<Array> {
    let is_known = |id: TokenId| (id as usize) < logits.size();
    let bias: Vec<_> = params.logit_bias.iter().copied().filter(|it| is_known(it.0)).collect();
    let mut counts = token_counts(params, history);
    counts.retain(|id, _| is_known(*id));
    let mut logits = logits.clone();
    if !bias.is_empty() {
        let (ids, bias): (Vec<u32>, Vec<f32>) = bias.into_iter().unzip();
        logits = edited(&logits, &ids, |selected| selected.add(&row(&bias).as_dtype(selected.dtype())?))?;
    }
    if counts.is_empty() {
        return Ok(logits);
    }
    #[expect(clippy::float_cmp, reason = "1 switches it off")]
    let has_repetition_penalty = params.repetition_penalty != 1.0;
    let (ids, counts): (Vec<u32>, Vec<f32>) = counts.into_iter().unzip();
    edited(&logits, &ids, |selected| {
        let dtype = selected.dtype();
        let mut selected = selected.as_dtype(Dtype::Float32)?;
        if has_repetition_penalty {
            let penalty = Array::from_f32(params.repetition_penalty);
            let is_negative = selected.lt(Array::from_f32(0.0))?;
            selected = ops::select(&is_negative, &selected.multiply(&penalty)?, &selected.divide(&penalty)?)?;
        }
        let seen: Vec<f32> =
            counts.iter().map(|n| params.presence_penalty + params.frequency_penalty * n).collect();
        selected.subtract(row(&seen))?.as_dtype(dtype)
    })
}

/// `logits` with all values except those of `allowed` set to minus infinity.
fn only(logits: &Array, allowed: &TokenSet) -> Result<Array> {
    let mut is_allowed = vec![true; logits.size()];
    allowed.for_each_other(&mut is_allowed, |it| *it = false);
    if !is_allowed.contains(&true) {
        return Err(Exception::custom("none of the tokens that may come is one of the model's"));
    }
    let is_allowed = Array::from_slice(&is_allowed, &[to_i32(is_allowed.len())]);
    let never = Array::from_f32(f32::NEG_INFINITY).as_dtype(logits.dtype())?;
    ops::select(&is_allowed, logits, &never)
}

/// `logits` with `edit` applied to the values of the distinct `ids`.
fn edited(logits: &Array, ids: &[u32], edit: impl FnOnce(&Array) -> Result<Array>) -> Result<Array> {
    let ids = Array::from_slice(ids, &[to_i32(ids.len())]);
    let selected = take_along_axis(logits, &ids, 0)?;
    logits.put_along_axis(&ids, edit(&selected)?, 0)
}

fn row(values: &[f32]) -> Array {
    Array::from_slice(values, &[to_i32(values.len())])
}

/// Log probabilities `[vocab_size]`, with excluded tokens set to minus infinity.
fn truncated(logprobs: &Array, params: &SamplingParams, xtc_key: &Array) -> Result<Array> {
    let never = Array::from_f32(f32::NEG_INFINITY);
    let mut logprobs = logprobs.clone();
    if params.top_p > 0.0 && params.top_p < 1.0 {
        // A share of 0 would drop the most likely token too.
        let top_p = params.top_p.max(f32::MIN_POSITIVE);
        let sorted = ops::sort_axis(&logprobs, -1)?;
        let probs = sorted.exp()?;
        let mass_above = ops::cumsum(&probs, -1, true, false)?;
        let total = probs.sum(false)?;
        let n_dropped = mass_above.ge(total.multiply(Array::from_f32(top_p))?)?.sum_axis(-1, true)?;
        let threshold = take_along_axis(&sorted, n_dropped.as_dtype(Dtype::Uint32)?, -1)?;
        logprobs = ops::select(&logprobs.lt(&threshold)?, &never, &logprobs)?;
    }
    if params.min_p > 0.0 {
        let threshold = logprobs.max(false)?.add(Array::from_f32(params.min_p.ln()))?;
        let mut is_removed = logprobs.lt(&threshold)?;
        if params.min_tokens_to_keep > 1 {
            let n = to_i32(params.min_tokens_to_keep).min(logprobs.dim(0));
            let kept = top_ids(&logprobs, n)?;
            is_removed = is_removed.put_along_axis(&kept, Array::from_bool(false), 0)?;
        }
        logprobs = ops::select(&is_removed, &never, &logprobs)?;
    }
    if params.xtc_probability > 0.0 {
        let probs = ops::softmax_axis(&logprobs, -1, true)?;
        let infinity = Array::from_f32(f32::INFINITY);
        let is_above = probs.gt(Array::from_f32(params.xtc_threshold))?;
        let least = ops::select(&is_above, &probs, &infinity)?.min(false)?;
        let mut is_excluded = probs.gt(&least)?;
        let spared = known(&logprobs, params.xtc_special_tokens.iter().copied());
        if !spared.is_empty() {
            let ids = Array::from_slice(&spared, &[to_i32(spared.len())]);
            is_excluded = is_excluded.put_along_axis(&ids, Array::from_bool(false), 0)?;
        }
        let is_off =
            random::uniform::<_, f32>(0.0, 1.0, &[], xtc_key)?.gt(Array::from_f32(params.xtc_probability))?;
        let excluded = ops::select(&is_excluded, &never, &logprobs)?;
        logprobs = ops::select(&is_off, &logprobs, &excluded)?;
    }
    let top_k = to_i32(params.top_k);
    if top_k > 0 && top_k < logprobs.dim(0) {
        let order = ops::argpartition_axis(logprobs.negative()?, top_k - 1, -1)?;
        let dropped = order.split_at_indices(&[top_k], -1)?.remove(1);
        logprobs = logprobs.put_along_axis(&dropped, &never, 0)?;
    }
    Ok(logprobs)
}

/// The tokens subject to penalties, and how often each occurred; empty if no penalty is on.
fn token_counts(params: &SamplingParams, history: &[TokenId]) -> HashMap<TokenId, f32> {
    let mut counts = HashMap::new();
    for &token in &history[history.len().saturating_sub(params.n_penalized())..] {
        *counts.entry(token).or_default() += 1.0;
    }
    counts
}

/// The seed of one draw: splitmix64 of the seed and the token's number, so that neighbouring seeds are unrelated.
fn draw_seed(seed: u64, n_generated: u64) -> u64 {
    let mut z = seed.wrapping_add(n_generated.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Sizes come from vocabularies and bounded parameters.
fn to_i32(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
