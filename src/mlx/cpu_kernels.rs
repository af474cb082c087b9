//! The fused operations of a model on a CPU: MLX operations whose bodies are our kernels.
//!
//! [`Kernels`] packs weights at load; what it gives back builds lazy arrays like MLX's own operations, on float32
//! activations. Keys and values do not live in arrays here but in buffers that attention writes in place. That is
//! sound because operations that touch a cache depend on one another through their arrays, a step is evaluated
//! whole before the next one is built, and a lock guards what the stream's thread and the model's share.
//!
//! Where there is no bridge to MLX, `no_cpu_kernels.rs` stands in.

mod layers;

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mlx_rs::error::{Exception, Result};
use mlx_rs::{Array, Dtype, memory};
use runabout_kernels::{
    Activation, Arrangement, Attention, Cpu, CpuOptions, Epilogue, Floats, Input, KernelError, KvShape,
    KvType, Norm, PATH_VARIABLE, PackedWeights, Precision, RopePairs, RopeTable, Weights, append_shifted,
    attend, bf16, f16, matmul,
};

use crate::LoadError;
use crate::attention::Heads;
use crate::cache::{KvCache, STEP_TOKENS};
use crate::decoder::SpanRows;
use crate::error::not_a_slice;
use crate::fused::RmsNorm;
use crate::kernel_op::{OpError, kernel_op};
use crate::linear::{Linear, Matrix};
use crate::quantized_kv::KvBits;
use crate::rope::Rope;

pub(crate) use layers::{LayerParts, PackedLayers};

/// The value of [`PATH_VARIABLE`] that leaves everything to MLX's own operations.
const OFF: &str = "off";

/// Room is made for this many tokens at a time. A cache that grows is copied, but only one layer's at once.
const CACHE_STEP_TOKENS: usize = STEP_TOKENS.unsigned_abs() as usize;

/// The kernels of this machine, with their threads. Clones share them.
#[derive(Clone)]
pub(crate) struct Kernels {
    cpu: Arc<Cpu>,
    n_packed_bytes: Arc<AtomicU64>,
    /// Of the caches of all models that share the kernels.
    n_cache_bytes: Arc<AtomicU64>,
    n_peak_bytes: Arc<AtomicU64>,
}

/// How the matrices of [`Kernels::linear`] become one.
#[derive(Clone, Copy)]
pub(crate) enum Joined {
    /// Their outputs follow each other.
    Stacked,
    /// Of gate and up: `silu(gate) * up`.
    SiluGated,
}

impl Kernels {
    /// `None` where [`PATH_VARIABLE`] turns them off. What is not given is chosen as [`CpuOptions`] says.
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

    /// Bytes of the weights packed so far, which MLX does not count.
    pub(crate) fn n_packed_bytes(&self) -> u64 {
        self.n_packed_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of all caches, of which MLX counts none.
    pub(crate) fn n_cache_bytes(&self) -> u64 {
        self.n_cache_bytes.load(Ordering::Relaxed)
    }

    /// The caches of a model take `n_now` bytes, which have been `n_before`.
    pub(crate) fn note_caches(&self, n_before: u64, n_now: u64) {
        // Wraps around where it shrinks.
        self.n_cache_bytes.fetch_add(n_now.wrapping_sub(n_before), Ordering::Relaxed);
    }

    /// The most bytes in use at once so far, MLX's among them.
    ///
    /// Starts MLX's own count of its peak afresh. What MLX does not count only grows between two calls, so MLX's peak
    /// since the last call and what else there is now were there together.
    pub(crate) fn note_peak(&self) -> Result<u64> {
        let n_bytes = memory::peak_memory()? as u64 + self.n_packed_bytes() + self.n_cache_bytes();
        memory::reset_peak_memory()?;
        Ok(self.n_peak_bytes.fetch_max(n_bytes, Ordering::Relaxed).max(n_bytes))
    }

    /// A packed copy of `matrices`, which have inputs of one length.
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

    /// `norm`, if any, and then `linears`, as one operation.
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

    /// `norm`, the three projections and attention over caches; `None` where the kernels lack this shape of heads.
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

    /// For what works on memory and needs no operation.
    pub(crate) fn cpu(&self) -> &Cpu {
        &self.cpu
    }
}

/// Matrices over one input in the kernels' own layout. Clones share them.
#[derive(Clone)]
pub(crate) struct Packed {
    cpu: Arc<Cpu>,
    weights: Arc<PackedWeights>,
}

impl Packed {
    /// Rows of the matrix, `[T]` to `[T, n_in]`.
    pub(crate) fn rows(&self, idx: &Array) -> Result<Array> {
        let Self { cpu, weights } = self.clone();
        let shape = [idx.dim(0), to_i32(weights.n_inputs())];
        kernel_op(c"rows", &[idx], &shape, move |inputs, out: &mut [f32]| {
            Ok(weights.read_rows(&cpu, inputs.slice(0)?, out)?)
        })
    }

