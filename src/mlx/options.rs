//! How a model is loaded, and where it ends up: [`LoadOptions`].

use std::num::NonZeroUsize;

use runabout_kernels::Precision;

use crate::cpu_kernels::Kernels;
use crate::device::{Compute, DeviceChoice};
use crate::quantized_kv::KvBits;

/// How a model is loaded.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    pub device: DeviceChoice,
    /// Threads that compute on a CPU; `None` is one per physical core.
    pub threads: Option<NonZeroUsize>,
    /// What the CPU kernels compute products with quantized weights in; `None` is the fastest that changes no greedy
    /// text of the models in the tests. Where MLX itself computes, it cannot be chosen.
    pub precision: Option<Precision>,
    /// Bits of keys and values, which take less memory for less exactness; `None` leaves them as they are computed, or in
    /// float16 with the CPU kernels.
    pub kv_bits: Option<KvBits>,
}

/// Where a model is, and how it computes there.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) compute: Compute,
    /// What computes in MLX's place, if anything does.
    pub(crate) kernels: Option<Kernels>,
    pub(crate) kv_bits: Option<KvBits>,
}
