//! Products of input rows with packed weights, and the operations fused with them: [`matmul`].
//!
//! The method depends on the number of rows. A few rows are limited by reading the weights, so weights are unpacked
//! in registers and used for all rows at once (`dot.rs`). Many rows are limited by arithmetic, so blocks of weights
//! are unpacked into the cache and multiplied tile by tile (`tiled.rs`). In precisions other than f32, both use
//! integers (`integer.rs`). Fused before: an RMS norm of the input. Fused after: a bias, a residual, or the gate of a
//! feed-forward layer.

mod coding;
mod dot;
mod integer;
mod product;
mod tiled;

use crate::activations::with_panels;
use crate::error::{expect_len, product};
use crate::packed::{Arrangement, SendPtr};
use crate::{Cpu, KernelError, PackedWeights, Precision};

use product::{Output, Product};

pub use product::{Epilogue, Input};

/// `out = epilogue(norm(x) * weights^T + bias)`, with `out` of `[n_rows, n_outputs]`.
pub fn matmul(
    cpu: &Cpu,
    weights: &PackedWeights,
    input: Input,
    epilogue: Epilogue,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let (n_inputs, n_outputs) = (weights.n_inputs(), weights.n_outputs());
    let n_rows = input.x.len() / n_inputs;
    expect_len("x", product("x", &[n_rows, n_inputs])?, input.x.len())?;
    expect_len("out", product("out", &[n_rows, n_outputs])?, out.len())?;
    if let Some(norm) = input.norm {
        expect_len("norm weight", n_inputs, norm.weight.len())?;
    }
    if let Some(bias) = input.bias {
        let expected = if weights.arrangement == Arrangement::Stacked { n_outputs } else { 0 };
        expect_len("bias", expected, bias.len())?;
    }
    if let Epilogue::Add(residual) = epilogue {
        expect_len("residual", out.len(), residual.len())?;
    }
    if n_rows == 0 {
        return Ok(());
    }

    let output = Output { values: SendPtr(out.as_mut_ptr()), n_outputs, bias: input.bias, epilogue };
    match weights.precision {
        Precision::F32 => multiply(cpu, weights, input, output),
        Precision::Int16 => integer::multiply::<2>(cpu, weights, input, output),
        Precision::Int8 => integer::multiply::<1>(cpu, weights, input, output),
    }
    Ok(())
}

/// A validated product in f32.
fn multiply(cpu: &Cpu, weights: &PackedWeights, input: Input, output: Output) {
    let n_inputs = weights.n_inputs();
    let n_rows = input.x.len() / n_inputs;
    let few = dot::width(n_rows, cpu.few_rows());
    let width = few.unwrap_or_else(|| tiled::width(n_rows, cpu.tile_rows()));
    with_panels(cpu, input.x, n_inputs, weights.n_padded_inputs(), input.norm, width, |panels| {
        let product = Product { weights, panels, output };
        if few.is_some() { dot::multiply(cpu, product) } else { tiled::multiply(cpu, product) }
    });
}
