//! Integer products: quantized weights as they are, with input rows rounded to one or two bytes.
//!
//! A job handles blocks of sixteen outputs, two at a time, for a range of input rows. For each stretch of columns it
//! unpacks the blocks' values into bytes, which stay in the first-level cache, and runs the register tile over all
//! panels of input rows. The products of a chunk of 32 columns are summed exactly, in 32 bits (on AVX2, first in 16 bits,
//! if that is exact: inputs of one byte, and weights of at most six bits); then
//!
//! ```text
//! y += scale * (x_scale * sum(q * x)) + bias * (x_scale * sum(x))
//! ```
//!
//! in f32, chunk after chunk. For a centred matrix, `q - 2^(bits - 1)` is multiplied instead, by starting the sum of
//! products with the difference. Any number of rows is computed in this way and in this order, so a row's results do
//! not depend on the rows computed with it.

mod byte_sums;
mod dot;
mod unpack;

use byte_sums::{HALVES, n_quads_summed};
use unpack::{BLOCKS, Unpack, with_bits};

use super::product::{Input, Output, PREFETCH_ROWS, Product};
use super::tiled::width;
use crate::activations::integer::{IntegerPanels, with_integer_panels};
use crate::memory::with_scratch;
use crate::packed::CHUNK;
use crate::packed::quads::QUADS;
use crate::simd::{Kernel, LANES, Simd};
use crate::tile::{self, with_rows};
use crate::{Cpu, PackedWeights};

/// Chunks unpacked at a time: two blocks of them (16 KiB, and 4 KiB of scales) fit in the first-level cache with a
/// panel.
const STRETCH: usize = LANES;
/// The maximum number of rows per job: their sums (64 KiB) stay in the second-level cache.
const MAX_ROWS: usize = 512;
/// Enough jobs per thread to balance the load.
const JOBS_PER_THREAD: usize = 8;

const SUM_FLOATS: usize = BLOCKS * LANES;
const WORD_FLOATS: usize = STRETCH * QUADS * BLOCKS * LANES;
const HEADER_FLOATS: usize = STRETCH * BLOCKS * 2 * LANES;

/// `output = norm(x) * weights^T`, with inputs in `PLANES` bytes.
pub(super) fn multiply<const PLANES: usize>(
    cpu: &Cpu,
    weights: &PackedWeights,
    input: Input,
    output: Output,
) {
    let n_inputs = weights.n_inputs();
    let n_rows = input.x.len() / n_inputs;
    let few = dot::width(n_rows, cpu.few_integer_rows());
    let width = few.unwrap_or_else(|| width(n_rows, cpu.integer_rows()));
    let sums_bytes = PLANES == 1 && cpu.sums_bytes() && n_quads_summed(weights.max_bits()) > 0;
    let is_wide = cpu.is_wide() && !sums_bytes;
    with_integer_panels::<PLANES, _>(cpu, input.x, n_inputs, input.norm, (width, is_wide), |panels| {
        let product = Product { weights, panels, output };
        if few.is_some() {
            return dot::multiply::<PLANES>(cpu, product);
        }
        let units_per_step = BLOCKS / weights.blocks_per_unit();
        let n_steps = weights.n_units().div_ceil(units_per_step);
        let n_panels = panels.n_panels();
        let n_jobs_wanted = cpu.pool().n_threads() * JOBS_PER_THREAD;
        let panels_per_job =
            n_panels.div_ceil(n_jobs_wanted.div_ceil(n_steps)).clamp(1, (MAX_ROWS / width).max(1));
        let n_panel_jobs = n_panels.div_ceil(panels_per_job);
        cpu.pool().for_each(n_steps * n_panel_jobs, |job| {
            let first_panel = job / n_steps * panels_per_job;
            let panels = first_panel..(first_panel + panels_per_job).min(n_panels);
            let first_unit = job % n_steps * units_per_step;
            let units = first_unit..(first_unit + units_per_step).min(weights.n_units());
            let n_sums = panels.len() * width * SUM_FLOATS;
            with_scratch(n_sums + WORD_FLOATS + HEADER_FLOATS, |scratch| {
                let (sums, rest) = scratch.split_at_mut(n_sums);
                let (words, headers) = rest.split_at_mut(WORD_FLOATS);
                let (sums, words, headers) =
                    (sums.as_mut_ptr(), words.as_mut_ptr().cast(), headers.as_mut_ptr());
                cpu.run_integer(Job::<PLANES> { product, panels, units, sums_bytes, sums, words, headers });
            });
        });
    });
}

