//! Grouped-query attention with rope, over the spans of a ragged batch.
//!
//! Projections run over all rows at once; each span attends to its own slot's cache. Fields are named as in the
//! checkpoints.

use std::ops::Range;

use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, Dtype, error::Result, fast, ops};

use crate::LoadError;
use crate::array_cache::ArrayCache;
use crate::cache::KvCache;
use crate::cpu_kernels::PackedAttention;
use crate::decoder_config::DecoderConfig;
use crate::heads::Heads;
use crate::linear::Linear;
use crate::norm::RmsNorm;
use crate::quantized_kv::KvQuantization;
use crate::rope::Rope;
use crate::spans::SpanRows;
use crate::weights::Weights;

/// Norm, projections and attention: from a layer's input to the input of `o_proj`.
pub(crate) enum Attention {
    Mlx(MlxAttention),
    Packed(PackedAttention),
}

pub(crate) struct MlxAttention {
    norm: RmsNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    heads: Heads,
    /// How keys and values are quantized; `None` stores them in the type of the activations.
    kv: Option<KvQuantization>,
}

impl Attention {
    pub(crate) fn load(
        weights: &mut Weights,
        name: &str,
        norm: RmsNorm,
        config: &DecoderConfig,
    ) -> std::result::Result<Self, LoadError> {
        let heads = config.heads();
        let n_in = config.hidden_size;
        let n_q = heads.n_heads * heads.head_dim;
        let n_kv = heads.n_kv_heads * heads.head_dim;
        let bias = config.qkv_bias;
        let q_proj = weights.linear(&format!("{name}.q_proj"), n_q, n_in, bias)?;
        let k_proj = weights.linear(&format!("{name}.k_proj"), n_kv, n_in, bias)?;
        let v_proj = weights.linear(&format!("{name}.v_proj"), n_kv, n_in, bias)?;
        if let Some(kernels) = weights.kernels()
            && let Some(packed) =
                kernels.attention(&norm, [&q_proj, &k_proj, &v_proj], heads, weights.kv_bits())?
        {
            return Ok(Self::Packed(packed));
        }
        let kv = weights
            .kv_bits()
            .map(|bits| KvQuantization::new(bits, heads.head_dim).ok_or(LoadError::KvHeads(heads.head_dim)))
            .transpose()?;
        Ok(Self::Mlx(MlxAttention { norm, q_proj, k_proj, v_proj, heads, kv }))
    }

    /// An empty cache for this layer.
    pub(crate) fn make_cache(&self) -> KvCache {
        match self {
            Self::Mlx(_) => KvCache::Arrays(ArrayCache::default()),
            Self::Packed(attention) => attention.make_cache(),
        }
    }

    /// Bytes per token of keys and values, for activations of type `dtype`.
    pub(crate) fn kv_bytes_per_token(&self, dtype: Dtype) -> u64 {
        match self {
            Self::Mlx(it) => {
                let head_dim = it.heads.head_dim;
                let n_bytes = match it.kv {
                    Some(kv) => kv.n_bytes(head_dim, dtype),
                    None => u64::from(head_dim.unsigned_abs()) * if dtype == Dtype::Float32 { 4 } else { 2 },
                };
                2 * u64::from(it.heads.n_kv_heads.unsigned_abs()) * n_bytes
            }
            Self::Packed(it) => it.kv_bytes_per_token(),
        }
    }

    /// Appends `tokens` of another cache of this layer, with their keys rotated to the new positions.
    pub(crate) fn append_shifted(
        &self,
        to: &mut KvCache,
        from: &KvCache,
        tokens: &Range<usize>,
        rope: &Rope,
    ) -> Result<()> {
        match self {
            Self::Mlx(attention) => {
                attention.append_shifted(to.arrays_mut(), from.arrays(), &to_i32s(tokens), rope)
            }
            Self::Packed(attention) => {
                attention.append_shifted(to.in_place_mut(), from.in_place(), tokens, rope)
            }
        }
    }

