//! Grouped-query attention over the spans of a ragged batch: [`Attention`].
//!
//! Projections run over all rows at once; each span attends to its own slot's state.

use std::ops::Range;
use std::rc::Rc;

use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, error::Result, fast, ops};

use super::{Heads, Norm, Rope};
use crate::LoadError;
use crate::state::{ArrayCache, SpanRows, View};
use crate::weights::{Linear, Piece, Visit};

/// Attention with its projections, from the normed input of a layer to what is added to the residual.
pub(crate) struct Attention {
    pub(crate) q_proj: Linear,
    pub(crate) source: KvSource,
    pub(crate) o_proj: Linear,
    /// The heads' outputs are multiplied by the sigmoid of this.
    pub(crate) gate_proj: Option<Linear>,
    /// Applied to queries and keys before the rotation: to each head, or to all heads together if the norm is as long.
    pub(crate) q_norm: Option<Norm>,
    pub(crate) k_norm: Option<Norm>,
    /// Applied to each value head.
    pub(crate) v_norm: Option<Norm>,
    pub(crate) heads: Heads,
    /// The factor that scores are multiplied by.
    pub(crate) scale: f32,
    /// `None` if queries and keys do not depend on their positions.
    pub(crate) rope: Option<Rc<Rope>>,
    /// The number of tokens that a token sees, itself included; `None` is all.
    pub(crate) window: Option<usize>,
    /// For each query head, an extra logit in the softmax that contributes no value.
    pub(crate) sinks: Option<Array>, // [n_heads]
    /// Scores `s` become `c * tanh(s / c)`.
    pub(crate) softcap: Option<f32>,
    /// Queries at later positions are multiplied by a number.
    pub(crate) position_scale: Option<PositionScale>,
}

/// Where keys and values come from.
pub(crate) enum KvSource {
    /// Projections of the layer's input.
    Own { k_proj: Linear, v_proj: Linear },
    /// The keys and values of an earlier layer, by its number, this step's included.
    Layer(usize),
}

/// Multiplies queries at position `p` by `1 + beta * ln(1 + floor(p / n))`.
#[derive(Clone, Copy)]
pub(crate) struct PositionScale {
    pub(crate) beta: f32,
    pub(crate) n: f32,
}

impl PositionScale {
    pub(crate) fn at(self, position: usize) -> f32 {
        1.0 + self.beta * (1.0 + (position as f32 / self.n).floor()).ln()
    }
}

