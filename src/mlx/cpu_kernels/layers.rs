//! All layers of a decoder as one operation, if the kernels support every part of them: [`PackedLayers`].
//!
//! An MLX operation costs a few microseconds to build, schedule and hand to its thread, and memory for its result. At
//! one token per step, five operations per layer cost a fifth of a small model's time.

use std::sync::Arc;

use mlx_rs::Array;
use mlx_rs::error::Result;
use mlx_rs::ops::indexing::TryIndexOp;
use runabout_kernels::{Epilogue, RopePairs, RopeTable};

use super::attention::{PackedAttention, SpanCache, n_positions};
use super::packed::{PackedLinear, to_i32, to_usize};
use crate::kernel_op::{OpError, kernel_op};
use crate::rope::Rope;
use crate::spans::SpanRows;

/// Floats in a cache line.
const LINE_FLOATS: usize = 16;

/// The parts of a layer: attention, then the output, gate/up and down projections.
pub(crate) type LayerParts<'a> = (&'a PackedAttention, [&'a PackedLinear; 3]);

/// The steps of a layer, in order.
struct PackedLayer {
    self_attn: PackedAttention,
    o_proj: PackedLinear,
    gate_up_proj: PackedLinear,
    down_proj: PackedLinear,
}

/// All layers of a decoder.
pub(crate) struct PackedLayers {
    layers: Arc<[PackedLayer]>,
    n_hidden: usize,
}

impl PackedLayers {
    /// `None` without layers.
    pub(crate) fn new(layers: Vec<LayerParts<'_>>) -> Option<Self> {
        let layers: Arc<[_]> = layers.into_iter().map(PackedLayer::new).collect();
        let n_hidden = layers.first()?.down_proj.n_outputs();
        Some(Self { layers, n_hidden })
    }

    /// Computes `[T, n_hidden]` from `[T, n_hidden]`, and appends keys and values to the spans' caches.
    pub(crate) fn forward(&self, x: &Array, rope: &Rope, spans: &mut [SpanRows<'_>]) -> Result<Array> {
        let n_rows = to_usize(x.dim(0));
        // Scratch memory is part of the result, as extra rows, so that MLX counts it.
        let n_work = self.n_hidden + self.layers.iter().map(PackedLayer::n_work).max().unwrap_or(0);
        let n_work_rows = (n_rows * n_work + LINE_FLOATS).div_ceil(self.n_hidden);
        let caches: Vec<Vec<_>> = (0..self.layers.len())
            .map(|layer_idx| spans.iter_mut().map(|it| SpanCache::new(it, layer_idx)).collect())
            .collect();
        let (table, pairs) = rope.table(caches.first().map_or(0, |it| n_positions(it)));
        let layers = Arc::clone(&self.layers);
        let n_values = n_rows * self.n_hidden;
        let shape = [to_i32(n_rows + n_work_rows), to_i32(self.n_hidden)];
        let output = kernel_op(c"layers", &[x], &shape, move |inputs, out: &mut [f32]| {
            let short = "the output is too short";
            let (result, work) = out.split_at_mut_checked(n_values).ok_or(short)?;
            // MLX's memory is not aligned. Writing a vector that crosses cache lines is slow, and more so when
            // another thread uses the second line.
            let aligned = work.as_ptr().align_offset(LINE_FLOATS * size_of::<f32>());
            let work = work.get_mut(aligned..).ok_or(short)?;
            let (x, work) = work.split_at_mut_checked(n_values).ok_or(short)?;
            x.copy_from_slice(inputs.slice(0)?);
            for (layer, caches) in layers.iter().zip(&caches) {
                layer.run(n_rows, x, (&table, pairs), caches, work)?;
            }
            result.copy_from_slice(x);
            Ok(())
        })?;
        for cache in spans.iter_mut().flat_map(|it| it.caches.iter_mut()) {
            cache.in_place_mut().written_by(output.clone());
        }
        output.try_index((..to_i32(n_rows), ..))
    }
}

impl PackedLayer {
    fn new((self_attn, [o_proj, gate_up_proj, down_proj]): LayerParts<'_>) -> Self {
        Self {
            self_attn: self_attn.clone(),
            o_proj: o_proj.clone(),
            gate_up_proj: gate_up_proj.clone(),
            down_proj: down_proj.clone(),
        }
    }

    /// Floats of scratch memory per row.
    fn n_work(&self) -> usize {
        let n_attention = self.self_attn.qkv_proj.n_outputs() + self.self_attn.n_outputs();
        n_attention.max(self.gate_up_proj.n_outputs())
    }

    /// Replaces `x`, of `n_rows` rows, by the output of the layer.
    fn run(
        &self,
        n_rows: usize,
        x: &mut [f32],
        rope: (&RopeTable, RopePairs),
        caches: &[SpanCache],
        work: &mut [f32],
    ) -> std::result::Result<(), OpError> {
        let qkv_proj = &self.self_attn.qkv_proj;
        let short = "there is too little memory to work in";
        let (qkv, rest) = work.split_at_mut_checked(n_rows * qkv_proj.n_outputs()).ok_or(short)?;
        let attended = rest.get_mut(..n_rows * self.self_attn.n_outputs()).ok_or(short)?;
        qkv_proj.run(x, Epilogue::Store, qkv)?;
        self.self_attn.attend(qkv, rope, caches, attended)?;
        self.o_proj.run(attended, Epilogue::Accumulate, x)?;
        let inner = work.get_mut(..n_rows * self.gate_up_proj.n_outputs()).ok_or(short)?;
        self.gate_up_proj.run(x, Epilogue::Store, inner)?;
        self.down_proj.run(inner, Epilogue::Accumulate, x)?;
        Ok(())
    }
}
