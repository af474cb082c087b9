//! Integer products of few rows: the weights are read once, unpacked in registers, and used for every row of a panel.
//!
//! Limited by memory up to about six rows, so a panel is padded to the next width that has a kernel.

use super::byte_sums::{HALVES, n_quads_summed};
use super::unpack::{PREFETCH_BYTES, load_quad, with_bits};
use crate::Cpu;
use crate::activations::integer::{CENTRE, IntegerPanels};
use crate::matmul::coding::{load_biases, load_scales};
use crate::matmul::product::{Block, Product};
use crate::packed::Header;
use crate::packed::quads::QUADS;
use crate::simd::{Kernel, LANES, Simd};

/// Rows of the widest kernel here.
const MAX_ROWS: usize = 8;
/// Up to this many panels of rows, unpacking the weights again for each panel is faster than unpacking them into
/// memory.
const MAX_PANELS: usize = 2;
/// Jobs per thread: enough to balance the load, few enough that starting one costs nothing.
const JOBS_PER_THREAD: usize = 8;

/// Rows per panel, if `n_rows` counts as few.
pub(super) fn width(n_rows: usize, few_rows: usize) -> Option<usize> {
    let n_panels = n_rows.div_ceil(few_rows);
    (n_panels <= MAX_PANELS).then(|| match n_rows.div_ceil(n_panels) {
        3 => 4,
        5 => 6,
        7.. => 8,
        width => width,
    })
}

pub(super) fn multiply<const PLANES: usize>(cpu: &Cpu, product: Product<IntegerPanels>) {
    let n_units = product.weights.n_units();
    let units_per_job = (n_units / (cpu.pool().n_threads() * JOBS_PER_THREAD)).max(1);
    cpu.pool().for_each(n_units.div_ceil(units_per_job), |job| {
        let first = job * units_per_job;
        let end = (first + units_per_job).min(n_units);
        cpu.run_integer(Units::<PLANES> { product, first, end });
    });
}

/// Units `first..end` for all rows.
struct Units<'a, const PLANES: usize> {
    product: Product<'a, IntegerPanels>,
    first: usize,
    end: usize,
}

impl<const PLANES: usize> Kernel for Units<'_, PLANES> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Units { product, first, end } = self;
        let Product { weights, panels, output } = product;
        let mut sums = [[[0.0; LANES]; MAX_ROWS]; 2];
        for number in first..end {
            let unit = weights.unit(number);
            for panel in 0..panels.n_panels() {
                for (block, out) in weights.blocks(unit).zip(&mut sums) {
                    match panels.width {
                        1 => block.dot::<S, 1, PLANES>(simd, panels, panel, out),
                        2 => block.dot::<S, 2, PLANES>(simd, panels, panel, out),
                        4 => block.dot::<S, 4, PLANES>(simd, panels, panel, out),
                        6 => block.dot::<S, 6, PLANES>(simd, panels, panel, out),
                        _ => block.dot::<S, 8, PLANES>(simd, panels, panel, out),
                    }
                }
                let first_row = panel * panels.width;
                let rows = first_row..(first_row + panels.width).min(panels.n_rows);
                for ((row, first), second) in rows.zip(&sums[0]).zip(&sums[1]) {
                    // SAFETY: the sums are whole vectors; this job alone has the unit.
                    unsafe {
                        let pair = [simd.load(first.as_ptr()), simd.load(second.as_ptr())];
                        output.finish(simd, weights.arrangement, unit, row, pair);
                    }
                }
            }
        }
    }
}

impl Block {
    /// Writes the products with the rows of a panel to the first `ROWS` of `out`.
    #[inline(always)]
    fn dot<S: Simd, const ROWS: usize, const PLANES: usize>(
        self,
        simd: S,
        panels: IntegerPanels,
        panel: usize,
        out: &mut [[f32; LANES]; MAX_ROWS],
    ) {
        if ROWS > S::FEW_INTEGER_ROWS {
            return;
        }
        with_bits!(self.layout.coding, |BITS, header| {
            if S::WIDE && !panels.is_wide {
                simd.run(Dot::<BITS, ROWS, PLANES, true> { block: self, header, panels, panel, out });
            } else {
                simd.run(Dot::<BITS, ROWS, PLANES, false> { block: self, header, panels, panel, out });
            }
        });
    }
}

/// Writes the products of a block with the rows of a panel to the first `ROWS` of `out`. If `SUMS_BYTES`, products of
/// bytes are first summed in 16 bits.
struct Dot<'a, const BITS: usize, const ROWS: usize, const PLANES: usize, const SUMS_BYTES: bool> {
    block: Block,
    header: Header,
    panels: IntegerPanels,
    panel: usize,
    out: &'a mut [[f32; LANES]; MAX_ROWS],
}

