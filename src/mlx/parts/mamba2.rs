//! The selective state space layer of Mamba 2, a mixer whose memory of a sequence has a fixed size: [`Mamba2`].
//!
//! As in mlx_lm's `granitemoehybrid.py` and `ssm.py`: each head has a matrix that fades by a rate which depends on the
//! token, and to which the token's value is added in a direction which depends on the token.

use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, Dtype, error::Result, ops};
use runabout_kernels::Activation;

use super::convolution::Convolution;
use super::mlp::activate;
use super::norm::Norm;
use crate::LoadError;
use crate::state::{Moment, SpanRows};
use crate::weights::{Linear, Piece, Visit};

/// Rows that are computed together; their cost grows with the square of this. As in mlx_lm.
const CHUNK: i32 = 256;

pub(crate) struct Mamba2 {
    /// Gates of the outputs, inputs of the convolution, and lengths of steps, in this order.
    pub(crate) in_proj: Linear,
    /// Of values, directions of writing and directions of reading.
    pub(crate) convolution: Convolution,
    pub(crate) a_log: Array, // [n_heads]
    /// How much of each head's value is added to its output.
    pub(crate) d: Array, // [n_heads]
    pub(crate) dt_bias: Array, // [n_heads]
    /// Of all heads' gated outputs together.
    pub(crate) norm: Norm,
    pub(crate) out_proj: Linear,
    pub(crate) shape: MambaShape,
    /// The least and the greatest length of a step.
    pub(crate) step_limits: [f32; 2],
}

/// Heads of `head_dim` numbers in groups of equal size; the heads of a group share directions of `state_dim` numbers.
#[derive(Clone, Copy)]
pub(crate) struct MambaShape {
    pub(crate) n_heads: i32,
    pub(crate) head_dim: i32,
    pub(crate) n_groups: i32,
    pub(crate) state_dim: i32,
}

/// The inputs of the recurrence for some rows.
struct Rows {
    values: Array,  // [n, n_heads, head_dim]
    writing: Array, // [n, n_groups, state_dim]
    reading: Array,
    steps: Array, // [n, n_heads]
}

impl MambaShape {
    /// The numbers of all heads.
    pub(crate) fn n_inner(self) -> i32 {
        self.n_heads * self.head_dim
    }

    /// The channels of the convolution.
    pub(crate) fn n_channels(self) -> i32 {
        self.n_inner() + 2 * self.n_groups * self.state_dim
    }
}

