//! Products of many rows: blocks of weights are unpacked into the cache and multiplied tile by tile.
//!
//! A job handles two blocks of sixteen outputs for a range of input rows. For each stretch of columns it unpacks the
//! blocks to f32 and runs the register tile over all panels of input rows, adding to sums in scratch memory. At the
//! end the sums go through the epilogue. Unpacking costs a few operations per weight, shared by all rows.

use super::coding::{Code, for_columns, load_biases, load_scales, with_code};
use super::product::{Block, PREFETCH_ROWS, Product, Unit};
use crate::Cpu;
use crate::memory::with_scratch;
use crate::packed::{CHUNK, Header};
use crate::simd::{Kernel, LANES, Simd, unroll_32};
use crate::tile::{self, Operands, with_rows};

/// Columns unpacked at a time: two blocks of them (64 KiB) fit in the second-level cache with the panels.
const STRETCH: usize = 512;
/// Blocks of sixteen outputs per job.
const BLOCKS: usize = 2;
/// Unpacked weights come from the second-level cache, prefetched this many columns ahead.
const PREFETCH_STEPS: usize = 8;
/// The maximum number of rows per job: their sums (64 KiB) stay in the second-level cache.
const MAX_ROWS: usize = 512;
/// Enough jobs per thread to balance the load.
const JOBS_PER_THREAD: usize = 6;

/// Rows per panel: as even as the largest tile allows, so that the last panel has little padding.
pub(super) fn width(n_rows: usize, tile_rows: usize) -> usize {
    n_rows.div_ceil(n_rows.div_ceil(tile_rows))
}

pub(super) fn multiply(cpu: &Cpu, product: Product) {
    let weights = product.weights;
    let units_per_job = BLOCKS / weights.blocks_per_unit();
    let n_unit_jobs = weights.n_units().div_ceil(units_per_job);
    let n_panels = product.panels.n_panels();
    let wanted = (cpu.pool().n_threads() * JOBS_PER_THREAD).div_ceil(n_unit_jobs);
    let panels_per_job = n_panels.div_ceil(wanted).clamp(1, (MAX_ROWS / product.panels.width).max(1));
    let n_panel_jobs = n_panels.div_ceil(panels_per_job);
    cpu.pool().for_each(n_unit_jobs * n_panel_jobs, |job| {
        let first_panel = job / n_unit_jobs * panels_per_job;
        let first_unit = job % n_unit_jobs * units_per_job;
        let panels = first_panel..(first_panel + panels_per_job).min(n_panels);
        let units = first_unit..(first_unit + units_per_job).min(weights.n_units());
        let n_rows = panels.len() * product.panels.width;
        with_scratch(BLOCKS * LANES * (n_rows + STRETCH), |scratch| {
            let (sums, unpacked) = scratch.split_at_mut(BLOCKS * LANES * n_rows);
            cpu.run(Job { product, panels, units, sums, unpacked });
        });
    });
}

struct Job<'a> {
    product: Product<'a>,
    panels: std::ops::Range<usize>,
    units: std::ops::Range<usize>,
    /// `[rows][BLOCKS * 16]`.
    sums: &'a mut [f32],
    /// `[BLOCKS][STRETCH][16]`.
    unpacked: &'a mut [f32],
}

impl Kernel for Job<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Job { product, panels, units, sums, unpacked } = self;
        let weights = product.weights;
        let width = product.panels.width;
        let blocks: [_; BLOCKS] = weights.all_blocks(units.clone());
        let n_blocks = blocks.iter().flatten().count();

        let n_cols = product.panels.n_cols;
        for first_col in (0..n_cols).step_by(STRETCH) {
            let n_steps = STRETCH.min(n_cols - first_col);
            for (block, to) in blocks.iter().flatten().zip(unpacked.chunks_exact_mut(STRETCH * LANES)) {
                with_code!(block.layout.coding, |C, header| {
                    let code = std::marker::PhantomData::<C>;
                    simd.run(Unpack { block: *block, header, first_col, n_cols: n_steps, to, code });
                });
            }
            for (panel, sums) in panels.clone().zip(sums.chunks_exact_mut(width * BLOCKS * LANES)) {
                let x = product.panels.values(panel).wrapping_add(first_col * width);
                let (w, n_steps) = (unpacked.as_ptr(), n_steps);
                let fresh = first_col == 0;
                with_rows!(width, |ROWS| if ROWS <= S::TILE_ROWS {
                    if S::TILE_BLOCKS == 2 && n_blocks == 2 {
                        simd.run(Tile::<ROWS, 2> { x, w, n_steps, fresh, sums: sums.as_mut_ptr() });
                    } else {
                        for b in 0..n_blocks {
                            let w = w.wrapping_add(b * STRETCH * LANES);
                            let sums = sums.as_mut_ptr().wrapping_add(b * LANES);
                            simd.run(Tile::<ROWS, 1> { x, w, n_steps, fresh, sums });
                        }
                    }
                });
            }
        }

        let first_row = panels.start * width;
        for row in first_row..(panels.end * width).min(product.panels.n_rows) {
            for (i, number) in units.clone().enumerate() {
                let unit = weights.unit(number);
                product.output.prefetch(simd, unit, row + PREFETCH_ROWS);
                finish(simd, product, unit, row, &sums[((row - first_row) * BLOCKS + i) * LANES..]);
            }
        }
    }
}

