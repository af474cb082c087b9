//! Products of input rows with packed weights, and what is fused with them.
//!
//! One entry, [`matmul`]; the number of rows decides how. A few rows are bound by reading the weights, so
//! those are unpacked in registers and used for all rows at once (`dot.rs`). Many rows are bound by
//! arithmetic, so blocks of weights are unpacked into the cache and multiplied tile by tile (`tiled.rs`).
//! In the precisions other than f32, both go through whole numbers (`whole.rs`).
//! Before: an RMS norm of the input. After: a bias, a residual, or the gate of a feed-forward layer.

mod coding;
mod dot;
#[cfg(test)]
mod tests;
mod tiled;
mod whole;

use std::ops::Range;

use crate::activations::{Panels, with_panels};
use crate::error::{expect_len, product};
use crate::math::activate;
use crate::packed::{Arrangement, Layout, Segment, SendPtr};
use crate::simd::{LANES, Simd};
use crate::{Cpu, KernelError, Norm, PackedWeights, Precision};

/// What is multiplied.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// `[n_rows, n_inputs]`.
    pub x: &'a [f32],
    /// Applied to each row first.
    pub norm: Option<Norm<'a>>,
    /// Added to each output row, before a residual. Not for gated weights.
    pub bias: Option<&'a [f32]>,
}

/// What becomes of the product.
#[derive(Clone, Copy, Debug)]
pub enum Epilogue<'a> {
    /// It is the output.
    Store,
    /// The output is this, `[n_rows, n_outputs]`, plus the product.
    Add(&'a [f32]),
    /// It is added to what the output holds.
    Accumulate,
}

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
        Precision::Int16 => whole::multiply::<2>(cpu, weights, input, output),
        Precision::Int8 => whole::multiply::<1>(cpu, weights, input, output),
    }
    Ok(())
}

/// A checked product in f32.
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

/// A product that has been checked and whose input is ready.
#[derive(Clone, Copy)]
struct Product<'a, P = Panels> {
    weights: &'a PackedWeights,
    panels: P,
    output: Output<'a>,
}

/// Outputs are asked for this many rows ahead.
const PREFETCH_ROWS: usize = 8;

/// Where finished sums go.
#[derive(Clone, Copy)]
struct Output<'a> {
    values: SendPtr<f32>,
    n_outputs: usize,
    bias: Option<&'a [f32]>,
    epilogue: Epilogue<'a>,
}

/// Blocks that are finished together: one of a stacked matrix, or one of gate and the same of up.
#[derive(Clone, Copy)]
struct Unit {
    /// The matrix of the first block; the second, if any, is of the next.
    segment: usize,
    block: usize,
    first_output: usize,
    /// 16, or fewer at the end of a matrix.
    n_outputs: usize,
}

/// A block of sixteen rows of weights.
#[derive(Clone, Copy)]
struct Block {
    layout: Layout,
    at: *const u8,
}

impl PackedWeights {
    fn n_units(&self) -> usize {
        match self.arrangement {
            Arrangement::Stacked => self.segments.iter().map(Segment::n_blocks).sum(),
            Arrangement::Gated(_) => self.segments.first().map_or(0, Segment::n_blocks),
        }
    }

    fn blocks_per_unit(&self) -> usize {
        match self.arrangement {
            Arrangement::Stacked => 1,
            Arrangement::Gated(_) => 2,
        }
    }

    /// The unit with the given number, which is below `n_units`.
    fn unit(&self, number: usize) -> Unit {
        let (mut block, mut first_row) = (number, 0);
        for (i, segment) in self.segments.iter().enumerate() {
            if block < segment.n_blocks() {
                let n_outputs = LANES.min(segment.n_rows - block * LANES);
                return Unit { segment: i, block, first_output: first_row + block * LANES, n_outputs };
            }
            block -= segment.n_blocks();
            first_row += segment.n_rows;
        }
        unreachable!("unit {number} of {}", self.n_units())
    }

    /// The block of a unit, or its two.
    fn blocks(&self, unit: Unit) -> impl Iterator<Item = Block> {
        let segments = self.segments.iter().skip(unit.segment).take(self.blocks_per_unit());
        segments.map(move |it| Block { layout: it.layout, at: self.block(it, unit.block) })
    }

    /// The blocks of some units, of which there are at most `N`.
    fn all_blocks<const N: usize>(&self, units: Range<usize>) -> [Option<Block>; N] {
        let mut blocks = units.flat_map(|it| self.blocks(self.unit(it)));
        std::array::from_fn(|_| blocks.next())
    }
}

impl Output<'_> {
    /// Asks for what `finish` will touch: a job goes down the rows, each on lines of its own.
    #[inline(always)]
    fn prefetch<S: Simd>(&self, simd: S, unit: Unit, row: usize) {
        let at = row * self.n_outputs + unit.first_output;
        simd.prefetch(self.values.get().wrapping_add(at).cast_const().cast());
        if let Epilogue::Add(residual) = self.epilogue {
            simd.prefetch(residual.as_ptr().wrapping_add(at).cast());
        }
    }

    /// Finishes sixteen sums (and the sums of `up`, for gated weights) of one row.
    ///
    /// # Safety
    /// `row` is a row of the output, `unit` a unit of the weights, and no other thread has this pair.
    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, simd: S, gate: Arrangement, unit: Unit, row: usize, sums: [S::V; 2]) {
        let at = row * self.n_outputs + unit.first_output;
        let n = unit.n_outputs;
        // SAFETY: `n` outputs from `at` lie within the output row, the residual and the bias, whose lengths
        // `matmul` checked.
        unsafe {
            let mut value = sums[0];
            if let Arrangement::Gated(activation) = gate {
                value = simd.mul(activate(simd, activation, value), sums[1]);
            }
            if let Some(bias) = self.bias {
                value = simd.add(value, simd.load_first(bias.as_ptr().add(unit.first_output), n));
            }
            let to = self.values.get().add(at);
            match self.epilogue {
                Epilogue::Store => {}
                Epilogue::Add(residual) => {
                    value = simd.add(value, simd.load_first(residual.as_ptr().add(at), n));
                }
                Epilogue::Accumulate => value = simd.add(value, simd.load_first(to, n)),
            }
            simd.store_first(to, value, n);
        }
    }
}