    /// `norm` and then this, without a bias.
    pub(crate) fn after(&self, norm: &RmsNorm) -> std::result::Result<PackedLinear, LoadError> {
        Ok(PackedLinear { packed: self.clone(), norm: Some(HostNorm::new(norm)?), bias: None })
    }
}

/// `norm(x) @ weights.T + bias`, where there are a norm and a bias. Clones share them.
#[derive(Clone)]
pub(crate) struct PackedLinear {
    packed: Packed,
    norm: Option<HostNorm>,
    bias: Option<Arc<[f32]>>,
}

impl PackedLinear {
    /// `[T, n_in]` to `[T, n_out]`, plus `residual` if one is given.
    pub(crate) fn forward(&self, x: &Array, residual: Option<&Array>) -> Result<Array> {
        let linear = self.clone();
        let shape = [x.dim(0), to_i32(self.n_outputs())];
        let inputs: Vec<_> = std::iter::once(x).chain(residual).collect();
        let has_residual = residual.is_some();
        kernel_op(c"linear", &inputs, &shape, move |inputs, out: &mut [f32]| {
            let epilogue = if has_residual { Epilogue::Add(inputs.slice(1)?) } else { Epilogue::Store };
            Ok(linear.run(inputs.slice(0)?, epilogue, out)?)
        })
    }

    fn run(
        &self,
        x: &[f32],
        epilogue: Epilogue<'_>,
        out: &mut [f32],
    ) -> std::result::Result<(), KernelError> {
        let Packed { cpu, weights } = &self.packed;
        let norm = self.norm.as_ref().map(|it| Norm { weight: &it.weight, eps: it.eps });
        matmul(cpu, weights, Input { x, norm, bias: self.bias.as_deref() }, epilogue, out)
    }

    fn n_outputs(&self) -> usize {
        self.packed.weights.n_outputs()
    }
}

/// Query, key and value projections, and attention over caches that are written in place. Clones share the weights.
#[derive(Clone)]
pub(crate) struct PackedAttention {
    qkv_proj: PackedLinear,
    heads: Heads,
    kv_shape: KvShape,
}

impl PackedAttention {
    /// An empty cache for this layer.
    pub(crate) fn make_cache(&self) -> KvCache {
        let cache = runabout_kernels::KvCache::new(self.kv_shape, 0)
            .expect("`Kernels::attention` has made one of this shape");
        KvCache::InPlace(InPlaceCache { cache: Arc::new(Mutex::new(cache)), written: None })
    }

    /// Bytes of keys and values that one token takes.
    pub(crate) fn kv_bytes_per_token(&self) -> u64 {
        self.kv_shape.bytes_per_token() as u64
    }

    /// `[T, n_in]` to `[T, n_heads * head_dim]`: projects, rotates queries and keys, appends keys and values to the
    /// spans' caches of this layer, and attends.
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
            span.caches[layer_idx].in_place_mut().written = Some(output.clone());
        }
        Ok(output)
    }

    /// Appends to one cache of this layer what another holds of `tokens`, with keys turned to their new positions. Both
    /// hold all that was appended.
    pub(crate) fn append_shifted(
        &self,
        to: &mut InPlaceCache,
        from: &InPlaceCache,
        tokens: &Range<usize>,
        rope: &Rope,
    ) -> Result<()> {
        let (mut to, from) = (lock(&to.cache), lock(&from.cache));
        let n_tokens = to.len() + tokens.len();
        to.reserve(n_tokens.next_multiple_of(CACHE_STEP_TOKENS))
            .and_then(|()| {
                append_shifted(&self.qkv_proj.packed.cpu, &mut to, &from, tokens.clone(), rope.kernels_turn())
            })
            .map_err(|e| Exception::custom(e.to_string()))
    }

    /// From projections `[T, ...]` of all spans' rows to `[T, n_heads * head_dim]`.
    fn attend(
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

    fn n_outputs(&self) -> usize {
        to_usize(self.heads.n_heads * self.heads.head_dim)
    }
}

/// The rows of a span, and its slot's cache of one layer, which they go to.
struct SpanCache {
    rows: Range<usize>,
    cache: Arc<Mutex<runabout_kernels::KvCache>>,
}

impl SpanCache {
    fn new(span: &mut SpanRows<'_>, layer_idx: usize) -> Self {
        let rows = to_usize(span.rows.start)..to_usize(span.rows.end);
        Self { rows, cache: Arc::clone(&span.caches[layer_idx].in_place_mut().cache) }
    }
}

/// The tokens that the longest of the caches will hold.
fn n_positions(caches: &[SpanCache]) -> usize {
    caches.iter().map(|it| lock(&it.cache).len() + it.rows.len()).max().unwrap_or(0)
}

/// A norm whose weight is at hand, so that it need not be an input of each operation.
#[derive(Clone)]
struct HostNorm {
    weight: Arc<[f32]>,
    eps: f32,
}

