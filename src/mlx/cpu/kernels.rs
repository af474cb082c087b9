//! The kernels for this machine, and how weights are packed for them: [`Kernels`].

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mlx_rs::error::Result;
use mlx_rs::memory;
use runabout_kernels::{
    Arrangement, Cpu, CpuOptions, DeltaShape, Floats, KernelError, PATH_VARIABLE, PackedWeights, Precision,
};

use super::kept::{Keeping, Kept};
use super::linear::{HostLowRank, HostNorm, PackedLinear, PackedLowRank, floats};
use super::packed::Packed;
use super::recurrence::PackedRecurrence;
use super::source::Source;
use crate::LoadError;
use crate::parts::Norm;
use crate::weights::{Linear, Matrix};

/// The value of [`PATH_VARIABLE`] that disables the kernels.
const OFF: &str = "off";
/// Models with fewer packed bytes are packed as fast as they are read.
const MIN_KEPT_BYTES: usize = 16 << 20;

/// The kernels for this machine, with their thread pool. Clones share both.
#[derive(Clone)]
pub(crate) struct Kernels {
    cpu: Arc<Cpu>,
    n_packed_bytes: Arc<AtomicU64>,
    /// Bytes of the caches of all models that share the kernels.
    n_cache_bytes: Arc<AtomicU64>,
    n_peak_bytes: Arc<AtomicU64>,
    /// Where models keep their packed weights, if anywhere.
    packed_folder: Option<PathBuf>,
    /// The file of the model that is being loaded.
    kept: Option<Arc<Kept>>,
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
            packed_folder: None,
            kept: None,
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
    pub(crate) fn note_peak(&self) -> Result<u64> {
        let n_bytes = memory::peak_memory()? as u64 + self.n_packed_bytes() + self.n_cache_bytes();
        memory::reset_peak_memory()?;
        Ok(self.n_peak_bytes.fetch_max(n_bytes, Ordering::Relaxed).max(n_bytes))
    }

    /// The same kernels, for models that keep their packed weights in this folder.
    pub(crate) fn keeping_in(self, packed_folder: Option<PathBuf>) -> Self {
        Self { packed_folder, ..self }
    }

    /// The packed weights of the model that consists of `files`; see [`Kept::open`].
    pub(crate) fn kept(&self, files: &[PathBuf]) -> Option<Kept> {
        Kept::open(self.packed_folder.as_deref()?, files, self.cpu.precision())
    }

    /// The same kernels, for loading the model of this file.
    pub(crate) fn keeping(&self, kept: Option<Kept>) -> Self {
        Self { kept: kept.map(Arc::new), ..self.clone() }
    }

    /// Whether packed weights come from a file, so that those of the checkpoint need not be read.
    pub(crate) fn is_restoring(&self) -> bool {
        self.kept.as_ref().is_some_and(|it| it.is_restoring())
    }

    /// To be called when a model has been loaded. Keeps its packed weights, as long as the result lives.
    pub(crate) fn finish(&self) -> Option<Keeping> {
        self.kept.as_ref()?.finish(MIN_KEPT_BYTES)
    }

    /// A packed copy of `matrix`.
    pub(crate) fn pack(&self, matrix: &Matrix) -> std::result::Result<Packed, LoadError> {
        self.pack_all(&[Source::of(matrix)], Arrangement::Stacked)
    }

    /// The recurrence of a gated delta net; `None` if the kernels do not support its shape.
    pub(crate) fn recurrence(&self, shape: DeltaShape) -> Option<PackedRecurrence> {
        PackedRecurrence::new(&self.cpu, shape)
    }