/// One or two blocks for a range of panels.
struct Job<'a, const PLANES: usize> {
    product: Product<'a, IntegerPanels>,
    panels: std::ops::Range<usize>,
    units: std::ops::Range<usize>,
    /// Whether products of bytes are summed in 16 bits.
    sums_bytes: bool,
    /// `[rows][BLOCKS][16]`.
    sums: *mut f32,
    /// `[STRETCH][QUADS][BLOCKS][16]`.
    words: *mut u32,
    /// `[STRETCH][BLOCKS][2][16]`.
    headers: *mut f32,
}

impl<const PLANES: usize> Kernel for Job<'_, PLANES> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Job { product, panels, units, sums_bytes, sums, words, headers } = self;
        let weights = product.weights;
        let width = product.panels.width;
        let blocks: [_; BLOCKS] = weights.all_blocks(units.clone());
        let n_blocks = blocks.iter().flatten().count();
        let is_centred = blocks.map(|it| it.is_some_and(|it| it.layout.is_centred()));
        let is_pair = n_blocks == 2 && !S::WIDE && is_centred[0] == is_centred[1];
        let n_at_once = if is_pair { 2 } else { 1 };

        for first_chunk in (0..product.panels.n_chunks).step_by(STRETCH) {
            let n_chunks = STRETCH.min(product.panels.n_chunks - first_chunk);
            for (b, block) in blocks.into_iter().flatten().enumerate() {
                let (words, headers) = (words.wrapping_add(b * LANES), headers.wrapping_add(b * 2 * LANES));
                with_bits!(block.layout.coding, |BITS, header| {
                    let is_shifted = !sums_bytes;
                    simd.run(Unpack::<BITS> {
                        block,
                        header,
                        is_shifted,
                        first_chunk,
                        n_chunks,
                        words,
                        headers,
                    });
                });
            }
            let n_panels = panels.len();
            for (i, panel) in panels.clone().enumerate() {
                for block in blocks.into_iter().flatten() {
                    // Prefetches what the next job will unpack, a little with each panel; all at once would come too
                    // late.
                    let stretch = block.layout.bytes_of_chunks(n_chunks);
                    let at =
                        units.len() * block.layout.block_bytes() + block.layout.bytes_of_chunks(first_chunk);
                    for line in (stretch * i / n_panels..stretch * (i + 1) / n_panels).step_by(64) {
                        simd.prefetch(block.at.wrapping_add(at + line));
                    }
                }
                let x = product.panels.values(panel, first_chunk).cast_const();
                let x_scales = product.panels.scales(panel, first_chunk).cast_const();
                let x_sums = product.panels.sums(panel, first_chunk).cast_const();
                let starts = product.panels.starts(panel, first_chunk).cast_const();
                let sums = sums.wrapping_add(i * width * SUM_FLOATS);
                let fresh = first_chunk == 0;
                for first in (0..n_blocks).step_by(n_at_once) {
                    let words = words.wrapping_add(first * LANES).cast_const();
                    let headers = headers.wrapping_add(first * 2 * LANES).cast_const();
                    let sums = sums.wrapping_add(first * LANES);
                    let bits = if sums_bytes { blocks[first].map_or(8, |it| it.layout.bits()) } else { 8 };
                    let operands =
                        Operands { x, x_scales, x_sums, starts, bits, words, headers, n_chunks, fresh, sums };
                    with_rows!(width, |ROWS| if ROWS <= S::INTEGER_ROWS {
                        match (n_at_once, is_centred[first], n_quads_summed(bits)) {
                            (2, true, _) => simd.run(Tile::<ROWS, 2, PLANES, true, 0>(operands)),
                            (2, false, _) => simd.run(Tile::<ROWS, 2, PLANES, false, 0>(operands)),
                            (_, true, 4) => simd.run(Tile::<ROWS, 1, PLANES, true, 4>(operands)),
                            (_, false, 4) => simd.run(Tile::<ROWS, 1, PLANES, false, 4>(operands)),
                            (_, true, 2) => simd.run(Tile::<ROWS, 1, PLANES, true, 2>(operands)),
                            (_, false, 2) => simd.run(Tile::<ROWS, 1, PLANES, false, 2>(operands)),
                            (_, true, _) => simd.run(Tile::<ROWS, 1, PLANES, true, 0>(operands)),
                            (_, false, _) => simd.run(Tile::<ROWS, 1, PLANES, false, 0>(operands)),
                        }
                    });
                }
            }
        }

        let first_row = panels.start * width;
        for row in first_row..(panels.end * width).min(product.panels.n_rows) {
            for (i, number) in units.clone().enumerate() {
                let unit = weights.unit(number);
                product.output.prefetch(simd, unit, row + PREFETCH_ROWS);
                // SAFETY: the sums of the unit's one or two blocks follow each other; this job alone has the
                // pair of unit and row.
                unsafe {
                    let at = sums.add((row - first_row) * SUM_FLOATS + i * LANES);
                    let first = simd.load(at);
                    let second =
                        if weights.blocks_per_unit() == 2 { simd.load(at.add(LANES)) } else { first };
                    product.output.finish(simd, weights.arrangement, unit, row, [first, second]);
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Operands {
    /// `[n_chunks][ROWS][PLANES][32]`, or 32 numbers of 16 bits.
    x: *const i8,
    /// `[ROWS][STRETCH]`.
    x_scales: *const f32,
    x_sums: *const f32,
    starts: *const i32,
    /// The bits of a weight; 8 if the middle of centred ones was shifted to where it is with 8.
    bits: usize,
    /// In the layout of a job.
    words: *const u32,
    headers: *const f32,
    n_chunks: usize,
    /// Whether the sums start at zero.
    fresh: bool,
    sums: *mut f32,
}

/// Adds the products of a panel with `N` blocks to their sums. If `SUMMED` is not 0, bytes are multiplied, and the
/// products of so many quads are first summed in 16 bits.
struct Tile<const ROWS: usize, const N: usize, const PLANES: usize, const CENTRED: bool, const SUMMED: usize>(
    Operands,
);

impl<const ROWS: usize, const N: usize, const PLANES: usize, const CENTRED: bool, const SUMMED: usize> Kernel
    for Tile<ROWS, N, PLANES, CENTRED, SUMMED>
{
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let sums_bytes = SUMMED > 0;
        if (S::WIDE && N > 1) || (sums_bytes && (!S::SUMS_BYTES || PLANES > 1)) {
            return; // Registers are too few, or nothing calls it.
        }
        let is_wide = S::WIDE && !sums_bytes;
        let Operands {
            x,
            mut x_scales,
            mut x_sums,
            mut starts,
            bits,
            mut words,
            mut headers,
            n_chunks,
            fresh,
            sums,
        } = self.0;
        let mut x: *const u32 = x.cast();
        // SAFETY: the panel has `n_chunks` records of `ROWS` rows, words and headers as many chunks of `BLOCKS`
        // blocks, and the sums `ROWS` rows.
        unsafe {
            let mut totals =
                if fresh { [[simd.zero(); N]; ROWS] } else { tile::load(simd, sums, SUM_FLOATS) };
            for _ in 0..n_chunks {
                let mut dots = [[simd.zero_u32(); N]; ROWS];
                if PLANES == 2 && !is_wide {
                    add_plane::<S, ROWS, N, PLANES>(simd, x, words, &mut dots);
                    for dot in dots.iter_mut().flatten() {
                        *dot = simd.shl(*dot, 8);
                    }
                }
                if CENTRED {
                    for (r, row) in dots.iter_mut().enumerate() {
                        // Exact, since it was multiplied by all of `CENTRE`.
                        let start = *starts.add(r * STRETCH) >> (8 - bits);
                        let start = simd.splat_u32(start.cast_unsigned());
                        for dot in row {
                            *dot = simd.add_u32(*dot, start);
                        }
                    }
                }
                if sums_bytes {
                    add_bytes::<S, ROWS, N, SUMMED>(simd, x, words, &mut dots);
                } else if is_wide {
                    add_pairs(simd, x, words, &mut dots);
                } else {
                    add_plane::<S, ROWS, N, PLANES>(simd, x.add((PLANES - 1) * QUADS), words, &mut dots);
                }
                for (r, (row, dots)) in totals.iter_mut().zip(dots).enumerate() {
                    let x_scale = simd.splat(*x_scales.add(r * STRETCH));
                    for (b, (total, dot)) in row.iter_mut().zip(dots).enumerate() {
                        let scale = simd.load(headers.add(b * 2 * LANES));
                        let scaled = simd.mul(simd.to_f32(dot), x_scale);
                        *total = simd.mul_add(scaled, scale, *total);
                        if !CENTRED {
                            let bias = simd.load(headers.add((b * 2 + 1) * LANES));
                            *total = simd.mul_add(bias, simd.splat(*x_sums.add(r * STRETCH)), *total);
                        }
                    }
                }
                x = x.add(ROWS * if is_wide { 2 } else { PLANES } * QUADS);
                x_scales = x_scales.add(1);
                x_sums = x_sums.add(1);
                starts = starts.add(1);
                words = words.add(QUADS * BLOCKS * LANES);
                headers = headers.add(BLOCKS * 2 * LANES);
            }
            tile::store(simd, sums, SUM_FLOATS, &totals);
        }
    }
}

/// Adds the products of one plane of a chunk to each of `dots`.
///
/// # Safety
/// As for the tile.
#[inline(always)]
unsafe fn add_plane<S: Simd, const ROWS: usize, const N: usize, const PLANES: usize>(
    simd: S,
    x: *const u32,
    words: *const u32,
    dots: &mut [[S::U; N]; ROWS],
) {
    let mut sums = *dots;
    for quad in 0..QUADS {
        let mut columns = [simd.zero_u32(); N];
        for (b, column) in columns.iter_mut().enumerate() {
            // SAFETY: guaranteed by the caller.
            *column = unsafe { simd.load_u32(words.add((quad * BLOCKS + b) * LANES)) };
        }
        for (r, row) in sums.iter_mut().enumerate() {
            // SAFETY: guaranteed by the caller.
            let value = unsafe { *x.add(r * PLANES * QUADS + quad) };
            for (sum, column) in row.iter_mut().zip(columns) {
                *sum = simd.dot(*sum, column, value);
            }
        }
    }
    *dots = sums;
}

/// Adds the products of a chunk, in 16 bits, to each of `dots`.
///
/// # Safety
/// As for the tile.
#[inline(always)]
unsafe fn add_pairs<S: Simd, const ROWS: usize, const N: usize>(
    simd: S,
    x: *const u32,
    words: *const u32,
    dots: &mut [[S::U; N]; ROWS],
) {
    let mut sums = *dots;
    for quad in 0..QUADS {
        for b in 0..N {
            // SAFETY: guaranteed by the caller.
            let columns = simd.byte_pairs(unsafe { simd.load_u32(words.add((quad * BLOCKS + b) * LANES)) });
            for (r, row) in sums.iter_mut().enumerate() {
                for (i, columns) in columns.into_iter().enumerate() {
                    // SAFETY: guaranteed by the caller.
                    let value = unsafe { *x.add((r * QUADS + quad) * 2 + i) };
                    row[b] = simd.dot_pairs(row[b], columns, value);
                }
            }
        }
    }
    *dots = sums;
}

/// Adds the products of a chunk, in bytes, to each of `dots`, after those of `SUMMED` quads were summed in 16 bits.
///
/// # Safety
/// As for the tile.
#[inline(always)]
unsafe fn add_bytes<S: Simd, const ROWS: usize, const N: usize, const SUMMED: usize>(
    simd: S,
    x: *const u32,
    words: *const u32,
    dots: &mut [[S::U; N]; ROWS],
) {
    for first in (0..QUADS).step_by(SUMMED) {
        let mut sums = [[simd.zero_u32(); N]; ROWS];
        for quad in first..first + SUMMED {
            for b in 0..N {
                // SAFETY: guaranteed by the caller.
                let columns = unsafe { simd.load_u32(words.add((quad * BLOCKS + b) * LANES)) };
                for (r, row) in sums.iter_mut().enumerate() {
                    // SAFETY: guaranteed by the caller.
                    row[b] = simd.dot_bytes(row[b], columns, unsafe { *x.add(r * QUADS + quad) });
                }
            }
        }
        for (row, sums) in dots.iter_mut().zip(sums) {
            for (dot, sum) in row.iter_mut().zip(sums) {
                *dot = simd.dot_pairs(*dot, sum, HALVES);
            }
        }
    }
}

const _: () = assert!(CHUNK == 4 * QUADS);
