//! Attention by the CPU kernels, on caches that they write in place: [`PackedAttention`].

use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use mlx_rs::error::{Exception, Result};
use runabout_kernels::{Attention, Cpu, KvShape, KvType, RopePairs, RopeTable, Rotation, Window};
use runabout_kernels::{append_shifted, attend};

use super::in_place_cache::{CACHE_STEP_TOKENS, InPlaceCache, lock};
use super::kernel_op::OpError;
use super::linear::{HostNorm, floats};
use super::packed::to_usize;
use crate::LoadError;
use crate::parts::{self, Heads, Norm, NormKind, PositionScale, Rope};
use crate::state::{KvBits, LayerState, SpanRows};

/// Attention to the projections of queries, keys and values, without these.
pub(super) struct PackedAttention {
    heads: Heads,
    scale: f32,
    q_norm: Option<HostNorm>,
    k_norm: Option<HostNorm>,
    window: Option<Window>,
    sinks: Option<Vec<f32>>,
    position_scale: Option<PositionScale>,
    kv_shape: KvShape,
}

/// The positions of a step for one kind of rope; `None` where positions do not matter.
pub(super) type Positions = Option<(Arc<RopeTable>, RopePairs)>;

impl PackedAttention {
    /// Whether the kernels can compute it.
    pub(super) fn supports(attention: &parts::Attention, kv_bits: Option<KvBits>) -> bool {
        let heads = attention.heads;
        let is_per_head =
            |norm: &Norm| matches!(norm.kind, NormKind::Rms) && norm.weight.dim(0) == heads.head_dim;
        let mut norms = attention.q_norm.iter().chain(&attention.k_norm);
        // Scaling comes before the norm here, which would undo it.
        let is_scaled_and_normed = attention.position_scale.is_some() && attention.q_norm.is_some();
        attention.softcap.is_none()
            && attention.v_norm.is_none()
            && !is_scaled_and_normed
            && norms.all(is_per_head)
            && runabout_kernels::KvCache::new(kv_shape(heads, kv_bits), 0).is_ok()
    }

    /// Call [`supports`](Self::supports) first.
    pub(super) fn new(
        attention: &parts::Attention,
        kv_bits: Option<KvBits>,
    ) -> std::result::Result<Self, LoadError> {
        Ok(Self {
            heads: attention.heads,
            scale: attention.scale,
            q_norm: attention.q_norm.as_ref().map(HostNorm::new).transpose()?,
            k_norm: attention.k_norm.as_ref().map(HostNorm::new).transpose()?,
            window: attention.window.map(|size| Window { size, n_kept: 0 }),
            sinks: attention.sinks.as_ref().map(floats).transpose()?,
            position_scale: attention.position_scale,
            kv_shape: kv_shape(attention.heads, kv_bits),
        })
    }

    /// An empty cache for this layer.
    pub(super) fn make_state(&self) -> LayerState {
        let cache =
            runabout_kernels::KvCache::new(self.kv_shape, 0).expect("`supports` has made one of this shape");
        LayerState::InPlace(InPlaceCache::new(cache))
    }

    /// Bytes per token of keys and values.
    pub(super) fn kv_bytes_per_token(&self) -> u64 {
        self.kv_shape.bytes_per_token() as u64
    }

    /// The numbers per token of queries, keys and values.
    pub(super) fn n_inputs(&self) -> usize {
        to_usize(self.heads.n_query() + 2 * self.heads.n_key())
    }

    /// The numbers per token that it computes.
    pub(super) fn n_outputs(&self) -> usize {
        to_usize(self.heads.n_query())
    }

    /// Scales and rotates queries and keys of the projections `[T, ...]` of all spans' rows, appends keys and values to the
    /// spans' caches, and attends; `out` is `[T, n_heads * head_dim]`.
    pub(super) fn run(
        &self,
        cpu: &Cpu,
        qkv: &mut [f32],
        positions: &Positions,
        caches: &[SpanCache],
        out: &mut [f32],
    ) -> std::result::Result<(), OpError> {
        let (n_in, n_out) = (self.n_inputs(), self.n_outputs());
        let rope = positions.as_ref().map(|(table, pairs)| runabout_kernels::Rope { table, pairs: *pairs });
        for SpanCache { rows, cache } in caches {
            let qkv = qkv.get_mut(rows.start * n_in..rows.end * n_in).ok_or("the input is too short")?;
            let mut cache = lock(cache);
            if let Some(scale) = self.position_scale {
                for (position, row) in (cache.len()..).zip(qkv.chunks_exact_mut(n_in)) {
                    row[..n_out].iter_mut().for_each(|it| *it *= scale.at(position));
                }
            }
            let attention = Attention {
                qkv,
                n_heads: to_usize(self.heads.n_heads),
                scale: self.scale,
                q_norm: self.q_norm.as_ref().map(HostNorm::borrow),
                k_norm: self.k_norm.as_ref().map(HostNorm::borrow),
                rope,
                window: self.window,
                sinks: self.sinks.as_deref(),
            };
            let out = out.get_mut(rows.start * n_out..rows.end * n_out).ok_or("the output is too short")?;
            let n_tokens = cache.len() + rows.len();
            cache.reserve(n_tokens.next_multiple_of(CACHE_STEP_TOKENS))?;
            attend(cpu, &mut cache, &attention, out)?;
        }
        Ok(())
    }
}

/// Appends `tokens` of another cache of the same layer, with their keys rotated to the new positions. Everything
/// appended to either must have been evaluated.
pub(super) fn append_rotated(
    cpu: &Cpu,
    to: &InPlaceCache,
    from: &InPlaceCache,
    tokens: &Range<usize>,
    rope: Option<&Rc<Rope>>,
) -> Result<()> {
    let (to, from) = (to.shared(), from.shared());
    let (mut to, from) = (lock(&to), lock(&from));
    let n_tokens = to.len() + tokens.len();
    // Without frequencies, nothing is rotated.
    let none = Rotation { frequencies: &[], pairs: RopePairs::Halves };
    let rotation = rope.map_or(none, |it| it.kernels_rotation());
    to.reserve(n_tokens.next_multiple_of(CACHE_STEP_TOKENS))
        .and_then(|()| append_shifted(cpu, &mut to, &from, tokens.clone(), rotation))
        .map_err(|e| Exception::custom(e.to_string()))
}

/// The rows of a span, and the cache of a layer that their keys and values are appended to.
pub(super) struct SpanCache {
    rows: Range<usize>,
    cache: Arc<Mutex<runabout_kernels::KvCache>>,
}

impl SpanCache {
    pub(super) fn new(span: &SpanRows<'_>, layer_idx: usize) -> Self {
        let rows = to_usize(span.rows.start)..to_usize(span.rows.end);
        Self { rows, cache: span.states[layer_idx].in_place().shared() }
    }

    /// The length of the cache after this step.
    pub(super) fn n_positions(&self) -> usize {
        lock(&self.cache).len() + self.rows.len()
    }
}

fn kv_shape(heads: Heads, kv_bits: Option<KvBits>) -> KvShape {
    let kv_type = match kv_bits {
        // Half the bytes of float32 to read; after a thousand tokens the cache is as large as a small model's
        // weights. The greedy tokens of the models in the tests are the same as in float32.
        None => KvType::F16,
        Some(KvBits::ThirtyTwo) => KvType::F32,
        Some(KvBits::Eight) => KvType::Bits8,
        Some(KvBits::Four) => KvType::Bits4,
    };
    KvShape { n_heads: to_usize(heads.n_kv_heads), head_dim: to_usize(heads.head_dim), kv_type }
}