impl<const BITS: usize, const ROWS: usize, const PLANES: usize, const SUMS_BYTES: bool> Kernel
    for Dot<'_, BITS, ROWS, PLANES, SUMS_BYTES>
{
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let n_summed = n_quads_summed(BITS);
        if SUMS_BYTES && (!S::SUMS_BYTES || PLANES > 1 || n_summed == 0) {
            return; // Nothing calls it.
        }
        let is_wide = S::WIDE && !SUMS_BYTES;
        let Dot { block: Block { layout, at: mut group }, header, panels, panel, out } = self;
        let mut x: *const u32 = panels.values(panel, 0).cast_const().cast();
        let mut x_scales = panels.scales(panel, 0).cast_const();
        let mut x_sums = panels.sums(panel, 0).cast_const();
        let mut starts = panels.starts(panel, 0).cast_const();
        let middle = 1 << (BITS - 1);
        let header_bytes = layout.header_bytes();
        let group_bytes = layout.group_bytes();
        let mut totals = [simd.zero(); ROWS];
        let mut n_chunks = 0;
        for _ in 0..layout.n_groups {
            for line in (0..group_bytes).step_by(64) {
                simd.prefetch(group.wrapping_add(PREFETCH_BYTES + line));
            }
            // SAFETY: the group and its chunks are within the block, their columns within the panel.
            unsafe {
                let scale = load_scales(simd, group, header.scales);
                let bias = load_biases(simd, group, header, scale, middle as f32);
                let mut chunk: *const u32 = group.add(header_bytes).cast();
                for _ in 0..layout.chunks_per_group {
                    let mut dots = [[simd.zero_u32(); PLANES]; ROWS];
                    let mut sums = [simd.zero_u32(); ROWS];
                    for quad in 0..QUADS {
                        let columns = load_quad::<S, BITS>(simd, chunk, quad);
                        if SUMS_BYTES {
                            for (r, sum) in sums.iter_mut().enumerate() {
                                *sum = simd.dot_bytes(*sum, columns, *x.add(r * QUADS + quad));
                            }
                            if (quad + 1) % n_summed == 0 {
                                for (dots, sum) in dots.iter_mut().zip(&mut sums) {
                                    dots[0] = simd.dot_pairs(dots[0], *sum, HALVES);
                                    *sum = simd.zero_u32();
                                }
                            }
                            continue;
                        }
                        if is_wide {
                            let pairs = simd.byte_pairs(columns);
                            for (r, dots) in dots.iter_mut().enumerate() {
                                for (i, columns) in pairs.into_iter().enumerate() {
                                    let value = *x.add((r * QUADS + quad) * 2 + i);
                                    dots[0] = simd.dot_pairs(dots[0], columns, value);
                                }
                            }
                            continue;
                        }
                        for (r, dots) in dots.iter_mut().enumerate() {
                            for (plane, dot) in dots.iter_mut().enumerate() {
                                let value = *x.add((r * PLANES + plane) * QUADS + quad);
                                *dot = simd.dot(*dot, columns, value);
                            }
                        }
                    }
                    for (r, (total, dots)) in totals.iter_mut().zip(dots).enumerate() {
                        let mut dot = if PLANES == 2 && !is_wide {
                            simd.add_u32(simd.shl(dots[0], 8), dots[PLANES - 1])
                        } else {
                            dots[0]
                        };
                        if header.is_centred {
                            // Exact, since it was multiplied by all of it.
                            let start = *starts.add(r * LANES) / (CENTRE / middle) as i32;
                            dot = simd.add_u32(dot, simd.splat_u32(start.cast_unsigned()));
                        }
                        // In the same order as the tile: a row's results must not depend on the rows computed with
                        // it.
                        let scaled = simd.mul(simd.to_f32(dot), simd.splat(*x_scales.add(r * LANES)));
                        *total = simd.mul_add(scaled, scale, *total);
                        if !header.is_centred {
                            *total = simd.mul_add(bias, simd.splat(*x_sums.add(r * LANES)), *total);
                        }
                    }
                    chunk = chunk.wrapping_add(BITS * LANES);
                    x = x.wrapping_add(ROWS * if is_wide { 2 } else { PLANES } * QUADS);
                    n_chunks += 1;
                    // The next sixteen chunks follow those of all rows.
                    let n = if n_chunks % LANES == 0 { 1 + (ROWS - 1) * LANES } else { 1 };
                    x_scales = x_scales.wrapping_add(n);
                    x_sums = x_sums.wrapping_add(n);
                    starts = starts.wrapping_add(n);
                }
            }
            group = group.wrapping_add(group_bytes);
        }
        for (total, out) in totals.into_iter().zip(out) {
            // SAFETY: sixteen values each.
            unsafe { simd.store(out.as_mut_ptr(), total) };
        }
    }
}
