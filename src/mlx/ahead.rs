//! A step that starts before the engine asks for it: [`Ahead`].
//!
//! Each step of a text feeds the token that the previous step drew, so the device can start on it before the host has
//! read that token, turned it into text and planned. The step is kept here together with the request that it assumes.
//! If the engine asks for anything else, the step is dropped, and its slots' caches must forget the token.

use mlx_rs::error::Result;
use mlx_rs::{Array, ops};
use runabout_engine::model::{SampleRequest, SlotId, Span};
use runabout_text::{SamplingParams, TokenId};

use crate::sampler::{self, PendingToken};

/// A step that was started early.
pub(crate) struct Ahead {
    spans: Vec<Expected>,
    pending: Vec<PendingToken>,
}

/// A span of one token that the engine is expected to ask for.
struct Expected {
    slot: SlotId,
    /// Known once the previous step's draw has been read.
    token: Option<TokenId>,
    params: SamplingParams,
    n_generated: u64,
    seed: u64,
    top_logprobs: Option<usize>,
}

impl Ahead {
    /// Whether the step after `spans` can start before their draws are known.
    pub(crate) fn is_possible(spans: &[Span<'_>]) -> bool {
        let draws = |it: &SampleRequest<'_>| it.allowed.is_empty() && it.params.n_penalized() == 0;
        spans.iter().all(|it| it.n_drafted == 0 && it.sample.as_ref().is_some_and(draws))
    }

    /// The input tokens `[n]` of the step after the one that draws `pending`, one for each span.
    pub(crate) fn tokens(pending: &[PendingToken]) -> Result<Array> {
        let tokens = pending.iter().map(|it| it.token().reshape(&[1])).collect::<Result<Vec<_>>>()?;
        ops::concatenate(&tokens, 0)
    }

    /// The step that feeds the tokens drawn for `spans`; `logits` holds a row `[vocab_size]` for each.
    pub(crate) fn new(spans: &[Span<'_>], logits: &[Array]) -> Result<Self> {
        let expected: Vec<_> = spans.iter().filter_map(Expected::after).collect();
        let pending = expected
            .iter()
            .zip(logits)
            .map(|(it, row)| sampler::draw(row, &it.request()))
            .collect::<Result<_>>()?;
        Ok(Self { spans: expected, pending })
    }

    /// Records the token that the previous step drew for its span `idx`.
    pub(crate) fn read(&mut self, idx: usize, token: TokenId) {
        if let Some(it) = self.spans.get_mut(idx) {
            it.token = Some(token);
        }
    }

    /// The arrays to evaluate.
    pub(crate) fn arrays(&self) -> impl Iterator<Item = &Array> {
        self.pending.iter().flat_map(PendingToken::arrays)
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = SlotId> {
        self.spans.iter().map(|it| it.slot)
    }

    /// The draws, if `spans` are what this step assumed. Otherwise the slots whose caches hold one token too many.
    pub(crate) fn take(self, spans: &[Span<'_>]) -> std::result::Result<Vec<PendingToken>, Vec<SlotId>> {
        let is_asked = self.spans.len() == spans.len() && self.spans.iter().zip(spans).all(|(a, b)| a.is(b));
        if is_asked { Ok(self.pending) } else { Err(self.slots().collect()) }
    }
}

impl Expected {
    fn after(span: &Span<'_>) -> Option<Self> {
        let SampleRequest { params, n_generated, seed, top_logprobs, .. } = span.sample?;
        let (slot, n_generated) = (span.slot, n_generated + 1);
        Some(Self { slot, token: None, params: params.clone(), n_generated, seed, top_logprobs })
    }

    fn request(&self) -> SampleRequest<'_> {
        let Self { params, n_generated, seed, top_logprobs, .. } = self;
        let (n_generated, seed, top_logprobs) = (*n_generated, *seed, *top_logprobs);
        SampleRequest { params, history: &[], n_generated, seed, top_logprobs, allowed: &[] }
    }

    fn is(&self, span: &Span<'_>) -> bool {
        let is_drawn = |it: SampleRequest<'_>| {
            *it.params == self.params
                && it.n_generated == self.n_generated
                && it.seed == self.seed
                && it.top_logprobs == self.top_logprobs
                && it.allowed.is_empty()
        };
        span.slot == self.slot
            && span.n_drafted == 0
            && Some(span.tokens) == self.token.as_ref().map(std::slice::from_ref)
            && span.sample.is_some_and(is_drawn)
    }
}
