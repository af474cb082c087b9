//! A model for tests, [`ScriptedModel`]: no tensors, only tokens.
//!
//! Each slot holds the tokens that it was fed, and the next token is a function of *them*, not of the history that the
//! engine passes; so a wrong cache shows as wrong text. Every call is checked against the contract of
//! [`LanguageModel`], and a violation panics. Its slots return to any length, or [to checkpoints
//! only](ScriptedModel::with_checkpoints_only). A [`Recording`] has every span that was fed. A [`Gate`] holds the model
//! inside a step until the test lets it continue, fail or panic, so tests never sleep.

mod gate;
mod recording;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Debug},
    ops::Range,
    sync::Arc,
};

use runabout_text::{SamplingParams, TokenId, Tokenizer};

use crate::{
    loading::{Loaded, Models},
    model::{
        LanguageModel, MemoryUse, ModelDescription, SampleRequest, Sampled, SlotCopy, SlotCost, SlotId, Span,
        StepCost, StepError, TokenLogprobs, n_accepted,
    },
};
pub use gate::Gate;
use gate::ModelGate;
pub use recording::{FedSpan, Recording, Shift};

/// The end token of the test tokenizer, `<|endoftext|>`.
pub const END: TokenId = 256;

/// Computes the next token from the tokens that the slot holds and how many tokens were generated so far.
type Next = Box<dyn Fn(&[TokenId], usize) -> TokenId + Send>;

/// Computes the log probability of a token from the same.
type LogprobOf = Box<dyn Fn(&[TokenId], usize) -> f32 + Send>;

/// A language model whose answers a test scripts.
pub struct ScriptedModel {
    /// May be changed before the engine starts.
    pub description: ModelDescription,
    /// Whether [`LanguageModel::append_shifted`] and [`LanguageModel::drop_tokens`] fail.
    pub shifts_fail: bool,
    next: Next,
    logprob: LogprobOf,
    slots: BTreeMap<SlotId, ScriptedSlot>,
    n_opened: u32,
    /// The most memory that all slots together have had.
    peak_bytes: u64,
    recording: Recording,
    gate: Option<ModelGate>,
}

/// A slot of the model.
#[derive(Clone, Debug, Default)]
struct ScriptedSlot {
    held: Vec<TokenId>,
    /// The positions in the sequence of the tokens that were dropped.
    dropped: Range<usize>,
    /// The number of tokens that it has memory for.
    room: usize,
    checkpoints: BTreeSet<usize>,
}

impl ScriptedModel {
    pub fn new(next: impl Fn(&[TokenId], usize) -> TokenId + Send + 'static) -> Self {
        Self {
            description: ModelDescription {
                architecture: "scripted".to_owned(),
                context_length: 4096,
                vocabulary_size: 265,
                weights_bytes: 0,
                slot_cost: SlotCost {
                    fixed_bytes: 0,
                    bytes_per_token: 1,
                    checkpoint_bytes: 0,
                    step_tokens: 1,
                },
                step_cost: StepCost { fixed_bytes: 320 << 20, bytes_per_token: 0, bytes_per_draw: 0 },
                can_shift: true,
                quantization_bits: None,
                device: "script".to_owned(),
                precision: None,
            },
            shifts_fail: false,
            next: Box::new(next),
            logprob: Box::new(|_, _| 0.0),
            slots: BTreeMap::new(),
            n_opened: 0,
            peak_bytes: 0,
            recording: Recording::default(),
            gate: None,
        }
    }

    /// The log probability of each token that is drawn, computed from what the slot holds and how many tokens were
    /// generated so far.
    #[must_use]
    pub fn with_logprobs(self, logprob: impl Fn(&[TokenId], usize) -> f32 + Send + 'static) -> Self {
        Self { logprob: Box::new(logprob), ..self }
    }

    /// Makes slots return to checkpoints only, as those with a recurrent state do. A slot then costs four tokens more, and
    /// two for each checkpoint.
    #[must_use]
    pub fn with_checkpoints_only(mut self) -> Self {
        let cost = &mut self.description.slot_cost;
        cost.fixed_bytes = 4 * cost.bytes_per_token;
        cost.checkpoint_bytes = 2 * cost.bytes_per_token.max(1);
        self.description.can_shift = false;
        self
    }

