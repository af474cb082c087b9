//! The step that was begun before anybody asked for it.
//!
//! While a text is generated, each step feeds what the one before has drawn. So that step can be given to the device
//! before the token is read: the device need not wait until the token has become text and the engine has planned. What
//! was begun is kept here with what it was taken to be asked for; a step that asks for anything else takes nothing from
//! it, and its caches forget the token.

use mlx_rs::error::Result;
use mlx_rs::{Array, ops};
use runabout_engine::model::{SampleRequest, SlotId, Span};
use runabout_text::{SamplingParams, TokenId};

use crate::sampler::{self, PendingToken};

/// A step under way.
pub(crate) struct Ahead {
    spans: Vec<Expected>,
    pending: Vec<PendingToken>,
}

/// A span of one token, as it is expected to be fed.
struct Expected {
    slot: SlotId,
    /// Once it was read.
    token: Option<TokenId>,
    params: SamplingParams,
    n_generated: u64,
    seed: u64,
    top_logprobs: Option<usize>,
}

impl Ahead {
    /// Whether the step after these spans can be begun before it is known what they draw.
    pub(crate) fn is_possible(spans: &[Span<'_>]) -> bool {
        let draws = |it: &SampleRequest<'_>| it.allowed.is_none() && !sampler::needs_history(it.params);
        spans.iter().all(|it| it.n_drafted == 0 && it.sample.as_ref().is_some_and(draws))
    }

    /// The tokens `[n]` of the step after the one that draws `pending`, which has so many spans.
    pub(crate) fn tokens(pending: &[PendingToken]) -> Result<Array> {
        let tokens = pending.iter().map(|it| it.token().reshape(&[1])).collect::<Result<Vec<_>>>()?;
        ops::concatenate(&tokens, 0)
    }

    /// A step that feeds what `spans` draw and gives `logits` `[n, vocab_size]`.
    pub(crate) fn new(spans: &[Span<'_>], logits: &[Array]) -> Result<Self> {
        let expected: Vec<_> = spans.iter().filter_map(Expected::after).collect();
        let pending = expected
            .iter()
            .zip(logits)
            .map(|(it, row)| sampler::draw(row, &it.request()))
            .collect::<Result<_>>()?;
        Ok(Self { spans: expected, pending })
    }

    /// The step before has drawn this token for its `idx`th span.
    pub(crate) fn read(&mut self, idx: usize, token: TokenId) {
        if let Some(it) = self.spans.get_mut(idx) {
            it.token = Some(token);
        }
    }

    /// What must be evaluated.
    pub(crate) fn arrays(&self) -> impl Iterator<Item = &Array> {
        self.pending.iter().flat_map(PendingToken::arrays)
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = SlotId> {
        self.spans.iter().map(|it| it.slot)
    }

    /// The draws, if this is the step that is asked for; else the slots whose caches hold a token too many.
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
        SampleRequest { params, history: &[], n_generated, seed, top_logprobs, allowed: None }
    }

    fn is(&self, span: &Span<'_>) -> bool {
        let is_drawn = |it: SampleRequest<'_>| {
            *it.params == self.params
                && it.n_generated == self.n_generated
                && it.seed == self.seed
                && it.top_logprobs == self.top_logprobs
                && it.allowed.is_none()
        };
        span.slot == self.slot
            && span.n_drafted == 0
            && Some(span.tokens) == self.token.as_ref().map(std::slice::from_ref)
            && span.sample.is_some_and(is_drawn)
    }
}
