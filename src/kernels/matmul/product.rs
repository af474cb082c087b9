//! The parts of a product: input, units of work, and output.

use std::ops::Range;

use crate::activations::Panels;
use crate::math::activate;
use crate::packed::{Arrangement, Layout, Segment, SendPtr};
use crate::simd::{LANES, Simd};
use crate::{Norm, PackedWeights};

/// The input of a product.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// `[n_rows, n_inputs]`.
    pub x: &'a [f32],
    /// Applied to each row first.
    pub norm: Option<Norm<'a>>,
    /// Added to each output row, before a residual. Not allowed for gated weights.
    pub bias: Option<&'a [f32]>,
}

/// What is done with the product.
#[derive(Clone, Copy, Debug)]
pub enum Epilogue<'a> {
    /// Store it as the output.
    Store,
    /// Add it to this, `[n_rows, n_outputs]`, and store the sum as the output.
    Add(&'a [f32]),
    /// Add it to the current content of the output.
    Accumulate,
}

/// A validated product with its input prepared.
#[derive(Clone, Copy)]
pub(super) struct Product<'a, P = Panels> {
    pub(super) weights: &'a PackedWeights,
    pub(super) panels: P,
    pub(super) output: Output<'a>,
}

/// Outputs are prefetched this many rows ahead.
pub(super) const PREFETCH_ROWS: usize = 8;

/// The output of a product.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    pub(super) values: SendPtr<f32>,
    pub(super) n_outputs: usize,
    pub(super) bias: Option<&'a [f32]>,
    pub(super) epilogue: Epilogue<'a>,
}

/// Blocks that are finished together: one of a stacked matrix, or one of gate and the corresponding one of up.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    /// The matrix of the first block. The second block, if any, belongs to the next matrix.
    pub(super) segment: usize,
    pub(super) block: usize,
    pub(super) first_output: usize,
    /// 16, or fewer at the end of a matrix.
    pub(super) n_outputs: usize,
}

/// A block of sixteen rows of weights.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) layout: Layout,
    pub(super) at: *const u8,
}

impl PackedWeights {
    pub(super) fn n_units(&self) -> usize {
        match self.arrangement {
            Arrangement::Stacked => self.segments.iter().map(Segment::n_blocks).sum(),
            Arrangement::Gated(_) => self.segments.first().map_or(0, Segment::n_blocks),
        }
    }

    pub(super) fn blocks_per_unit(&self) -> usize {
        match self.arrangement {
            Arrangement::Stacked => 1,
            Arrangement::Gated(_) => 2,
        }
    }

    /// The most bits of a value of any matrix.
    pub(super) fn max_bits(&self) -> usize {
        self.segments.iter().map(|it| it.layout.bits()).max().unwrap_or(0)
    }

    /// The unit with this number, which must be below `n_units`.
    pub(super) fn unit(&self, number: usize) -> Unit {
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

    /// The one or two blocks of a unit.
    pub(super) fn blocks(&self, unit: Unit) -> impl Iterator<Item = Block> {
        let segments = self.segments.iter().skip(unit.segment).take(self.blocks_per_unit());
        segments.map(move |it| Block { layout: it.layout, at: self.block(it, unit.block) })
    }

    /// The blocks of some units, at most `N`.
    pub(super) fn all_blocks<const N: usize>(&self, units: Range<usize>) -> [Option<Block>; N] {
        let mut blocks = units.flat_map(|it| self.blocks(self.unit(it)));
        std::array::from_fn(|_| blocks.next())
    }
}

impl Output<'_> {
    /// Prefetches what `finish` will access: a job goes down the rows, which are on different cache lines.
    #[inline(always)]
    pub(super) fn prefetch<S: Simd>(&self, simd: S, unit: Unit, row: usize) {
        let at = row * self.n_outputs + unit.first_output;
        simd.prefetch(self.values.get().wrapping_add(at).cast_const().cast());
        if let Epilogue::Add(residual) = self.epilogue {
            simd.prefetch(residual.as_ptr().wrapping_add(at).cast());
        }
    }

    /// Applies the epilogue to sixteen sums of one row (and to the sums of `up`, for gated weights).
    ///
    /// # Safety
    /// `row` is a row of the output, `unit` a unit of the weights, and no other thread has this pair.
    #[inline(always)]
    pub(super) unsafe fn finish<S: Simd>(
        &self,
        simd: S,
        gate: Arrangement,
        unit: Unit,
        row: usize,
        sums: [S::V; 2],
    ) {
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
