//! A model's fused operations on a CPU: MLX operations that run our kernels.
//!
//! [`Kernels`] packs weights when a model is loaded. What it returns builds lazy arrays of float32 activations, like
//! MLX's own operations. Keys and values are not arrays here but buffers that attention writes in place. This is
//! sound because all operations on a cache depend on each other through their arrays, a step is evaluated as a whole
//! before the next one is built, and a lock guards what the threads of the stream and of the model share.
//!
//! Platforms without the bridge to MLX compile `no_cpu_kernels.rs` instead.

mod attention;
mod in_place_cache;
mod layers;
mod packed;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mlx_rs::error::Result;
use mlx_rs::memory;
use runabout_kernels::{
    Activation, Arrangement, Cpu, CpuOptions, KernelError, PATH_VARIABLE, PackedWeights, Precision,
};

use crate::LoadError;
use crate::heads::Heads;
use crate::linear::{Linear, Matrix};
use crate::norm::RmsNorm;
use crate::quantized_kv::KvBits;

use attention::kv_shape;
use packed::{HostNorm, floats, to_kernels};

pub(crate) use attention::PackedAttention;
pub(crate) use in_place_cache::InPlaceCache;
pub(crate) use layers::{LayerParts, PackedLayers};
pub(crate) use packed::{Packed, PackedLinear};

/// The value of [`PATH_VARIABLE`] that disables the kernels.
const OFF: &str = "off";

/// The kernels for this machine, with their thread pool. Clones share both.
#[derive(Clone)]
pub(crate) struct Kernels {
    cpu: Arc<Cpu>,
    n_packed_bytes: Arc<AtomicU64>,
    /// Bytes of the caches of all models that share the kernels.
    n_cache_bytes: Arc<AtomicU64>,
    n_peak_bytes: Arc<AtomicU64>,
}

/// How several matrices with the same input become one.
#[derive(Clone, Copy)]
pub(crate) enum Joined {
    /// Their outputs are concatenated.
    Stacked,
    /// Two matrices, gate and up, give `silu(gate) * up`.
    SiluGated,
}

impl Kernels {
    /// `None` if [`PATH_VARIABLE`] disables them. [`CpuOptions`] says how `None` arguments are chosen.
    pub(crate) fn new(
        n_threads: Option<NonZeroUsize>,
        precision: Option<Precision>,
    ) -> std::result::Result<Option<Self>, LoadError> {
        if std::env::var(PATH_VARIABLE).is_ok_and(|it| it == OFF) {
            return Ok(None);
        }
        let cpu = Cpu::new(CpuOptions { path: None, n_threads, precision })?;
        tracing::info!(path = %cpu.path(), n_threads = cpu.pool().n_threads(), precision = %cpu.precision(), "CPU kernels");
        Ok(Some(Self {
            cpu: Arc::new(cpu),
            n_packed_bytes: Arc::default(),
            n_cache_bytes: Arc::default(),
            n_peak_bytes: Arc::default(),
        }))
    }

    /// Bytes of packed weights, which MLX does not count.
    pub(crate) fn n_packed_bytes(&self) -> u64 {
        self.n_packed_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of all caches, which MLX does not count.
    pub(crate) fn n_cache_bytes(&self) -> u64 {
        self.n_cache_bytes.load(Ordering::Relaxed)
    }

    /// Records that a model's caches have changed from `n_before` to `n_now` bytes.
    pub(crate) fn note_caches(&self, n_before: u64, n_now: u64) {
        // Wrapping, since the difference can be negative.
        self.n_cache_bytes.fetch_add(n_now.wrapping_sub(n_before), Ordering::Relaxed);
    }

    /// Updates and returns the peak of bytes in use, MLX's included.
    ///
    /// Resets MLX's own peak. Memory that MLX does not count only grows between two calls, so MLX's peak since the
    /// last call and the current rest were in use at the same time.
    ///
    /// Starts MLX's own count of its peak afresh. What MLX does not count only grows between two calls, so MLX's peak
    /// since the last call and what else there is now were there together.
    pub(crate) fn note_peak(&self) -> Result<u64> {
        let n_bytes = memory::peak_memory()? as u64 + self.n_packed_bytes() + self.n_cache_bytes();
        memory::reset_peak_memory()?;
        Ok(self.n_peak_bytes.fetch_max(n_bytes, Ordering::Relaxed).max(n_bytes))
    }

    /// A packed copy of `matrices`, which must have the same number of inputs.
    pub(crate) fn pack(
        &self,
        matrices: &[&Matrix],
        joined: Joined,
    ) -> std::result::Result<Packed, LoadError> {
        let matrices = matrices.iter().map(|it| to_kernels(it)).collect::<Result<Vec<_>>>()?;
        let arrangement = match joined {
            Joined::Stacked => Arrangement::Stacked,
            Joined::SiluGated => Arrangement::Gated(Activation::Silu),
        };
        let weights = PackedWeights::pack(&self.cpu, &matrices, arrangement)?;
        self.n_packed_bytes.fetch_add(weights.n_bytes() as u64, Ordering::Relaxed);
        self.note_peak()?;
        Ok(Packed { cpu: Arc::clone(&self.cpu), weights: Arc::new(weights) })
    }

    /// The norm, if given, and the linear layers as one operation.
    pub(crate) fn linear(
        &self,
        norm: Option<&RmsNorm>,
        linears: &[&Linear],
        joined: Joined,
    ) -> std::result::Result<PackedLinear, LoadError> {
        let matrices: Vec<_> = linears.iter().map(|it| &it.matrix).collect();
        let mut bias = Vec::new();
        for linear in linears {
            if let Some(it) = &linear.bias {
                bias.extend(floats(it)?);
            }
        }
        let packed = self.pack(&matrices, joined)?;
        let bias = (!bias.is_empty()).then(|| bias.into());
        Ok(PackedLinear { packed, norm: norm.map(HostNorm::new).transpose()?, bias })
    }

    /// Norm, projections and attention as one operation; `None` if the kernels do not support this shape of heads.
    pub(crate) fn attention(
        &self,
        norm: &RmsNorm,
        projections: [&Linear; 3],
        heads: Heads,
        kv_bits: Option<KvBits>,
    ) -> std::result::Result<Option<PackedAttention>, LoadError> {
        let is_grouped = heads.n_heads % heads.n_kv_heads == 0;
        let kv_shape = kv_shape(heads, kv_bits);
        if !is_grouped || runabout_kernels::KvCache::new(kv_shape, 0).is_err() {
            return Ok(None);
        }
        let qkv_proj = self.linear(Some(norm), &projections, Joined::Stacked)?;
        Ok(Some(PackedAttention { qkv_proj, heads, kv_shape }))
    }

    /// For kernels that are called directly, without an MLX operation.
    pub(crate) fn cpu(&self) -> &Cpu {
        &self.cpu
    }
}

impl From<KernelError> for LoadError {
    fn from(error: KernelError) -> Self {
        LoadError::Kernels(error)
    }
}
