//! A mixer that is a gated convolution: [`ShortConv`], as in mlx_lm's `lfm2.py`.

use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, error::Result, ops};

use super::convolution::Convolution;
use crate::LoadError;
use crate::state::{Moment, SpanRows};
use crate::weights::{Linear, Visit};

/// `out(c * convolution(b * x))` of b, c and x in the outputs of `in_proj`, in this order.
pub(crate) struct ShortConv {
    pub(crate) in_proj: Linear,
    pub(crate) convolution: Convolution,
    pub(crate) out_proj: Linear,
}

impl ShortConv {
    /// Computes `[T, hidden_size]` from `[T, hidden_size]`, and advances the spans' states of layer `layer_idx`.
    pub(crate) fn forward(&self, x: &Array, layer_idx: usize, spans: &mut [SpanRows<'_>]) -> Result<Array> {
        let all = self.in_proj.forward(x)?;
        let n = all.dim(1) / 3;
        let [b, c, x] = [0, 1, 2].map(|i| all.try_index((.., i * n..(i + 1) * n)));
        let gated = b?.multiply(x?)?;
        let mut outputs = Vec::with_capacity(spans.len());
        for span in spans {
            let rows = gated.try_index((span.rows.clone(), ..))?;
            let state = span.states[layer_idx].recurrent_mut();
            let inputs = self.convolution.inputs(state.now().inputs.as_ref(), &rows)?;
            outputs.push(self.convolution.forward(&inputs)?);
            let n_rows = span.rows.end - span.rows.start;
            let n_drafted = i32::try_from(span.n_drafted).unwrap_or(i32::MAX);
            let after = (n_rows - n_drafted..=n_rows)
                .map(|n| Ok(Moment { inputs: Some(self.convolution.held_after(&inputs, n)?), memory: None }));
            state.advance(n_rows.unsigned_abs() as usize, after.collect::<Result<_>>()?);
        }
        self.out_proj.forward(&c?.multiply(ops::concatenate(&outputs, 0)?)?)
    }

    /// The size of a slot's state.
    pub(crate) fn n_state_bytes(&self) -> u64 {
        self.convolution.n_held_bytes()
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        self.in_proj.visit(visit)?;
        self.convolution.visit(visit)?;
        self.out_proj.visit(visit)
    }
}