impl Mamba2 {
    /// Computes `[T, hidden_size]` from `[T, hidden_size]`, and advances the spans' states of layer `layer_idx`.
    pub(crate) fn forward(&self, x: &Array, layer_idx: usize, spans: &mut [SpanRows<'_>]) -> Result<Array> {
        let (n_inner, n_channels) = (self.shape.n_inner(), self.shape.n_channels());
        let projected = self.in_proj.forward(x)?;
        let gates = projected.try_index((.., ..n_inner))?;
        let convolved = projected.try_index((.., n_inner..n_inner + n_channels))?;
        let steps = self.steps(&projected.try_index((.., n_inner + n_channels..))?)?;
        let mut outputs = Vec::with_capacity(spans.len());
        for span in spans {
            let of_span = |it: &Array| it.try_index((span.rows.clone(), ..));
            let state = span.states[layer_idx].recurrent_mut();
            let before = state.now().clone();
            let inputs = self.convolution.inputs(before.inputs.as_ref(), &of_span(&convolved)?)?;
            let rows = self.rows(&inputs, of_span(&steps)?)?;
            let n = span.rows.end - span.rows.start;
            let n_drafted = i32::try_from(span.n_drafted).unwrap_or(i32::MAX);
            let mut memory = before.memory;
            let mut after = Vec::with_capacity(span.n_drafted + 1);
            let mut start = 0;
            // The state after the known tokens, and after each draft.
            for end in n - n_drafted..=n {
                while start < end {
                    let rows = rows.part(start, end.min(start + CHUNK))?;
                    start = end.min(start + CHUNK);
                    let output;
                    (output, memory) = self.scan(&rows, memory.as_ref()).map(|it| (it.0, Some(it.1)))?;
                    outputs.push(output);
                }
                let held = self.convolution.held_after(&inputs, end)?;
                after.push(Moment { inputs: Some(held), memory: memory.clone() });
            }
            state.advance(n.unsigned_abs() as usize, after);
        }
        let output = ops::concatenate(&outputs, 0)?.reshape(&[x.dim(0), n_inner])?.as_dtype(x.dtype())?;
        let gated = activate(Activation::Silu, &gates)?.multiply(output)?;
        self.out_proj.forward(&self.norm.forward(&gated)?)
    }

    /// The lengths of steps in float32.
    fn steps(&self, projected: &Array) -> Result<Array> {
        let steps = projected.as_dtype(Dtype::Float32)?.add(&self.dt_bias)?;
        let steps = ops::logaddexp(steps, Array::from_f32(0.0))?;
        let [least, greatest] = self.step_limits.map(Array::from_f32);
        ops::clip(steps, (&least, &greatest))
    }

    /// The inputs of the recurrence, from the inputs of the convolution.
    fn rows(&self, inputs: &Array, steps: Array) -> Result<Rows> {
        let MambaShape { n_heads, head_dim, n_groups, state_dim } = self.shape;
        let convolved = activate(Activation::Silu, &self.convolution.forward(inputs)?)?;
        let (n, n_inner) = (convolved.dim(0), self.shape.n_inner());
        let n_directions = n_groups * state_dim;
        let directions = |start: i32| {
            convolved.try_index((.., start..start + n_directions))?.reshape(&[n, n_groups, state_dim])
        };
        Ok(Rows {
            values: convolved.try_index((.., ..n_inner))?.reshape(&[n, n_heads, head_dim])?,
            writing: directions(n_inner)?,
            reading: directions(n_inner + n_directions)?,
            steps,
        })
    }

    /// The outputs `[n, n_heads, head_dim]` of at most [`CHUNK`] rows, and the memory afterwards.
    fn scan(&self, rows: &Rows, memory: Option<&Array>) -> Result<(Array, Array)> {
        let MambaShape { n_heads, head_dim, n_groups, state_dim } = self.shape;
        let Rows { values, writing, reading, steps } = rows;
        let (n, n_shared) = (values.dim(0), n_heads / n_groups);
        let grouped = |it: &Array| it.reshape(&[n_groups, n_shared, n, -1]);
        let rates = ops::exp(self.a_log.as_dtype(Dtype::Float32)?)?.negative()?;
        let decays = steps.multiply(rates)?.transpose_axes(&[1, 0])?; // [n_heads, n], logarithms
        let written = steps.expand_dims(2)?.multiply(values)?.transpose_axes(&[1, 0, 2])?; // [n_heads, n, head_dim]
        // How much of what row u writes is left at row t, in [n_heads, t, u].
        let passed = ops::broadcast_to(&decays.expand_dims(2)?, &[n_heads, n, n])?;
        let passed = ops::tril(passed, -1)?.cumsum(-2, false, true)?;
        let left = ops::tril(ops::exp(passed)?, 0)?;
        let writing = writing.transpose_axes(&[1, 0, 2])?; // [n_groups, n, state_dim]
        let reading = reading.transpose_axes(&[1, 0, 2])?;
        let matches = reading.matmul(writing.swap_axes(-1, -2)?)?.expand_dims(1)?; // [n_groups, 1, t, u]
        let weights = left.reshape(&[n_groups, n_shared, n, n])?.multiply(matches)?;
        let mut output = weights.matmul(grouped(&written)?)?; // [n_groups, n_shared, n, head_dim]
        let at_end = left.try_index((.., n - 1, ..))?.expand_dims(2)?; // [n_heads, u, 1]
        let kept = grouped(&written.multiply(at_end)?)?.swap_axes(-1, -2)?;
        let mut next = kept.matmul(writing.expand_dims(1)?)?; // [n_groups, n_shared, head_dim, state_dim]
        if let Some(memory) = memory {
            let memory = memory.reshape(&[n_groups, n_shared, head_dim, state_dim])?;
            let left = ops::exp(decays.cumsum(-1, false, true)?)?.reshape(&[n_groups, n_shared, n, 1])?;
            let read = reading.expand_dims(1)?.matmul(memory.swap_axes(-1, -2)?)?;
            output = output.add(read.multiply(&left)?)?;
            next = next.add(memory.multiply(left.try_index((.., .., n - 1.., ..))?)?)?;
        }
        let output = output.reshape(&[n_heads, n, head_dim])?.transpose_axes(&[1, 0, 2])?;
        let direct = values.multiply(self.d.expand_dims(1)?)?;
        Ok((output.add(direct)?, next.reshape(&[n_heads, head_dim, state_dim])?))
    }

    /// The size of a slot's state.
    pub(crate) fn n_state_bytes(&self) -> u64 {
        let n = i64::from(self.shape.n_inner()) * i64::from(self.shape.state_dim);
        self.convolution.n_held_bytes() + 4 * n.unsigned_abs()
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        self.in_proj.visit(visit)?;
        self.convolution.visit(visit)?;
        for vector in [&mut self.a_log, &mut self.d, &mut self.dt_bias] {
            visit(Piece::Vector(vector))?;
        }
        self.norm.visit(visit)?;
        self.out_proj.visit(visit)
    }
}

impl Rows {
    fn part(&self, start: i32, end: i32) -> Result<Self> {
        let part = |it: &Array| it.try_index(start..end);
        Ok(Self {
            values: part(&self.values)?,
            writing: part(&self.writing)?,
            reading: part(&self.reading)?,
            steps: part(&self.steps)?,
        })
    }
}
