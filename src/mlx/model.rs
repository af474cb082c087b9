//! A loaded model as the engine sees it: slots of KV caches, and steps over ragged batches.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use mlx_rs::error::{Exception, Result};
use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, Dtype, memory, transforms};
use runabout_engine::model::{
    LanguageModel, MemoryUse, ModelDescription, SampleRequest, Sampled, SlotId, Span, StepError, n_right,
};

use crate::LoadError;
use crate::cache::KvCache;
use crate::cpu_kernels::Kernels;
use crate::decoder::{Decoder, SpanRows};
use crate::device::Compute;
use crate::sampler::{self, PendingToken};
use crate::weights::Weights;

/// Freed buffers go back to the system this often while tokens are generated, as in mlx_lm.
const STEPS_PER_CLEAR: u32 = 256;

/// A model on MLX. Built by [`crate::load`]; stays on its thread.
pub struct MlxModel {
    decoder: Decoder,
    /// What computes in MLX's place, if anything does.
    kernels: Option<Kernels>,
    description: ModelDescription,
    slots: HashMap<SlotId, Vec<KvCache>>,
    next_slot: u32,
    n_steps_since_clear: u32,
    compute: Compute,
    /// Of its own caches, as noted with the kernels.
    n_cache_bytes: u64,
}

impl MlxModel {
    pub(crate) fn new(
        architecture: String,
        decoder: Decoder,
        weights: Weights<'_>,
        compute: Compute,
    ) -> std::result::Result<Self, LoadError> {
        let config = decoder.config();
        let kernels = weights.kernels().cloned();
        let description = ModelDescription {
            architecture,
            context_length: config.max_position_embeddings,
            vocabulary_size: usize::try_from(config.vocab_size).expect("a loaded vocabulary has a size"),
            weights_bytes: weights.n_bytes(),
            kv_bytes_per_token: decoder.kv_bytes_per_token(),
            quantization_bits: weights.common_bits().map(i32::unsigned_abs),
            device: compute.name().to_owned(),
            precision: kernels.as_ref().map(|it| it.cpu().precision().to_string()),
        };
        drop(weights);
        // Packed weights have left their originals' memory in MLX's hands.
        memory::clear_cache()?;
        Ok(Self {
            decoder,
            kernels,
            description,
            slots: HashMap::new(),
            next_slot: 0,
            n_steps_since_clear: 0,
            compute,
            n_cache_bytes: 0,
        })
    }

    /// Where it computes, and with what.
    pub(crate) fn place(&self) -> (Compute, Option<Kernels>) {
        (self.compute, self.kernels.clone())
    }

    /// Counts the bytes of caches that MLX does not count. To be called after whatever changes them.
    fn count_caches(&mut self) {
        if let Some(kernels) = &self.kernels {
            let n_bytes = self.slots.values().flatten().map(KvCache::n_own_bytes).sum();
            kernels.note_caches(std::mem::replace(&mut self.n_cache_bytes, n_bytes), n_bytes);
        }
    }

