//! The gated delta net, a mixer whose memory of a sequence has a fixed size: [`GatedDelta`].
//!
//! As in mlx_lm's `qwen3_5.py` and `gated_delta.py`: queries, keys and values pass through a short convolution, and
//! update a matrix per head by the delta rule.

use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, Dtype, error::Result, fast, ops};
use runabout_kernels::{Activation, DeltaShape};

use super::convolution::Convolution;
use super::mlp::activate;
use super::norm::Norm;
use crate::LoadError;
use crate::state::{Moment, SpanRows};
use crate::weights::{Linear, Piece, Recurrence, Visit};

/// Added to the squared length of queries and keys when they are normalized.
const LENGTH_EPS: f32 = 1e-6;

pub(crate) struct GatedDelta {
    /// Queries, keys and values, in this order.
    pub(crate) qkv_proj: Linear,
    /// The gates of the outputs.
    pub(crate) z_proj: Linear,
    /// How far the matrices move.
    pub(crate) b_proj: Linear,
    /// How fast they fade.
    pub(crate) a_proj: Linear,
    /// Of queries, keys and values.
    pub(crate) convolution: Convolution,
    pub(crate) a_log: Array,   // [n_value_heads]
    pub(crate) dt_bias: Array, // [n_value_heads]
    /// Of each head's outputs.
    pub(crate) norm: Norm,
    pub(crate) out_proj: Linear,
    pub(crate) shape: DeltaShape,
    pub(crate) recurrence: Recurrence,
}

/// The inputs of the recurrence.
struct Rows {
    queries: Array, // [n, n_key_heads, key_dim]
    keys: Array,
    values: Array, // [n, n_value_heads, value_dim]
    decays: Array, // [n, n_value_heads]
    betas: Array,
}

