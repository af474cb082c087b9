//! Quantized keys and values, and attention on them, as in mlx_lm's `QuantizedKVCache`.
//!
//! Each head's numbers are quantized in groups when they are appended, and multiplied in that form. This takes about
//! an eighth or a quarter of float32's memory and is less accurate.

use std::fmt;
use std::str::FromStr;

use mlx_rs::error::Result;
use mlx_rs::{Array, Dtype, ops};

use crate::parts::Heads;

/// Bits per number of keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvBits {
    Four,
    Eight,
    /// Float32, which is not quantized.
    ThirtyTwo,
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
            Self::ThirtyTwo => 32,
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

    /// The parts to append for keys and values.
    pub(crate) fn quantize(self, [keys, values]: [Array; 2]) -> Result<[Array; 6]> {
        let Self { bits, group_size } = self;
        let (k, k_scales, k_biases) = ops::quantize(&keys, group_size, bits)?;
        let (v, v_scales, v_biases) = ops::quantize(&values, group_size, bits)?;
        Ok([k, k_scales, k_biases, v, v_scales, v_biases])
    }

    /// Attends to quantized keys and values with `queries` `[1, n_heads, L, head_dim]`. `weigh` turns scores `[1,
    /// n_kv_heads, n_shared, L, n_keys]` into weights. The result has the queries' layout.
    pub(crate) fn attend(
        self,
        parts: &[Array; 6],
        queries: &Array,
        heads: Heads,
        weigh: impl FnOnce(Array) -> Result<Array>,
    ) -> Result<Array> {
        let Self { bits, group_size } = self;
        // Query heads of a group share a key-value head.
        let parts = parts.iter().map(|it| it.expand_dims(2)).collect::<Result<Vec<_>>>()?;
        let [k, k_scales, k_biases, v, v_scales, v_biases] = parts.as_slice() else {
            unreachable!("as many parts as there were");
        };
        let grouped = heads.grouped(queries)?;
        let scores = ops::quantized_matmul(grouped, k, k_scales, k_biases, true, group_size, bits)?;
        let output = ops::quantized_matmul(weigh(scores)?, v, v_scales, v_biases, false, group_size, bits)?;
        output.reshape(queries.shape())
    }
}

impl FromStr for KvBits {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "4" => Ok(Self::Four),
            "8" => Ok(Self::Eight),
            "32" => Ok(Self::ThirtyTwo),
            _ => Err(format!("expected `32`, `8` or `4`, got `{text}`")),
        }
    }
}

impl fmt::Display for KvBits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bits().fmt(formatter)
    }
}