    /// Computes `[T, n_heads * head_dim]` from `[T, hidden_size]`, and appends keys and values to the spans' caches
    /// of this layer.
    pub(crate) fn forward(
        &self,
        x: &Array,
        rope: &Rope,
        layer_idx: usize,
        spans: &mut [SpanRows<'_>],
    ) -> Result<Array> {
        match self {
            Self::Mlx(attention) => attention.forward(x, rope, layer_idx, spans),
            Self::Packed(attention) => attention.forward(x, rope, layer_idx, spans),
        }
    }
}

impl MlxAttention {
    fn forward(&self, x: &Array, rope: &Rope, layer_idx: usize, spans: &mut [SpanRows<'_>]) -> Result<Array> {
        let Heads { n_heads, n_kv_heads, head_dim } = self.heads;
        let x = self.norm.forward(x)?;
        let queries = self.q_proj.forward(&x)?; // [T, n_heads * head_dim]
        let keys = self.k_proj.forward(&x)?; // [T, n_kv_heads * head_dim]
        let values = self.v_proj.forward(&x)?;
        let mut outputs = Vec::with_capacity(spans.len());
        for span in spans {
            let queries = self.split_heads(&queries, &span.rows, n_heads)?; // [1, n_heads, L, head_dim]
            let keys = self.split_heads(&keys, &span.rows, n_kv_heads)?;
            let values = self.split_heads(&values, &span.rows, n_kv_heads)?;
            let cache = span.caches[layer_idx].arrays_mut();
            let offset = cache.n_tokens();
            let queries = rope.forward(&queries, offset)?;
            let keys = rope.forward(&keys, offset)?;
            let n_rows = span.rows.end - span.rows.start;
            let output = if let Some(kv) = self.kv {
                kv.attend(cache, [&queries, &keys, &values], self.heads)?
            } else {
                let [keys, values] = cache.append(&[keys, values])?;
                let mask = (n_rows > 1).then_some(fast::ScaledDotProductAttentionMask::Causal);
                let scale = self.heads.scale();
                fast::scaled_dot_product_attention(&queries, &keys, &values, scale, mask, None)?
            };
            outputs.push(output.transpose_axes(&[0, 2, 1, 3])?.reshape(&[n_rows, n_heads * head_dim])?);
        }
        match outputs.as_slice() {
            [output] => Ok(output.clone()),
            _ => ops::concatenate(&outputs, 0),
        }
    }

    fn append_shifted(
        &self,
        to: &mut ArrayCache,
        from: &ArrayCache,
        tokens: &Range<i32>,
        rope: &Rope,
    ) -> Result<()> {
        let distance = to.n_tokens() - tokens.start;
        let parts = from.parts_of(tokens.clone())?;
        if let Some(kv) = self.kv {
            to.append(&kv.with_keys(parts, |keys| rope.rotate_by(keys, distance))?)?;
        } else {
            let [keys, values] =
                <[Array; 2]>::try_from(parts).unwrap_or_else(|_| unreachable!("a cache has keys and values"));
            to.append(&[rope.rotate_by(&keys, distance)?, values])?;
        }
        Ok(())
    }

    /// The rows of one span, out of `[T, n_heads * head_dim]`, as `[1, n_heads, L, head_dim]`.
    fn split_heads(&self, x: &Array, rows: &Range<i32>, n_heads: i32) -> Result<Array> {
        let n_rows = rows.end - rows.start;
        let x = if n_rows == x.dim(0) { x.clone() } else { x.try_index((rows.clone(), ..))? };
        x.reshape(&[1, n_rows, n_heads, self.heads.head_dim])?.transpose_axes(&[0, 2, 1, 3])
    }
}

/// Token counts are bounded by the context.
fn to_i32s(tokens: &Range<usize>) -> Range<i32> {
    let to_i32 = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    to_i32(tokens.start)..to_i32(tokens.end)
}