    /// The next token is a printable hash of everything that the slot holds. It never draws [`END`].
    pub fn hashing() -> Self {
        Self::new(|held, _| hash(held))
    }

    /// Generates the same text after every prompt, byte by byte, then [`END`].
    pub fn saying(text: &str) -> Self {
        let bytes = text.as_bytes().to_vec();
        Self::new(move |_, n_generated| bytes.get(n_generated).map_or(END, |&byte| byte.into()))
    }

    /// Generates the reply that the table has for the prompt, byte by byte, then [`END`]; for any other prompt [`END`]
    /// alone.
    pub fn replying(table: &[(&str, &str)]) -> Self {
        let table: BTreeMap<Vec<TokenId>, Vec<TokenId>> =
            table.iter().map(|(prompt, reply)| (bytes(prompt), bytes(reply))).collect();
        Self::new(move |held, n_generated| {
            let prompt = &held[..held.len().saturating_sub(n_generated)];
            table.get(prompt).and_then(|reply| reply.get(n_generated)).copied().unwrap_or(END)
        })
    }

    pub fn recording(&self) -> Recording {
        self.recording.clone()
    }

    /// From now on, every step waits for the gate.
    pub fn gate(&mut self) -> Gate {
        let (gate, inside) = gate::gate();
        self.gate = Some(inside);
        gate
    }

    /// The model with a tokenizer whose tokens are bytes, as the result of loading for [`crate::Engine::spawn`].
    pub fn loaded(self) -> Loaded {
        let models = Models { model: Box::new(self), draft: None };
        Loaded { models, tokenizer: Arc::new(Tokenizer::bytes_for_tests()) }
    }

    /// The same with a draft model.
    pub fn loaded_with_draft(self, draft: Self) -> Loaded {
        let loaded = self.loaded();
        Loaded { models: Models { draft: Some(Box::new(draft)), ..loaded.models }, ..loaded }
    }

    fn slot(&self, slot: SlotId) -> &ScriptedSlot {
        self.slots.get(&slot).unwrap_or_else(|| panic!("slot {} is not open", slot.0))
    }

    fn slot_mut(&mut self, slot: SlotId) -> &mut ScriptedSlot {
        self.slots.get_mut(&slot).unwrap_or_else(|| panic!("slot {} is not open", slot.0))
    }

    /// Grows the memory of slots to what they hold, in whole steps; rewinding a slot does not shrink it.
    fn grow(&mut self) {
        let cost = self.description.slot_cost;
        for slot in self.slots.values_mut() {
            if slot.held.len() > slot.room {
                slot.room = cost.room_for(slot.held.len());
            }
        }
        self.peak_bytes = self.peak_bytes.max(self.active_bytes());
    }

    fn active_bytes(&self) -> u64 {
        let cost = self.description.slot_cost;
        self.slots.values().map(|it| cost.bytes(it.room, it.checkpoints.len())).sum()
    }

    /// Draws after a span that was fed, and removes rejected drafts from the slot.
    fn verify(&mut self, span: &Span<'_>) -> Vec<Sampled> {
        let Some(request) = span.sample else { return Vec::new() };
        let dropped = self.slot(span.slot).dropped.clone();
        let held = without(request.history, &dropped);
        assert_eq!(self.slot(span.slot).held, held, "the history is not what the slot holds");
        let n_drafted = span.n_drafted;
        let mut drawn: Vec<Sampled> =
            (0..=n_drafted).map(|n| self.draw(&request.after_drafts(n, n_drafted), &dropped)).collect();
        let drafts = &span.tokens[span.tokens.len() - n_drafted..];
        let n_accepted = n_accepted(drafts, drawn.iter().map(|it| it.token));
        drawn.truncate(n_accepted + 1);
        // The model takes back rejected drafts by itself, whatever its slots return to.
        let n_held = held.len() - n_drafted + n_accepted;
        self.slot_mut(span.slot).held.truncate(n_held);
        drawn
    }