impl GatedDelta {
    /// Computes `[T, hidden_size]` from `[T, hidden_size]`, and advances the spans' states of layer `layer_idx`.
    pub(crate) fn forward(&self, x: &Array, layer_idx: usize, spans: &mut [SpanRows<'_>]) -> Result<Array> {
        let qkv = self.qkv_proj.forward(x)?; // [T, n_channels]
        let betas = ops::sigmoid(self.b_proj.forward(x)?)?.as_dtype(Dtype::Float32)?; // [T, n_value_heads]
        let decays = self.decays(&self.a_proj.forward(x)?)?;
        let mut outputs = Vec::with_capacity(spans.len());
        for span in spans {
            let rows = span.rows.clone();
            let of_span = |it: &Array| it.try_index((rows.clone(), ..));
            let (qkv, betas, decays) = (of_span(&qkv)?, of_span(&betas)?, of_span(&decays)?);
            let state = span.states[layer_idx].recurrent_mut();
            let n = qkv.dim(0);
            let before = state.now().clone();
            let inputs = self.convolution.inputs(before.inputs.as_ref(), &qkv)?;
            let rows = self.convolved(&inputs, n, decays, betas)?;
            let DeltaShape { n_value_heads, value_dim, key_dim, .. } = self.shape;
            let mut memory = before
                .memory
                .map_or_else(|| ops::zeros::<f32>(&[n_value_heads, value_dim, key_dim].map(to_i32)), Ok)?;
            // The state after the known tokens, and after each draft.
            let n_known = n - to_i32(span.n_drafted);
            let ends = (0..=to_i32(span.n_drafted)).map(|it| n_known + it);
            let mut start = 0;
            let mut after = Vec::with_capacity(span.n_drafted + 1);
            for end in ends {
                // A span may consist of drafts only.
                if start < end {
                    let output;
                    (output, memory) = self.recur(&rows.part(start, end)?, &memory)?;
                    outputs.push(output);
                }
                let held = self.convolution.held_after(&inputs, end)?;
                after.push(Moment { inputs: Some(held), memory: Some(memory.clone()) });
                start = end;
            }
            state.advance(n.unsigned_abs() as usize, after);
        }
        let output = ops::concatenate(&outputs, 0)?; // [T, n_value_heads, value_dim]
        let gate = self.z_proj.forward(x)?.reshape(output.shape())?;
        let gated = activate(Activation::Silu, &gate.as_dtype(Dtype::Float32)?)?
            .multiply(self.norm.forward(&output)?.as_dtype(Dtype::Float32)?)?;
        let gated = gated.as_dtype(x.dtype())?.reshape(&[x.dim(0), -1])?;
        self.out_proj.forward(&gated)
    }

    /// `exp(-exp(a_log) * softplus(a + dt_bias))`, in float32.
    fn decays(&self, a: &Array) -> Result<Array> {
        let a = a.add(&self.dt_bias)?.as_dtype(Dtype::Float32)?;
        let softplus = ops::logaddexp(a, Array::from_f32(0.0))?;
        let rate = ops::exp(self.a_log.as_dtype(Dtype::Float32)?)?.negative()?;
        ops::exp(rate.multiply(softplus)?)
    }

    /// The inputs of the recurrence for `n` rows, from the inputs of the convolution.
    fn convolved(&self, inputs: &Array, n: i32, decays: Array, betas: Array) -> Result<Rows> {
        let DeltaShape { n_key_heads, n_value_heads, key_dim, value_dim } = self.shape;
        let convolved = activate(Activation::Silu, &self.convolution.forward(inputs)?)?;
        let n_keys = to_i32(n_key_heads * key_dim);
        let keys_shape = [n, to_i32(n_key_heads), to_i32(key_dim)];
        let queries = convolved.try_index((.., ..n_keys))?.reshape(&keys_shape)?;
        let keys = convolved.try_index((.., n_keys..2 * n_keys))?.reshape(&keys_shape)?;
        let values = convolved.try_index((.., 2 * n_keys..))?;
        let values = values.reshape(&[n, to_i32(n_value_heads), to_i32(value_dim)])?;
        let scale = (key_dim as f32).powf(-0.5);
        let normalized = |x: &Array, scale: f32, eps: f32| {
            fast::rms_norm(x, None, eps)?.multiply(Array::from_f32(scale).as_dtype(x.dtype())?)
        };
        let eps = LENGTH_EPS * scale * scale;
        Ok(Rows {
            queries: normalized(&queries, scale * scale, eps)?,
            keys: normalized(&keys, scale, eps)?,
            values,
            decays,
            betas,
        })
    }

    /// The outputs `[n, n_value_heads, value_dim]`, and the memory afterwards.
    fn recur(&self, rows: &Rows, memory: &Array) -> Result<(Array, Array)> {
        let Rows { queries, keys, values, decays, betas } = rows;
        if let Recurrence::Packed(packed) = &self.recurrence {
            return packed.forward([queries, keys, values, decays, betas], memory);
        }
        let n_shared = to_i32(self.shape.n_value_heads / self.shape.n_key_heads);
        let dtype = queries.dtype();
        let mut memory = memory.clone();
        let mut outputs = Vec::new();
        for t in 0..queries.dim(0) {
            // [n_value_heads, 1, key_dim]
            let row_of = |it: &Array| ops::repeat_axis::<f32>(it.try_index(t)?, n_shared, 0)?.expand_dims(1);
            let (query, key) = (row_of(queries)?, row_of(keys)?);
            let [decay, beta] = [decays, betas].map(|it| it.try_index(t)); // [n_value_heads]
            memory = memory.multiply(decay?.expand_dims_axes(&[1, 2])?)?;
            let recalled = memory.multiply(&key)?.sum_axis(-1, false)?; // [n_value_heads, value_dim]
            let delta = values.try_index(t)?.subtract(recalled)?.multiply(beta?.expand_dims(1)?)?;
            memory = memory.add(key.multiply(delta.expand_dims(2)?)?)?;
            outputs.push(memory.multiply(&query)?.sum_axis(-1, false)?.as_dtype(dtype)?);
        }
        Ok((ops::stack(&outputs, 0)?, memory))
    }

    /// The size of a slot's state.
    pub(crate) fn n_state_bytes(&self) -> u64 {
        self.convolution.n_held_bytes() + 4 * self.shape.n_state() as u64
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        for linear in
            [&mut self.qkv_proj, &mut self.z_proj, &mut self.b_proj, &mut self.a_proj, &mut self.out_proj]
        {
            linear.visit(visit)?;
        }
        self.norm.visit(visit)?;
        self.convolution.visit(visit)?;
        for vector in [&mut self.a_log, &mut self.dt_bias] {
            visit(Piece::Vector(vector))?;
        }
        visit(Piece::Recurrence(&mut self.recurrence, self.shape))
    }
}

impl Rows {
    fn part(&self, start: i32, end: i32) -> Result<Self> {
        let part = |it: &Array| it.try_index(start..end)?.contiguous();
        Ok(Self {
            queries: part(&self.queries)?,
            keys: part(&self.keys)?,
            values: part(&self.values)?,
            decays: part(&self.decays)?,
            betas: part(&self.betas)?,
        })
    }
}

/// Dimensions are small.
fn to_i32(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
