//! A loaded model as the engine uses it: [`MlxModel`], with slots of key-value caches and steps over ragged batches.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::Range;

use mlx_rs::error::{Exception, Result};
use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, Dtype, memory, transforms};
use runabout_engine::model::{
    LanguageModel, MemoryUse, ModelDescription, SampleRequest, Sampled, SlotCopy, SlotCost, SlotId, Span,
    StepCost, StepError, n_accepted,
};
use runabout_text::TokenId;

use crate::ahead::Ahead;
use crate::cpu::{Keeping, Kernels};
use crate::decoder::Decoder;
use crate::error::{message, not_a_slice};
use crate::network::Network;
use crate::options::Placement;
use crate::sampler::{self, PendingToken};
use crate::state::{LayerState, STEP_TOKENS, SpanRows};
use crate::weights::Reader;
use crate::{LoadError, device};

/// While tokens are generated, freed buffers return to the allocator after this many steps, as in mlx_lm.
const STEPS_PER_CLEAR: u32 = 256;
/// What a step takes beside its arrays: buffers of each thread, and memory that the allocator does not return.
const PROCESS_BYTES: u64 = 32 << 20;
/// MLX counts positions in 32 bits.
const MAX_CONTEXT_TOKENS: usize = i32::MAX.unsigned_abs() as usize;
/// The allocator returns free memory to the system after this many steps.
const STEPS_PER_RETURN: u32 = 512;

/// A model on MLX, made by [`crate::load`]. It must stay on its thread.
pub struct MlxModel {
    decoder: Decoder,
    placement: Placement,
    description: ModelDescription,
    slots: HashMap<SlotId, Vec<LayerState>>,
    next_slot: u32,
    n_steps_since_clear: u32,
    n_steps_since_return: u32,
    /// Bytes of this model's own caches, as last reported to the kernels.
    n_cache_bytes: u64,
    /// A step that was started early. Never used with the kernels, which read draws at once.
    ahead: Option<Ahead>,
    /// Writes the packed weights for later starts.
    _keeping: Option<Keeping>,
}

impl MlxModel {
    pub(crate) fn new(
        architecture: String,
        network: Network,
        reader: &mut Reader<'_>,
        placement: Placement,
    ) -> std::result::Result<Self, LoadError> {
        let (context_length, vocabulary_size) = (network.context_length, network.vocabulary_size);
        let decoder = Decoder::read(network, reader)?;
        let description = ModelDescription {
            architecture,
            context_length: context_length.min(MAX_CONTEXT_TOKENS),
            vocabulary_size,
            weights_bytes: reader.n_bytes(),
            slot_cost: SlotCost {
                fixed_bytes: decoder.recurrent_bytes(),
                bytes_per_token: decoder.kv_bytes_per_token(),
                checkpoint_bytes: decoder.recurrent_bytes(),
                step_tokens: STEP_TOKENS.unsigned_abs() as usize,
            },
            step_cost: step_cost(&decoder, vocabulary_size),
            can_shift: decoder.recurrent_bytes() == 0,
            quantization_bits: reader.common_bits().map(i32::unsigned_abs),
            device: placement.compute.name().to_owned(),
            precision: placement.kernels.as_ref().map(|it| it.cpu().precision().to_string()),
        };
        // MLX still holds the memory of weights that have been packed.
        memory::clear_cache()?;
        device::return_freed_memory();
        Ok(Self {
            decoder,
            placement,
            description,
            slots: HashMap::new(),
            next_slot: 0,
            n_steps_since_clear: 0,
            n_steps_since_return: 0,
            n_cache_bytes: 0,
            ahead: None,
            _keeping: reader.finish(),
        })
    }

    /// The logits `[n, vocab_size]` after each of `tokens`, fed to a new slot in chunks of at most `chunk` tokens, for
    /// comparison with another program. [`LanguageModel::step`] computes only those that are needed.
    pub fn logits(
        &mut self,
        tokens: &[TokenId],
        chunk: NonZeroUsize,
    ) -> std::result::Result<Vec<f32>, StepError> {
        let mut states = self.decoder.make_states();
        let mut all = Vec::new();
        for tokens in tokens.chunks(chunk.get()) {
            all.extend(self.logits_of(tokens, &mut states).map_err(|e| step_error(&e))?);
        }
        Ok(all)
    }