impl HostNorm {
    fn new(norm: &RmsNorm) -> Result<Self> {
        Ok(Self { weight: floats(&norm.weight)?.into(), eps: norm.eps })
    }
}

/// The keys and values of one layer of one slot, written in place by [`PackedAttention::forward`].
pub(crate) struct InPlaceCache {
    /// Locked by the stream's thread while a step writes it, by the model's between steps.
    cache: Arc<Mutex<runabout_kernels::KvCache>>,
    /// The result of the attention that appends to the cache, until [`Self::settle`]: evaluating it is what writes.
    written: Option<Array>,
}

impl InPlaceCache {
    pub(crate) fn n_bytes(&self) -> u64 {
        lock(&self.cache).n_bytes() as u64
    }

    pub(crate) fn truncate(&mut self, n_tokens: usize) {
        lock(&self.cache).truncate(n_tokens);
    }

    pub(crate) fn n_tokens(&self) -> usize {
        lock(&self.cache).len()
    }

    pub(crate) fn n_room(&self) -> usize {
        lock(&self.cache).capacity()
    }

    /// Gives back what memory it has beyond what is held.
    pub(crate) fn fit(&mut self) -> Result<()> {
        lock(&self.cache).shrink_to_fit().map_err(|e| Exception::custom(e.to_string()))
    }

    /// A copy of the first `n_tokens`.
    pub(crate) fn copy_prefix(&self, n_tokens: usize) -> Result<Self> {
        let capacity = n_tokens.next_multiple_of(CACHE_STEP_TOKENS);
        let copy = lock(&self.cache)
            .copy_prefix(n_tokens, capacity)
            .map_err(|e| Exception::custom(e.to_string()))?;
        Ok(Self { cache: Arc::new(Mutex::new(copy)), written: None })
    }

    /// What must be evaluated for the cache to hold all that was appended.
    pub(crate) fn written(&self) -> Option<&Array> {
        self.written.as_ref()
    }

    /// The step has been evaluated; its arrays may go.
    pub(crate) fn settle(&mut self) {
        self.written = None;
    }
}

/// A panic under the lock has failed the step, which closes the slot, so nobody reads what it may have left.
fn lock(cache: &Mutex<runabout_kernels::KvCache>) -> MutexGuard<'_, runabout_kernels::KvCache> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kv_shape(heads: Heads, kv_bits: Option<KvBits>) -> KvShape {
    let kv_type = match kv_bits {
        // Half of float32's bytes to read: over a thousand tokens they are as many as a small model's weights. Greedy
        // tokens of the models in the tests stay those of float32.
        None => KvType::F16,
        Some(KvBits::Eight) => KvType::Bits8,
        Some(KvBits::Four) => KvType::Bits4,
    };
    KvShape { n_heads: to_usize(heads.n_kv_heads), head_dim: to_usize(heads.head_dim), kv_type }
}

/// An evaluated matrix as the kernels see it.
fn to_kernels(matrix: &Matrix) -> Result<runabout_kernels::Matrix<'_>> {
    let (weights, n_cols) = match matrix {
        Matrix::Plain { weight } => (Weights::Plain(to_floats(weight)?), weight.dim(1)),
        Matrix::Quantized { weight, scales, biases, group_size, bits } => {
            let weights = Weights::Affine {
                words: slice(weight)?,
                scales: to_floats(scales)?,
                biases: to_floats(biases)?,
                bits: to_usize(*bits),
                group_size: to_usize(*group_size),
            };
            (weights, scales.dim(1) * group_size)
        }
    };
    let (Matrix::Plain { weight } | Matrix::Quantized { weight, .. }) = matrix;
    Ok(runabout_kernels::Matrix { n_rows: to_usize(weight.dim(0)), n_cols: to_usize(n_cols), weights })
}

fn to_floats(array: &Array) -> Result<Floats<'_>> {
    match array.dtype() {
        Dtype::Float16 => slice::<f16>(array).map(Floats::F16),
        Dtype::Bfloat16 => slice::<bf16>(array).map(Floats::Bf16),
        _ => slice(array).map(Floats::F32),
    }
}

/// A small array as float32 numbers.
fn floats(array: &Array) -> Result<Vec<f32>> {
    slice(&array.as_dtype(Dtype::Float32)?).map(<[f32]>::to_vec)
}

fn slice<T: mlx_rs::ArrayElement>(array: &Array) -> Result<&[T]> {
    array.try_as_slice().map_err(not_a_slice)
}

/// Shapes are not negative.
fn to_usize(n: i32) -> usize {
    n.unsigned_abs() as usize
}

/// Shapes came from MLX, which has them as `i32`.
fn to_i32(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

impl From<KernelError> for LoadError {
    fn from(error: KernelError) -> Self {
        LoadError::Kernels(error)
    }
}