impl Attention {
    /// Computes `[T, hidden_size]` from `[T, hidden_size]`, and appends keys and values to the spans' states of layer
    /// `layer_idx`.
    pub(crate) fn forward(&self, x: &Array, layer_idx: usize, spans: &mut [SpanRows<'_>]) -> Result<Array> {
        let queries = self.q_proj.forward(x)?; // [T, n_heads * head_dim]
        let queries = normed(self.q_norm.as_ref(), queries)?;
        let (state_idx, new) = match &self.source {
            KvSource::Own { k_proj, v_proj } => {
                let keys = normed(self.k_norm.as_ref(), k_proj.forward(x)?)?; // [T, n_kv_heads * head_dim]
                (layer_idx, Some([keys, normed(self.v_norm.as_ref(), v_proj.forward(x)?)?]))
            }
            KvSource::Layer(idx) => (*idx, None),
        };
        let mut outputs = Vec::with_capacity(spans.len());
        for span in spans {
            let n_rows = span.rows.end - span.rows.start;
            let queries = self.split_heads(&queries, &span.rows, self.heads.n_heads)?; // [1, n_heads, L, head_dim]
            let cache = span.states[state_idx].arrays_mut();
            if let Some([keys, values]) = &new {
                let keys = self.split_heads(keys, &span.rows, self.heads.n_kv_heads)?;
                let values = self.split_heads(values, &span.rows, self.heads.n_kv_heads)?;
                let keys = self.rotated(&keys, cache.n_tokens())?;
                append(cache, [keys, values])?;
            }
            let offset = cache.n_tokens() - n_rows;
            let queries = self.scaled(self.rotated(&queries, offset)?, offset)?;
            let output = self.attend(cache, &queries)?;
            outputs.push(output.transpose_axes(&[0, 2, 1, 3])?.reshape(&[n_rows, self.heads.n_query()])?);
        }
        let output = match outputs.as_slice() {
            [output] => output.clone(),
            _ => ops::concatenate(&outputs, 0)?,
        };
        match &self.gate_proj {
            Some(gate) => self.o_proj.forward(&output.multiply(ops::sigmoid(gate.forward(x)?)?)?),
            None => self.o_proj.forward(&output),
        }
    }

    /// Attends with the queries `[1, n_heads, L, head_dim]` of the last tokens to all that the cache holds.
    fn attend(&self, cache: &ArrayCache, queries: &Array) -> Result<Array> {
        let n_rows = queries.dim(2);
        let view = View::after(cache.n_tokens() - n_rows, n_rows, self.window);
        if let Some(kv) = cache.quantization() {
            let parts = view.of(&cache.held()?)?;
            return kv.attend(&parts, queries, self.heads, |scores| self.weigh(&scores, &view));
        }
        let [keys, values] = view.of(&cache.held()?)?;
        if self.softcap.is_none() {
            let mask = view.mask()?;
            let mask = match &mask {
                Some(mask) => Some(fast::ScaledDotProductAttentionMask::Array(mask)),
                None => view.is_causal().then_some(fast::ScaledDotProductAttentionMask::Causal),
            };
            return fast::scaled_dot_product_attention(
                queries,
                &keys,
                &values,
                self.scale,
                mask,
                self.sinks.as_ref(),
            );
        }
        // Query heads of a group share a key-value head.
        let grouped = self.heads.grouped(queries)?; // [1, n_kv_heads, n_shared, L, head_dim]
        let keys = keys.expand_dims(2)?.swap_axes(-1, -2)?;
        let weights = self.weigh(&ops::matmul(&grouped, &keys)?, &view)?;
        ops::matmul(&weights, values.expand_dims(2)?)?.reshape(queries.shape())
    }

    /// The weights of keys from scores `[1, n_kv_heads, n_shared, L, n_keys]` before scaling.
    fn weigh(&self, scores: &Array, view: &View) -> Result<Array> {
        let dtype = scores.dtype();
        let of = |it: f32| Array::from_f32(it).as_dtype(dtype);
        let mut scores = scores.multiply(of(self.scale)?)?;
        if let Some(softcap) = self.softcap {
            scores = ops::tanh(scores.divide(of(softcap)?)?)?.multiply(of(softcap)?)?;
        }
        if let Some(is_seen) = view.causal_mask()? {
            scores = ops::select(&is_seen, &scores, &of(f32::NEG_INFINITY)?)?;
        }
        let Some(sinks) = &self.sinks else { return ops::softmax_axis(scores, -1, true) };
        // As one more key, whose weight is dropped.
        let &[_, n_kv_heads, n_shared, n_rows, n_keys] = scores.shape() else {
            unreachable!("scores have five dimensions")
        };
        let sinks = sinks.as_dtype(dtype)?.reshape(&[1, n_kv_heads, n_shared, 1, 1])?;
        let sinks = ops::broadcast_to(&sinks, &[1, n_kv_heads, n_shared, n_rows, 1])?;
        let weights = ops::softmax_axis(ops::concatenate(&[scores, sinks], -1)?, -1, true)?;
        weights.try_index((.., .., .., .., ..n_keys))
    }

    /// Appends `tokens` of another state of this layer, with their keys rotated to the new positions.
    pub(crate) fn append_shifted(
        &self,
        to: &mut ArrayCache,
        from: &ArrayCache,
        tokens: &Range<i32>,
    ) -> Result<()> {
        let distance = to.n_tokens() - tokens.start;
        let turn = |keys: &Array| match &self.rope {
            Some(rope) => rope.rotate_by(keys, distance),
            None => Ok(keys.clone()),
        };
        let parts = from.parts_of(tokens.clone())?;
        if let Some(kv) = from.quantization() {
            to.append(&kv.with_keys(parts, turn)?)?;
        } else {
            let [keys, values] =
                <[Array; 2]>::try_from(parts).unwrap_or_else(|_| unreachable!("a cache has keys and values"));
            to.append(&[turn(&keys)?, values])?;
        }
        Ok(())
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        self.q_proj.visit(visit)?;
        if let KvSource::Own { k_proj, v_proj } = &mut self.source {
            k_proj.visit(visit)?;
            v_proj.visit(visit)?;
        }
        self.o_proj.visit(visit)?;
        if let Some(gate) = &mut self.gate_proj {
            gate.visit(visit)?;
        }
        for norm in self.q_norm.iter_mut().chain(&mut self.k_norm).chain(&mut self.v_norm) {
            norm.visit(visit)?;
        }
        self.sinks.as_mut().map_or(Ok(()), |it| visit(Piece::Vector(it)))
    }

    fn rotated(&self, x: &Array, offset: i32) -> Result<Array> {
        self.rope.as_ref().map_or_else(|| Ok(x.clone()), |it| it.forward(x, offset))
    }

    /// Queries `[1, n_heads, L, head_dim]` after [`Self::position_scale`].
    fn scaled(&self, queries: Array, offset: i32) -> Result<Array> {
        let Some(scale) = self.position_scale else { return Ok(queries) };
        let scales: Vec<f32> =
            (offset..offset + queries.dim(2)).map(|it| scale.at(it.unsigned_abs() as usize)).collect();
        let scales = Array::from_slice(&scales, &[queries.dim(2), 1]);
        queries.multiply(scales.as_dtype(queries.dtype())?)
    }

    /// The rows of one span, out of `[T, n_heads * head_dim]`, as `[1, n_heads, L, head_dim]`.
    fn split_heads(&self, x: &Array, rows: &Range<i32>, n_heads: i32) -> Result<Array> {
        let n_rows = rows.end - rows.start;
        let x = if n_rows == x.dim(0) { x.clone() } else { x.try_index((rows.clone(), ..))? };
        x.reshape(&[1, n_rows, n_heads, self.heads.head_dim])?.transpose_axes(&[0, 2, 1, 3])
    }
}

/// Heads `[T, n]` after the norm of each head, or of all of them.
fn normed(norm: Option<&Norm>, x: Array) -> Result<Array> {
    let Some(norm) = norm else { return Ok(x) };
    norm.forward(&x.reshape(&[-1, norm.weight.dim(0)])?)?.reshape(x.shape())
}

/// Appends keys and values `[1, n_kv_heads, L, head_dim]`.
fn append(cache: &mut ArrayCache, new: [Array; 2]) -> Result<()> {
    match cache.quantization() {
        Some(kv) => cache.append(&kv.quantize(new)?),
        None => cache.append(&new),
    }
}