    fn logits_of(&self, tokens: &[TokenId], states: &mut [LayerState]) -> Result<Vec<f32>> {
        let n = to_i32(tokens.len());
        let rows: Vec<i32> = (0..n).collect();
        let mut spans = [SpanRows { rows: 0..n, n_drafted: 0, states }];
        let logits = self.decoder.forward(&Array::from_slice(tokens, &[n]), &mut spans, &rows)?;
        let logits = logits.map(|it| it.as_dtype(Dtype::Float32)).transpose()?;
        transforms::eval(spans[0].states.iter().flat_map(LayerState::pending).chain(&logits))?;
        states.iter_mut().for_each(LayerState::settle);
        let logits = logits.as_ref().map(|it| it.try_as_slice::<f32>()).transpose().map_err(not_a_slice)?;
        Ok(logits.unwrap_or_default().to_vec())
    }

    pub(crate) fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Updates the count of cache bytes that MLX does not count. Call after anything that changes them.
    fn count_caches(&mut self) {
        if let Some(kernels) = &self.placement.kernels {
            let n_bytes = self.slots.values().flatten().map(LayerState::n_own_bytes).sum();
            kernels.note_caches(std::mem::replace(&mut self.n_cache_bytes, n_bytes), n_bytes);
        }
    }

    fn run(
        &mut self,
        spans: &[Span<'_>],
        goes_on: bool,
    ) -> std::result::Result<Vec<Vec<Sampled>>, StepError> {
        // MLX's operations do not check, and would read beyond the embedding.
        let n_known = self.description.vocabulary_size;
        if let Some(token) = spans.iter().flat_map(|it| it.tokens).find(|it| **it as usize >= n_known) {
            let message = format!("expected tokens below {n_known}, got {token}");
            return Err(StepError { message });
        }
        let result = self.try_step(spans, goes_on);
        if result.is_err() {
            self.count_caches();
        }
        result.map_err(|e| step_error(&e))
    }

    fn try_step(&mut self, spans: &[Span<'_>], goes_on: bool) -> Result<Vec<Vec<Sampled>>> {
        let begun = match self.ahead.take().map(|it| it.take(spans)) {
            Some(Ok(pending)) => Some(pending),
            Some(Err(slots)) => {
                self.forget_one(&slots);
                None
            }
            None => None,
        };
        // Each slot is removed for the step and put back after it, so a failed step closes it.
        let mut slots: Vec<Vec<LayerState>> = spans
            .iter()
            .map(|it| {
                self.slots.remove(&it.slot).expect("the engine names open slots, each in one span of a step")
            })
            .collect();
        let drawn = match self.placement.kernels.clone() {
            Some(kernels) => self.draw_on_host(&kernels, spans, &mut slots)?,
            None => self.draw_on_device(spans, &mut slots, begun, goes_on)?,
        };
        let mut drawn = self.agreed(drawn)?.into_iter();
        let mut sampled = Vec::with_capacity(spans.len());
        for (span, mut caches) in spans.iter().zip(slots) {
            caches.iter_mut().for_each(LayerState::settle);
            let n_draws = draws(span).count();
            let mut drawn: Vec<_> = drawn.by_ref().take(n_draws).collect();
            let (_, drafts) = span.tokens.split_at(span.tokens.len() - span.n_drafted);
            let n_accepted = n_accepted(drafts, drawn.iter().map(|it| it.token));
            drawn.truncate(n_accepted + 1);
            for cache in &mut caches {
                if n_accepted < span.n_drafted {
                    cache.forget(span.n_drafted - n_accepted);
                }
                if span.checkpoint {
                    cache.keep();
                }
            }
            self.slots.insert(span.slot, caches);
            sampled.push(drawn);
        }
        self.count_caches();
        if let Some(kernels) = &self.placement.kernels {
            kernels.note_peak()?;
        }
        self.n_steps_since_clear += 1;
        let is_prefill = spans.iter().any(|it| it.tokens.len() > 1);
        if is_prefill || self.n_steps_since_clear >= STEPS_PER_CLEAR {
            self.n_steps_since_clear = 0;
            memory::clear_cache()?;
        }
        self.n_steps_since_return += 1;
        if self.n_steps_since_return >= STEPS_PER_RETURN {
            self.n_steps_since_return = 0;
            device::return_freed_memory();
        }
        Ok(sampled)
    }

    /// The draws of the group's first process, of which the others get the tokens only. Each could draw them itself, but
    /// machines of different kinds round differently.
    fn agreed(&self, drawn: Vec<Sampled>) -> Result<Vec<Sampled>> {
        let Some(group) = self.placement.group.as_ref().filter(|_| !drawn.is_empty()) else {
            return Ok(drawn);
        };
        let is_first = group.rank() == 0;
        let own: Vec<u32> = drawn.iter().map(|it| if is_first { it.token } else { 0 }).collect();
        let tokens = group.sum(&Array::from_slice(&own, &[to_i32(own.len())]))?;
        let tokens = tokens.try_as_slice::<u32>().map_err(not_a_slice)?;
        Ok(drawn.into_iter().zip(tokens).map(|(it, token)| Sampled { token: *token, ..it }).collect())
    }

    /// Feeds the spans and returns the logits `[n_out, vocab_size]` of all draws, not yet evaluated.
    fn forward(&self, spans: &[Span<'_>], slots: &mut [Vec<LayerState>]) -> Result<Option<Array>> {
        let tokens: Vec<u32> = spans.iter().flat_map(|it| it.tokens).copied().collect();
        let mut span_rows = Vec::with_capacity(spans.len());
        let mut out_rows = Vec::new();
        let mut start = 0;
        for (span, caches) in spans.iter().zip(slots) {
            let end = start + to_i32(span.tokens.len());
            if span.sample.is_some() {
                out_rows.extend(end - 1 - to_i32(span.n_drafted)..end);
            }
            span_rows.push(SpanRows { rows: start..end, n_drafted: span.n_drafted, states: caches });
            start = end;
        }
        self.decoder.forward(&Array::from_slice(&tokens, &[start]), &mut span_rows, &out_rows)
    }

    /// Runs a step and draws tokens from logits in host memory.
    fn draw_on_host(
        &self,
        kernels: &Kernels,
        spans: &[Span<'_>],
        slots: &mut [Vec<LayerState>],
    ) -> Result<Vec<Sampled>> {
        let logits = self.forward(spans, slots)?.map(|it| it.as_dtype(Dtype::Float32)).transpose()?;
        transforms::eval(held(slots).chain(&logits))?;
        let Some(logits) = logits else { return Ok(Vec::new()) };
        let all = logits.try_as_slice::<f32>().map_err(not_a_slice)?;
        let rows = all.chunks_exact(self.description.vocabulary_size);
        rows.zip(spans.iter().flat_map(draws))
            .map(|(row, it)| sampler::host::draw(kernels.cpu(), row, &it))
            .collect()
    }

    /// Runs a step and draws tokens on the device; `begun` has the draws if it was started early. If `goes_on`, also
    /// starts the next step early.
    fn draw_on_device(
        &mut self,
        spans: &[Span<'_>],
        slots: &mut [Vec<LayerState>],
        begun: Option<Vec<PendingToken>>,
        goes_on: bool,
    ) -> Result<Vec<Sampled>> {
        let pending = match begun {
            Some(pending) => pending,
            None => match self.forward(spans, slots)? {
                Some(logits) => rows(&logits, spans.iter().flat_map(draws).count())?
                    .iter()
                    .zip(spans.iter().flat_map(draws))
                    .map(|(row, it)| sampler::draw(row, &it))
                    .collect::<Result<_>>()?,
                None => Vec::new(),
            },
        };
        if !goes_on || self.placement.group.is_some() || !Ahead::is_possible(spans) {
            transforms::eval(pending.iter().flat_map(PendingToken::arrays).chain(held(slots)))?;
            return pending.into_iter().map(PendingToken::finish).collect();
        }
        let n_spans = to_i32(spans.len());
        let mut span_rows: Vec<_> = (0..)
            .zip(slots.iter_mut())
            .map(|(row, caches)| SpanRows { rows: row..row + 1, n_drafted: 1, states: caches })
            .collect();
        let out_rows: Vec<i32> = (0..n_spans).collect();
        let logits = self.decoder.forward(&Ahead::tokens(&pending)?, &mut span_rows, &out_rows)?;
        let logits = logits.map(|it| rows(&it, spans.len())).transpose()?.unwrap_or_default();
        let mut ahead = Ahead::new(spans, &logits)?;
        let drawn = pending.iter().flat_map(PendingToken::arrays);
        transforms::async_eval(drawn.chain(ahead.arrays()).chain(held(slots)))?;
        let mut sampled = Vec::with_capacity(spans.len());
        for (idx, it) in pending.into_iter().enumerate() {
            let it = it.finish()?;
            ahead.read(idx, it.token);
            sampled.push(it);
        }
        self.ahead = Some(ahead);
        Ok(sampled)
    }

    /// Drops an early step that involves this slot, because something else happens to the slot first.
    fn step_back(&mut self, slot: SlotId) {
        if let Some(ahead) = self.ahead.take_if(|it| it.slots().any(|it| it == slot)) {
            self.forget_one(&ahead.slots().collect::<Vec<_>>());
        }
    }

    fn forget_one(&mut self, slots: &[SlotId]) {
        for slot in slots {
            self.slots.get_mut(slot).into_iter().flatten().for_each(|it| it.forget(1));
        }
    }
}

impl LanguageModel for MlxModel {
    fn description(&self) -> &ModelDescription {
        &self.description
    }

    fn open_slot(&mut self) -> SlotId {
        let slot = SlotId(self.next_slot);
        self.next_slot += 1;
        self.slots.insert(slot, self.decoder.make_states());
        slot
    }

    fn resume_point(&self, slot: SlotId, n_tokens: usize) -> usize {
        // All states that cannot be cut have the same checkpoints.
        let states = self.slots.get(&slot).into_iter().flatten();
        states.map(|it| it.resume_point(n_tokens)).min().unwrap_or(0)
    }

    fn rewind_slot(&mut self, slot: SlotId, n_tokens: usize) -> usize {
        self.step_back(slot);
        let n_tokens = self.resume_point(slot, n_tokens);
        self.slots.get_mut(&slot).into_iter().flatten().for_each(|it| it.rewind(n_tokens));
        n_tokens
    }

    fn drop_checkpoint(&mut self, slot: SlotId, n_tokens: usize) {
        self.slots.get_mut(&slot).into_iter().flatten().for_each(|it| it.drop_checkpoint(n_tokens));
    }

    fn slot_room(&self, slot: SlotId) -> usize {
        self.slots.get(&slot).into_iter().flatten().map(LayerState::n_room).max().unwrap_or(0)
    }

    fn fit_slot(&mut self, slot: SlotId) {
        self.step_back(slot);
        for cache in self.slots.get_mut(&slot).into_iter().flatten() {
            if let Err(error) = cache.fit() {
                // Its content is intact, or its loss is reported when the slot is used.
                tracing::warn!(error = message(&error), "cannot free the memory of a slot");
            }
        }
        self.count_caches();
    }

    fn close_slot(&mut self, slot: SlotId) {
        self.step_back(slot);
        self.slots.remove(&slot);
        self.count_caches();
    }

    fn copy_slot(&mut self, from: SlotId, n_tokens: usize) -> std::result::Result<SlotCopy, StepError> {
        self.step_back(from);
        let n_tokens = self.resume_point(from, n_tokens);
        let caches = self.slots.get(&from).expect("the engine names open slots");
        let copies = caches.iter().map(|it| it.copy_prefix(n_tokens)).collect::<Result<_>>();
        let slot = self.open_slot();
        self.slots.insert(slot, copies.map_err(|e| step_error(&e))?);
        self.count_caches();
        Ok(SlotCopy { slot, n_tokens })
    }

    fn append_shifted(
        &mut self,
        slot: SlotId,
        from: SlotId,
        tokens: Range<usize>,
    ) -> std::result::Result<(), StepError> {
        self.step_back(slot);
        self.step_back(from);
        // As in a step: the slot is removed, and stays closed if this fails.
        let mut caches = self.slots.remove(&slot).expect("the engine names open slots");
        let lender = self.slots.get(&from).expect("the engine names two open slots");
        let appended = self.decoder.append_shifted(&mut caches, lender, &tokens);
        let appended = appended.and_then(|()| transforms::eval(caches.iter().flat_map(LayerState::pending)));
        if appended.is_ok() {
            self.slots.insert(slot, caches);
        }
        self.count_caches();
        appended.map_err(|e| step_error(&e))
    }

    fn drop_tokens(&mut self, slot: SlotId, tokens: Range<usize>) -> std::result::Result<(), StepError> {
        self.step_back(slot);
        // As in a step: the slot is removed, and stays closed if this fails.
        let mut caches = self.slots.remove(&slot).expect("the engine names open slots");
        let dropped = self.decoder.drop_tokens(&mut caches, &tokens);
        if dropped.is_ok() {
            self.slots.insert(slot, caches);
        }
        self.count_caches();
        dropped.map_err(|e| step_error(&e))
    }

    fn step(&mut self, spans: &[Span<'_>]) -> std::result::Result<Vec<Vec<Sampled>>, StepError> {
        self.run(spans, false)
    }

    fn step_ahead(&mut self, spans: &[Span<'_>]) -> std::result::Result<Vec<Vec<Sampled>>, StepError> {
        self.run(spans, true)
    }

    fn memory(&self) -> MemoryUse {
        // These only read counters; a failure would mean that MLX itself is gone.
        let counted = |bytes: Result<usize>| bytes.map_or(0, |it| it as u64);
        let active_bytes = counted(memory::active_memory());
        let cache_bytes = counted(memory::cache_memory());
        let Some(kernels) = &self.placement.kernels else {
            return MemoryUse { active_bytes, peak_bytes: counted(memory::peak_memory()), cache_bytes };
        };
        MemoryUse {
            active_bytes: active_bytes + kernels.n_packed_bytes() + kernels.n_cache_bytes(),
            peak_bytes: kernels.note_peak().unwrap_or(0),
            cache_bytes,
        }
    }
}

/// The memory of a step. Of the kernels it is known; of MLX's operations it is one and a half times what was measured with
/// chunks of 512 tokens and a model of half a billion weights, 220 MB.
fn step_cost(decoder: &Decoder, vocabulary_size: usize) -> StepCost {
    let Some(bytes_per_token) = decoder.packed_bytes_per_row() else {
        return StepCost { fixed_bytes: 320 << 20, bytes_per_token: 0, bytes_per_draw: 0 };
    };
    // Logits, and what a sampler makes of them.
    let bytes_per_draw = 2 * (vocabulary_size * size_of::<f32>()) as u64;
    StepCost { fixed_bytes: PROCESS_BYTES, bytes_per_token, bytes_per_draw }
}

/// The draws of a span: after its last known token, and after each draft.
fn draws<'a>(span: &Span<'a>) -> impl Iterator<Item = SampleRequest<'a>> {
    let n_drafted = span.n_drafted;
    span.sample.into_iter().flat_map(move |it| (0..=n_drafted).map(move |n| it.after_drafts(n, n_drafted)))
}

/// The arrays to evaluate so that the caches hold what was appended.
fn held(slots: &[Vec<LayerState>]) -> impl Iterator<Item = &Array> {
    slots.iter().flatten().flat_map(LayerState::pending)
}

/// The `n` rows of `[n, vocab_size]`, one by one.
fn rows(logits: &Array, n: usize) -> Result<Vec<Array>> {
    (0..to_i32(n)).map(|row| logits.try_index(row)).collect()
}

fn step_error(error: &Exception) -> StepError {
    StepError { message: message(error) }
}

/// Token counts are bounded by the context.
fn to_i32(n: usize) -> i32 {
    i32::try_from(n).expect("token counts fit in an i32")
}
