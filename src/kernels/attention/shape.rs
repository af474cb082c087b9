//! The shape of a layer's keys and values: [`KvShape`]. `layout.rs` says how many bytes they take.

use crate::simd::LANES;

/// The type that keys and values are stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvType {
    F16,
    F32,
    /// Codes of 8 bits, with an f16 scale and bias for every 32 dimensions of a head: 9 bits per number.
    Bits8,
    /// Codes of 4 bits, likewise: 5 bits per number.
    Bits4,
}

/// Dimensions of a head whose codes share a scale and a bias.
pub(super) const CODE_GROUP: usize = 32;

/// The shape of a layer's keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvShape {
    pub n_heads: usize,
    /// A multiple of 8.
    pub head_dim: usize,
    pub kv_type: KvType,
}

impl KvShape {
    /// A head's dimensions, including the padding of its values.
    pub(crate) fn padded_dim(&self) -> usize {
        self.head_dim.next_multiple_of(LANES)
    }

    /// Groups of a head's dimensions that share a scale and a bias.
    pub(super) fn n_code_groups(&self) -> usize {
        self.head_dim.div_ceil(CODE_GROUP)
    }

    /// Elements of one head in a block of keys.
    pub(crate) fn keys_per_block(&self) -> usize {
        self.head_dim * LANES
    }

    /// Elements of one head in a block of values.
    pub(crate) fn values_per_block(&self) -> usize {
        self.padded_dim() * LANES
    }
}