    fn draw(&self, request: &SampleRequest<'_>, dropped: &Range<usize>) -> Sampled {
        let held = &without(request.history, dropped);
        let n_generated = usize::try_from(request.n_generated).unwrap_or(usize::MAX);
        let wanted = (self.next)(held, n_generated);
        let token = match request.allowed_first() {
            Some(allowed) if !allowed.contains(wanted) => {
                allowed.iter().next().expect("a set is never empty")
            }
            _ => wanted,
        };
        let logprob = (self.logprob)(held, n_generated);
        let logprobs = request
            .top_logprobs
            .map(|n_top| TokenLogprobs { logprob, top: vec![(token, logprob); n_top.min(1)] });
        Sampled { token, own_logprob: logprob, logprobs }
    }
}

impl LanguageModel for ScriptedModel {
    fn description(&self) -> &ModelDescription {
        &self.description
    }

    fn open_slot(&mut self) -> SlotId {
        let slot = SlotId(self.n_opened);
        self.n_opened += 1;
        self.slots.insert(slot, ScriptedSlot::default());
        self.grow();
        slot
    }

    fn resume_point(&self, slot: SlotId, n_tokens: usize) -> usize {
        let ScriptedSlot { held, checkpoints, .. } = self.slot(slot);
        assert!(n_tokens <= held.len(), "slot {} holds {} tokens, not {n_tokens}", slot.0, held.len());
        if n_tokens == held.len() || !self.description.slot_cost.needs_checkpoints() {
            return n_tokens;
        }
        checkpoints.range(..=n_tokens).next_back().copied().unwrap_or(0)
    }

    fn rewind_slot(&mut self, slot: SlotId, n_tokens: usize) -> usize {
        let n_tokens = self.resume_point(slot, n_tokens);
        let ScriptedSlot { held, checkpoints, .. } = self.slot_mut(slot);
        held.truncate(n_tokens);
        checkpoints.retain(|it| *it <= n_tokens);
        n_tokens
    }

    fn drop_checkpoint(&mut self, slot: SlotId, n_tokens: usize) {
        let is_there = self.slot_mut(slot).checkpoints.remove(&n_tokens);
        assert!(is_there, "slot {} has no checkpoint at {n_tokens}", slot.0);
    }

    fn close_slot(&mut self, slot: SlotId) {
        assert!(self.slots.remove(&slot).is_some(), "slot {} is not open", slot.0);
    }

    fn slot_room(&self, slot: SlotId) -> usize {
        self.slot(slot).room
    }

    fn fit_slot(&mut self, slot: SlotId) {
        let slot = self.slot_mut(slot);
        slot.room = slot.held.len();
    }

    fn copy_slot(&mut self, from: SlotId, n_tokens: usize) -> Result<SlotCopy, StepError> {
        let n_tokens = self.resume_point(from, n_tokens);
        let held = self.slot(from).held[..n_tokens].to_vec();
        let slot = self.open_slot();
        self.slot_mut(slot).held = held;
        self.grow();
        Ok(SlotCopy { slot, n_tokens })
    }

    fn append_shifted(&mut self, slot: SlotId, from: SlotId, tokens: Range<usize>) -> Result<(), StepError> {
        assert!(self.description.can_shift, "keys are moved in a model that cannot do this");
        let moved = self.slot(from).held.get(tokens.clone()).map(<[TokenId]>::to_vec);
        let moved = moved.unwrap_or_else(|| panic!("slot {} does not hold {tokens:?}", from.0));
        let start = self.slot(slot).held.len();
        self.recording.record_shift(Shift { slot, start, from, range: tokens });
        if self.shifts_fail {
            self.slot_mut(slot).held.clear();
            return Err(StepError { message: "the script says so".to_owned() });
        }
        self.slot_mut(slot).held.extend(moved);
        self.grow();
        Ok(())
    }