    /// A packed copy of `sources`, which must have the same number of inputs.
    pub(super) fn pack_all(
        &self,
        sources: &[Source<'_>],
        arrangement: Arrangement,
    ) -> std::result::Result<Packed, LoadError> {
        let pack = || {
            let matrices = sources.iter().map(|it| it.to_kernels()).collect::<Result<Vec<_>>>()?;
            Ok(PackedWeights::pack(&self.cpu, &matrices, arrangement)?)
        };
        let weights = match &self.kept {
            Some(kept) => {
                let n_outputs = sources.iter().map(|it| it.shape()[0]);
                let n_outputs = match arrangement {
                    Arrangement::Stacked => n_outputs.sum(),
                    Arrangement::Gated(_) => n_outputs.max().unwrap_or(0),
                };
                let n_inputs = sources.first().map_or(0, |it| it.shape()[1]);
                kept.next(&self.cpu, [n_inputs, n_outputs], arrangement, pack)?
            }
            None => Arc::new(pack()?),
        };
        self.note_packed(weights)
    }

    fn note_packed(&self, weights: Arc<PackedWeights>) -> std::result::Result<Packed, LoadError> {
        self.n_packed_bytes.fetch_add(weights.n_bytes() as u64, Ordering::Relaxed);
        self.note_peak()?;
        Ok(Packed { cpu: Arc::clone(&self.cpu), weights })
    }

    /// Terms of low rank of layers with the same input, given with the numbers of their outputs, as one of all outputs;
    /// `None` if none has one.
    pub(super) fn low_rank(
        &self,
        n_in: usize,
        layers: &[(usize, Option<HostLowRank>)],
    ) -> std::result::Result<Option<PackedLowRank>, LoadError> {
        let n_rank: usize = layers.iter().filter_map(|it| it.1.as_ref()).map(|it| it.rank).sum();
        if n_rank == 0 {
            return Ok(None);
        }
        let n_out: usize = layers.iter().map(|it| it.0).sum();
        let (mut down, mut up) = (Vec::with_capacity(n_rank * n_in), vec![0.0; n_out * n_rank]);
        let (mut first_row, mut first_column) = (0, 0);
        for (n, low_rank) in layers {
            if let Some(low_rank) = low_rank {
                down.extend_from_slice(&low_rank.down);
                for (i, row) in low_rank.up.chunks_exact(low_rank.rank).enumerate() {
                    let at = (first_row + i) * n_rank + first_column;
                    up[at..at + low_rank.rank].copy_from_slice(row);
                }
                first_column += low_rank.rank;
            }
            first_row += n;
        }
        let plain = |n_rows, n_cols, numbers: &[f32]| {
            let weights = runabout_kernels::Weights::Plain(Floats::F32(numbers));
            let matrix = runabout_kernels::Matrix { n_rows, n_cols, weights };
            self.note_packed(Arc::new(PackedWeights::pack(&self.cpu, &[matrix], Arrangement::Stacked)?))
        };
        Ok(Some(PackedLowRank { down: plain(n_rank, n_in, &down)?, up: plain(n_out, n_rank, &up)? }))
    }

    /// The norm, if given, and the linear layers as one operation. Gated ones must have nothing but a matrix.
    pub(super) fn linear(
        &self,
        norm: Option<&Norm>,
        linears: &[&Linear],
        arrangement: Arrangement,
    ) -> std::result::Result<PackedLinear, LoadError> {
        let sources: Vec<_> = linears.iter().map(|it| Source::of(&it.matrix)).collect();
        let mut bias = Vec::new();
        for linear in linears {
            if let Some(it) = &linear.bias {
                bias.extend(floats(it)?);
            }
        }
        let packed = self.pack_all(&sources, arrangement)?;
        let bias = (!bias.is_empty()).then(|| bias.into());
        let low_ranks = linears
            .iter()
            .map(|it| Ok((it.n_outputs(), it.low_rank.as_ref().map(HostLowRank::new).transpose()?)))
            .collect::<Result<Vec<_>>>()?;
        let low_rank = self.low_rank(packed.weights.n_inputs(), &low_ranks)?;
        Ok(PackedLinear { packed, low_rank, norm: norm.map(HostNorm::new).transpose()?, bias })
    }

    /// For kernels that are called directly, without an MLX operation.
    pub(crate) fn cpu(&self) -> &Arc<Cpu> {
        &self.cpu
    }
}

impl From<KernelError> for LoadError {
    fn from(error: KernelError) -> Self {
        LoadError::Kernels(error)
    }
}