    fn try_step(&mut self, spans: &[Span<'_>]) -> Result<Vec<Vec<Sampled>>> {
        let tokens: Vec<u32> = spans.iter().flat_map(|it| it.tokens).copied().collect();
        // Each slot is taken out for the step and put back after it; a failed step leaves it out, hence closed.
        let mut slots: Vec<Vec<KvCache>> = spans
            .iter()
            .map(|it| {
                self.slots.remove(&it.slot).expect("the engine names open slots, each in one span of a step")
            })
            .collect();
        let mut span_rows = Vec::with_capacity(spans.len());
        let mut out_rows = Vec::new();
        let mut start = 0;
        for (span, caches) in spans.iter().zip(&mut slots) {
            let end = start + to_i32(span.tokens.len());
            if span.sample.is_some() {
                out_rows.extend(end - 1 - to_i32(span.n_drafted)..end);
            }
            span_rows.push(SpanRows { rows: start..end, caches });
            start = end;
        }
        let tokens = Array::from_slice(&tokens, &[start]);
        let logits = self.decoder.forward(&tokens, &mut span_rows, &out_rows)?; // [n_out, vocab_size]

        let held: Vec<_> = slots.iter().flatten().flat_map(KvCache::pending).collect();
        let mut drawn = self.draw(logits.as_ref(), spans, &held)?.into_iter();
        let mut sampled = Vec::with_capacity(spans.len());
        for (span, mut caches) in spans.iter().zip(slots) {
            caches.iter_mut().for_each(KvCache::settle);
            let n_draws = draws(span).count();
            let mut drawn: Vec<_> = drawn.by_ref().take(n_draws).collect();
            let (_, drafts) = span.tokens.split_at(span.tokens.len() - span.n_drafted);
            let n_right = n_right(drafts, drawn.iter().map(|it| it.token));
            drawn.truncate(n_right + 1);
            for cache in &mut caches {
                cache.forget(span.n_drafted - n_right);
            }
            self.slots.insert(span.slot, caches);
            sampled.push(drawn);
        }
        self.count_caches();
        if let Some(kernels) = &self.kernels {
            kernels.note_peak()?;
        }
        self.n_steps_since_clear += 1;
        let is_prefill = spans.iter().any(|it| it.tokens.len() > 1);
        if is_prefill || self.n_steps_since_clear >= STEPS_PER_CLEAR {
            self.n_steps_since_clear = 0;
            memory::clear_cache()?;
        }
        Ok(sampled)
    }

    /// Evaluates a step, `held` by its caches included, and draws the tokens that the spans ask for from `logits`
    /// `[n_out, vocab_size]`.
    fn draw(&self, logits: Option<&Array>, spans: &[Span<'_>], held: &[&Array]) -> Result<Vec<Sampled>> {
        let requests = spans.iter().flat_map(draws);
        let held = held.iter().copied();
        let Some(logits) = logits else {
            transforms::eval(held)?;
            return Ok(Vec::new());
        };
        if let Some(kernels) = &self.kernels {
            let logits = logits.as_dtype(Dtype::Float32)?;
            transforms::eval(held.chain([&logits]))?;
            let all = logits.try_as_slice::<f32>().map_err(|e| Exception::custom(e.to_string()))?;
            let rows = all.chunks_exact(self.description.vocabulary_size);
            return rows
                .zip(requests)
                .map(|(row, it)| sampler::host::draw(kernels.cpu(), row, &it))
                .collect();
        }
        let pending = requests
            .enumerate()
            .map(|(row, it)| sampler::draw(&logits.try_index(to_i32(row))?, &it))
            .collect::<Result<Vec<_>>>()?;
        transforms::eval(pending.iter().flat_map(PendingToken::arrays).chain(held))?;
        pending.into_iter().map(PendingToken::finish).collect()
    }
}

impl LanguageModel for MlxModel {
    fn description(&self) -> &ModelDescription {
        &self.description
    }

    fn open_slot(&mut self) -> SlotId {
        let slot = SlotId(self.next_slot);
        self.next_slot += 1;
        self.slots.insert(slot, self.decoder.make_caches());
        slot
    }

    fn truncate_slot(&mut self, slot: SlotId, n_tokens: usize) {
        for cache in self.slots.get_mut(&slot).into_iter().flatten() {
            cache.truncate(n_tokens);
        }
    }

    fn close_slot(&mut self, slot: SlotId) {
        self.slots.remove(&slot);
        self.count_caches();
    }

    fn copy_slot(&mut self, from: SlotId, n_tokens: usize) -> std::result::Result<SlotId, StepError> {
        let caches = self.slots.get(&from).expect("the engine names open slots");
        let copies = caches.iter().map(|it| it.copy_prefix(n_tokens)).collect::<Result<_>>();
        let slot = self.open_slot();
        self.slots.insert(slot, copies.map_err(|e| step_error(&e))?);
        self.count_caches();
        Ok(slot)
    }

    fn step(&mut self, spans: &[Span<'_>]) -> std::result::Result<Vec<Vec<Sampled>>, StepError> {
        let result = self.try_step(spans);
        if result.is_err() {
            self.count_caches();
        }
        result.map_err(|e| step_error(&e))
    }

    fn memory(&self) -> MemoryUse {
        // These only read counters; a failure would mean that MLX itself is gone.
        let counted = |bytes: Result<usize>| bytes.map_or(0, |it| it as u64);
        let active_bytes = counted(memory::active_memory());
        let cache_bytes = counted(memory::cache_memory());
        let Some(kernels) = &self.kernels else {
            return MemoryUse { active_bytes, peak_bytes: counted(memory::peak_memory()), cache_bytes };
        };
        MemoryUse {
            active_bytes: active_bytes + kernels.n_packed_bytes() + kernels.n_cache_bytes(),
            peak_bytes: kernels.note_peak().unwrap_or(0),
            cache_bytes,
        }
    }
}

/// The draws after a span: after its last known token, and after each draft.
fn draws<'a>(span: &Span<'a>) -> impl Iterator<Item = SampleRequest<'a>> {
    let n_drafted = span.n_drafted;
    span.sample.into_iter().flat_map(move |it| (0..=n_drafted).map(move |n| it.after_drafts(n, n_drafted)))
}

fn step_error(error: &Exception) -> StepError {
    StepError { message: error.what().to_owned() }
}

/// Token counts are bounded by the context.
fn to_i32(n: usize) -> i32 {
    i32::try_from(n).expect("token counts fit in an i32")
}
