//! The gated delta rule by the CPU kernels: [`PackedRecurrence`].

use std::sync::Arc;

use mlx_rs::Array;
use mlx_rs::error::Result;
use mlx_rs::ops::indexing::TryIndexOp;
use runabout_kernels::{Cpu, DeltaInputs, DeltaShape, gated_delta};

use super::kernel_op::kernel_op;
use super::packed::to_i32;

pub(crate) struct PackedRecurrence {
    cpu: Arc<Cpu>,
    shape: DeltaShape,
}

impl PackedRecurrence {
    /// `None` if the kernels do not support this shape.
    pub(super) fn new(cpu: &Arc<Cpu>, shape: DeltaShape) -> Option<Self> {
        shape.is_supported().then(|| Self { cpu: Arc::clone(cpu), shape })
    }

    /// The outputs `[n, n_value_heads, value_dim]` of queries, keys, values, decays and betas, and the memory
    /// afterwards.
    pub(crate) fn forward(&self, inputs: [&Array; 5], memory: &Array) -> Result<(Array, Array)> {
        let [queries, keys, values, decays, betas] = inputs;
        let (cpu, shape) = (Arc::clone(&self.cpu), self.shape);
        let n_outputs = values.size();
        let all = [queries, keys, values, decays, betas, memory];
        let n = to_i32(n_outputs + shape.n_state());
        let result = kernel_op(c"gated_delta", &all, &[n], move |inputs, out: &mut [f32]| {
            let (out, state) = out.split_at_mut_checked(n_outputs).ok_or("the output is too short")?;
            state.copy_from_slice(inputs.slice(5)?);
            let inputs = DeltaInputs {
                queries: inputs.slice(0)?,
                keys: inputs.slice(1)?,
                values: inputs.slice(2)?,
                decays: inputs.slice(3)?,
                betas: inputs.slice(4)?,
            };
            Ok(gated_delta(&cpu, shape, inputs, state, out)?)
        })?;
        let n_outputs = to_i32(n_outputs);
        let output = result.try_index(..n_outputs)?.reshape(values.shape())?;
        // A copy, so that the outputs of the step are freed.
        Ok((output, result.try_index(n_outputs..)?.reshape(memory.shape())?.contiguous()?))
    }
}