#[inline(always)]
fn finish<S: Simd>(simd: S, product: Product, unit: Unit, row: usize, sums: &[f32]) {
    let gated = product.weights.blocks_per_unit() == 2;
    debug_assert!(sums.len() >= if gated { 2 * LANES } else { LANES });
    // SAFETY: the sums of the unit's one or two blocks follow each other; this job alone has the pair of
    // unit and row.
    unsafe {
        let first = simd.load(sums.as_ptr());
        let second = if gated { simd.load(sums.as_ptr().add(LANES)) } else { first };
        product.output.finish(simd, product.weights.arrangement, unit, row, [first, second]);
    }
}

/// Adds the products of a panel with the unpacked blocks to their sums.
struct Tile<const ROWS: usize, const N: usize> {
    x: *const f32,
    w: *const f32,
    n_steps: usize,
    /// Whether the sums start at zero.
    fresh: bool,
    sums: *mut f32,
}

impl<const ROWS: usize, const N: usize> Kernel for Tile<ROWS, N> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let operands = Operands {
            n_steps: self.n_steps,
            w: self.w,
            w_step: LANES,
            w_block: STRETCH * LANES,
            w_ahead: PREFETCH_STEPS * LANES,
            x: self.x,
        };
        let row = BLOCKS * LANES;
        // SAFETY: the panel has `n_steps` columns of `ROWS` values from `x`, each block `n_steps` columns
        // of sixteen, and the sums `ROWS` rows.
        unsafe {
            let mut sums =
                if self.fresh { [[simd.zero(); N]; ROWS] } else { tile::load(simd, self.sums, row) };
            tile::multiply_add::<S, f32, ROWS, N, ROWS, 1>(simd, operands, &mut sums);
            tile::store(simd, self.sums, row, &sums);
        }
    }
}

/// Unpacks columns of a block to numbers `[n_cols][16]`.
struct Unpack<'a, C> {
    block: Block,
    header: Header,
    /// A multiple of every group size, as is `STRETCH`.
    first_col: usize,
    n_cols: usize,
    to: &'a mut [f32],
    code: std::marker::PhantomData<C>,
}

impl<C: Code> Kernel for Unpack<'_, C> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Unpack { block: Block { layout, at }, header, first_col, n_cols, to, .. } = self;
        let group_cols = layout.chunks_per_group * CHUNK;
        let group_bytes = layout.group_bytes();
        let header_bytes = layout.header_bytes();
        debug_assert!(to.len() >= n_cols * LANES && first_col.is_multiple_of(group_cols));
        let mut group = at.wrapping_add(first_col / group_cols * group_bytes);
        let mut to = to.as_mut_ptr();
        for _ in 0..n_cols / group_cols {
            // SAFETY: the group is within the block, and `to` has room for its columns.
            unsafe {
                let header = C::AFFINE.then(|| {
                    let scale = load_scales(simd, group, header.scales);
                    let bias = load_biases(simd, group, header, scale, C::RANGE / 2.0);
                    let scale = simd.mul(scale, simd.splat(C::RANGE));
                    (scale, simd.sub(bias, scale))
                });
                let mut chunk = group.add(header_bytes);
                for _ in 0..layout.chunks_per_group {
                    for_columns!(C, |i| {
                        let column = C::column(simd, chunk, i);
                        let value = match header {
                            Some((scale, bias)) => simd.mul_add(column, scale, bias),
                            None => column,
                        };
                        simd.store(to.add(i * LANES), value);
                    });
                    chunk = chunk.wrapping_add(C::CHUNK_BYTES);
                    to = to.wrapping_add(CHUNK * LANES);
                }
            }
            group = group.wrapping_add(group_bytes);
        }
    }
}
