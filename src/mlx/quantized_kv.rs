//! Quantized keys and values, and attention on them, as in mlx_lm's `QuantizedKVCache`.
//!
//! Each head's numbers are quantized in groups when they are appended, and multiplied in that form. This takes about
//! an eighth or a quarter of float32's memory and is less accurate.

use std::fmt;
use std::str::FromStr;

use mlx_rs::error::Result;
use mlx_rs::{Array, Dtype, ops};

use crate::array_cache::ArrayCache;
use crate::heads::Heads;

/// Bits per number of keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvBits {
    Four,
    Eight,
}

/// How a head's keys and values are quantized.
#[derive(Clone, Copy)]
pub(crate) struct KvQuantization {
    bits: i32,
    group_size: i32,
}

impl KvBits {
    fn bits(self) -> i32 {
        match self {
            Self::Four => 4,
            Self::Eight => 8,
        }
    }
}

impl KvQuantization {
    /// `None` if `head_dim` is not a multiple of a group size.
    pub(crate) fn new(bits: KvBits, head_dim: i32) -> Option<Self> {
        let group_size = [64, 32].into_iter().find(|it| head_dim % it == 0)?;
        Some(Self { bits: bits.bits(), group_size })
    }

    /// Bytes of one head's key or value, for activations of type `dtype`.
    pub(crate) fn n_bytes(self, head_dim: i32, dtype: Dtype) -> u64 {
        let n_scales = 2 * head_dim / self.group_size;
        let scale = if dtype == Dtype::Float32 { 4 } else { 2 };
        u64::from((head_dim * self.bits / 8 + n_scales * scale).unsigned_abs())
    }

    /// Changes the keys by `turn` and quantizes them again, which rounds them a second time.
    pub(crate) fn with_keys(
        self,
        parts: Vec<Array>,
        turn: impl FnOnce(&Array) -> Result<Array>,
    ) -> Result<[Array; 6]> {
        let Self { bits, group_size } = self;
        let [k, k_scales, k_biases, values @ ..] = <[Array; 6]>::try_from(parts)
            .unwrap_or_else(|_| unreachable!("quantized keys and values have six parts"));
        let keys = turn(&ops::dequantize(&k, &k_scales, &k_biases, group_size, bits)?)?;
        let (k, k_scales, k_biases) = ops::quantize(&keys, group_size, bits)?;
        let [v, v_scales, v_biases] = values;
        Ok([k, k_scales, k_biases, v, v_scales, v_biases])
    }

    /// Appends keys and values `[1, n_kv_heads, L, head_dim]` to the cache and attends with `queries` `[1, n_heads,
    /// L, head_dim]`. The result has the queries' layout.
    pub(crate) fn attend(
        self,
        cache: &mut ArrayCache,
        [queries, keys, values]: [&Array; 3],
        heads: Heads,
    ) -> Result<Array> {
        let Self { bits, group_size } = self;
        let (k, k_scales, k_biases) = ops::quantize(keys, group_size, bits)?;
        let (v, v_scales, v_biases) = ops::quantize(values, group_size, bits)?;
        let parts = cache.append(&[k, k_scales, k_biases, v, v_scales, v_biases])?;
        // Query heads of a group share a key-value head.
        let parts = parts.iter().map(|it| it.expand_dims(2)).collect::<Result<Vec<_>>>()?;
        let [k, k_scales, k_biases, v, v_scales, v_biases] = parts.as_slice() else {
            unreachable!("as many parts as were appended");
        };
        let (n_new, n_all) = (queries.dim(2), cache.n_tokens());
        let scale = Array::from_f32(heads.scale()).as_dtype(queries.dtype())?;
        let n_shared = heads.n_heads / heads.n_kv_heads;
        let queries =
            queries.multiply(scale)?.reshape(&[1, heads.n_kv_heads, n_shared, n_new, heads.head_dim])?;
        let mut scores = ops::quantized_matmul(queries, k, k_scales, k_biases, true, group_size, bits)?; // [1, n_kv_heads, n_shared, L, n_all]
        if n_new > 1 {
            let is_seen =
                Array::tri::<f32>(n_new, Some(n_all), Some(n_all - n_new))?.as_dtype(Dtype::Bool)?;
            let never = Array::from_f32(f32::NEG_INFINITY).as_dtype(scores.dtype())?;
            scores = ops::select(&is_seen, &scores, &never)?;
        }
        let weights = ops::softmax_axis(scores, -1, true)?;
        let output = ops::quantized_matmul(weights, v, v_scales, v_biases, false, group_size, bits)?;
        output.reshape(&[1, heads.n_heads, n_new, heads.head_dim])
    }
}

impl FromStr for KvBits {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "4" => Ok(Self::Four),
            "8" => Ok(Self::Eight),
            _ => Err(format!("expected `8` or `4`, got `{text}`")),
        }
    }
}

impl fmt::Display for KvBits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bits().fmt(formatter)
    }
}
