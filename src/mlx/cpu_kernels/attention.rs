//! Attention by the CPU kernels, on caches that they write in place: [`PackedAttention`].

use std::ops::Range;
use std::sync::{Arc, Mutex};

use mlx_rs::Array;
use mlx_rs::error::{Exception, Result};
use runabout_kernels::{Attention, KvShape, KvType, RopePairs, RopeTable, append_shifted, attend};

use super::in_place_cache::{CACHE_STEP_TOKENS, InPlaceCache, lock};
use super::packed::{PackedLinear, to_i32, to_usize};
use crate::cache::KvCache;
use crate::heads::Heads;
use crate::kernel_op::{OpError, kernel_op};
use crate::quantized_kv::KvBits;
use crate::rope::Rope;
use crate::spans::SpanRows;

/// Query, key and value projections followed by attention. Clones share the weights.
#[derive(Clone)]
pub(crate) struct PackedAttention {
    pub(super) qkv_proj: PackedLinear,
    pub(super) heads: Heads,
    pub(super) kv_shape: KvShape,
}

impl PackedAttention {
    /// An empty cache for this layer.
    pub(crate) fn make_cache(&self) -> KvCache {
        let cache = runabout_kernels::KvCache::new(self.kv_shape, 0)
            .expect("`Kernels::attention` has made one of this shape");
        KvCache::InPlace(InPlaceCache::new(cache))
    }

    /// Bytes per token of keys and values.
    pub(crate) fn kv_bytes_per_token(&self) -> u64 {
        self.kv_shape.bytes_per_token() as u64
    }

    /// Computes `[T, n_heads * head_dim]` from `[T, n_in]`: projects, rotates queries and keys, appends keys and
    /// values to the spans' caches of this layer, and attends.
    pub(crate) fn forward(
        &self,
        x: &Array,
        rope: &Rope,
        layer_idx: usize,
        spans: &mut [SpanRows<'_>],
    ) -> Result<Array> {
        let caches: Vec<_> = spans.iter_mut().map(|it| SpanCache::new(it, layer_idx)).collect();
        let (table, pairs) = rope.table(n_positions(&caches));
        let attention = self.clone();
        let qkv = self.qkv_proj.forward(x, None)?;
        let shape = [x.dim(0), to_i32(self.n_outputs())];
        let output = kernel_op(c"attend", &[&qkv], &shape, move |inputs, out: &mut [f32]| {
            attention.attend(inputs.slice(0)?, (&table, pairs), &caches, out)
        })?;
        for span in spans {
            span.caches[layer_idx].in_place_mut().written_by(output.clone());
        }
        Ok(output)
    }

    /// Appends `tokens` of another cache of this layer, with their keys rotated to the new positions. Everything
    /// appended to either must have been evaluated.
    pub(crate) fn append_shifted(
        &self,
        to: &mut InPlaceCache,
        from: &InPlaceCache,
        tokens: &Range<usize>,
        rope: &Rope,
    ) -> Result<()> {
        let (to, from) = (to.shared(), from.shared());
        let (mut to, from) = (lock(&to), lock(&from));
        let n_tokens = to.len() + tokens.len();
        to.reserve(n_tokens.next_multiple_of(CACHE_STEP_TOKENS))
            .and_then(|()| {
                append_shifted(
                    &self.qkv_proj.packed.cpu,
                    &mut to,
                    &from,
                    tokens.clone(),
                    rope.kernels_rotation(),
                )
            })
            .map_err(|e| Exception::custom(e.to_string()))
    }

    /// Attends with the projections `[T, ...]` of all spans' rows; `out` is `[T, n_heads * head_dim]`.
    pub(super) fn attend(
        &self,
        qkv: &[f32],
        (table, pairs): (&RopeTable, RopePairs),
        caches: &[SpanCache],
        out: &mut [f32],
    ) -> std::result::Result<(), OpError> {
        let (heads, cpu) = (self.heads, &self.qkv_proj.packed.cpu);
        let (n_in, n_out) = (self.qkv_proj.n_outputs(), self.n_outputs());
        for SpanCache { rows, cache } in caches {
            let attention = Attention {
                qkv: qkv.get(rows.start * n_in..rows.end * n_in).ok_or("the input is too short")?,
                n_heads: to_usize(heads.n_heads),
                scale: heads.scale(),
                q_norm: None,
                k_norm: None,
                rope: Some(runabout_kernels::Rope { table, pairs }),
                window: None,
                sinks: None,
            };
            let out = out.get_mut(rows.start * n_out..rows.end * n_out).ok_or("the output is too short")?;
            let mut cache = lock(cache);
            let n_tokens = cache.len() + rows.len();
            cache.reserve(n_tokens.next_multiple_of(CACHE_STEP_TOKENS))?;
            attend(cpu, &mut cache, &attention, out)?;
        }
        Ok(())
    }

    pub(super) fn n_outputs(&self) -> usize {
        to_usize(self.heads.n_heads * self.heads.head_dim)
    }
}

/// The rows of a span, and the cache of this layer that their keys and values are appended to.
pub(super) struct SpanCache {
    rows: Range<usize>,
    cache: Arc<Mutex<runabout_kernels::KvCache>>,
}

impl SpanCache {
    pub(super) fn new(span: &mut SpanRows<'_>, layer_idx: usize) -> Self {
        let rows = to_usize(span.rows.start)..to_usize(span.rows.end);
        Self { rows, cache: span.caches[layer_idx].in_place().shared() }
    }
}

/// The length of the longest cache after this step.
pub(super) fn n_positions(caches: &[SpanCache]) -> usize {
    caches.iter().map(|it| lock(&it.cache).len() + it.rows.len()).max().unwrap_or(0)
}

pub(super) fn kv_shape(heads: Heads, kv_bits: Option<KvBits>) -> KvShape {
    let kv_type = match kv_bits {
        // Half the bytes of float32 to read; after a thousand tokens the cache is as large as a small model's
        // weights. The greedy tokens of the models in the tests are the same as in float32.
        None => KvType::F16,
        Some(KvBits::Eight) => KvType::Bits8,
        Some(KvBits::Four) => KvType::Bits4,
    };
    KvShape { n_heads: to_usize(heads.n_kv_heads), head_dim: to_usize(heads.head_dim), kv_type }
}