    fn drop_tokens(&mut self, slot: SlotId, tokens: Range<usize>) -> Result<(), StepError> {
        assert!(self.description.can_shift, "keys are moved in a model that cannot do this");
        if self.shifts_fail {
            return Err(StepError { message: "the script says so".to_owned() });
        }
        let room = self.description.slot_cost.room_for(self.slot(slot).held.len() - tokens.len());
        let slot = self.slot_mut(slot);
        if slot.dropped.is_empty() {
            slot.dropped = tokens.start..tokens.start;
        }
        assert_eq!(slot.dropped.start, tokens.start, "what is dropped is not one run of the sequence");
        slot.dropped.end += tokens.len();
        slot.held.drain(tokens);
        slot.room = room;
        Ok(())
    }

    fn step(&mut self, spans: &[Span<'_>]) -> Result<Vec<Vec<Sampled>>, StepError> {
        assert!(!spans.is_empty(), "a step without spans");
        let slots: BTreeSet<SlotId> = spans.iter().map(|span| span.slot).collect();
        assert_eq!(slots.len(), spans.len(), "two spans for one slot");
        let fed: Vec<FedSpan> = spans
            .iter()
            .map(|span| {
                assert!(span.n_drafted < span.tokens.len(), "a span without a known token");
                assert!(span.n_drafted == 0 || span.sample.is_some(), "drafts without a sample");
                let may_remember = self.description.slot_cost.needs_checkpoints() && span.n_drafted == 0;
                assert!(may_remember || !span.checkpoint, "a checkpoint that is not needed or after drafts");
                let is_known = |it: &TokenId| (*it as usize) < self.description.vocabulary_size;
                assert!(span.tokens.iter().all(is_known), "a token beyond the vocabulary");
                let params = span.sample.map(|it| it.params);
                let named = |it: &SamplingParams| {
                    it.logit_bias
                        .iter()
                        .map(|it| it.0)
                        .chain(it.xtc_special_tokens.clone())
                        .all(|it| is_known(&it))
                };
                assert!(params.is_none_or(named), "parameters that name a token beyond the vocabulary");
                let n_sets = span.sample.map_or(0, |it| it.allowed.len());
                assert!(n_sets == 0 || n_sets > span.n_drafted, "a draw without a set of allowed tokens");
                let start = self.slot(span.slot).held.len();
                FedSpan {
                    slot: span.slot,
                    start,
                    tokens: span.tokens.to_vec(),
                    n_drafted: span.n_drafted,
                    sampled: span.sample.is_some(),
                    checkpoint: span.checkpoint,
                }
            })
            .collect();
        self.recording.record_step(&fed);
        for span in spans {
            let slot = self.slot_mut(span.slot);
            slot.held.extend_from_slice(span.tokens);
            if span.checkpoint {
                let is_new = slot.checkpoints.insert(slot.held.len());
                assert!(is_new, "a second checkpoint at the same place");
            }
        }
        self.grow();
        if let Some(gate) = &self.gate {
            gate.pass(fed)?;
        }
        Ok(spans.iter().map(|span| self.verify(span)).collect())
    }

    fn step_ahead(&mut self, spans: &[Span<'_>]) -> Result<Vec<Vec<Sampled>>, StepError> {
        self.recording.record_ahead();
        self.step(spans)
    }

    fn memory(&self) -> MemoryUse {
        MemoryUse { active_bytes: self.active_bytes(), peak_bytes: self.peak_bytes, cache_bytes: 0 }
    }
}

impl Debug for ScriptedModel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ScriptedModel").field("slots", &self.slots).finish_non_exhaustive()
    }
}

/// The tokens of a text in the test tokenizer, which has one token for each byte.
pub fn bytes(text: &str) -> Vec<TokenId> {
    text.bytes().map(TokenId::from).collect()
}

/// All `tokens` but those at these positions.
fn without(tokens: &[TokenId], positions: &Range<usize>) -> Vec<TokenId> {
    [&tokens[..positions.start], &tokens[positions.end..]].concat()
}

/// FNV-1a of the tokens, as a printable ASCII character.
fn hash(tokens: &[TokenId]) -> TokenId {
    const N_PRINTABLE: u32 = 95;
    let hash = tokens
        .iter()
        .flat_map(|token| token.to_le_bytes())
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    u32::from(b' ') + (hash >> 8) % N_PRINTABLE
}
