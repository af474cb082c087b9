//! Products of few rows: the weights are read once, unpacked in registers, and used for every row.
//!
//! Limited by memory for one row, and by arithmetic from about four. Each group has its own sum, which is scaled
//! once, so a value costs a shift, a logical operation and one multiply-add per row.

use super::coding::{Code, for_columns, load_biases, load_scales, with_code};
use super::product::{Block, Product, Unit};
use crate::Cpu;
use crate::packed::{CHUNK, Header};
use crate::simd::{Kernel, LANES, Simd, unroll_32};

/// Rows of the widest kernel here.
const MAX_ROWS: usize = 8;
/// Weights are prefetched this far ahead: about the latency of memory times the speed of one core.
const PREFETCH_BYTES: usize = 2_560;
/// Jobs per thread: enough to balance the load, few enough that starting one costs nothing.
const JOBS_PER_THREAD: usize = 8;

/// Up to this many panels of rows, unpacking the weights again for each panel is faster than unpacking them into
/// memory.
const MAX_PANELS: usize = 2;

/// Rows per panel, if `n_rows` counts as few. 5 and 7 have no kernels of their own.
pub(super) fn width(n_rows: usize, few_rows: usize) -> Option<usize> {
    let n_panels = n_rows.div_ceil(few_rows);
    (n_panels <= MAX_PANELS).then(|| match n_rows.div_ceil(n_panels) {
        5 => 6,
        7 => 8,
        width => width,
    })
}

pub(super) fn multiply(cpu: &Cpu, product: Product) {
    let n_units = product.weights.n_units();
    let units_per_job = (n_units / (cpu.pool().n_threads() * JOBS_PER_THREAD)).max(1);
    cpu.pool().for_each(n_units.div_ceil(units_per_job), |job| {
        let first = job * units_per_job;
        cpu.run(Units { product, first, end: (first + units_per_job).min(n_units) });
    });
}

/// Units `first..end` for all rows.
struct Units<'a> {
    product: Product<'a>,
    first: usize,
    end: usize,
}

impl Kernel for Units<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Units { product, first, end } = self;
        let weights = product.weights;
        let mut sums = [[[0.0; LANES]; MAX_ROWS]; 2];
        for number in first..end {
            let unit = weights.unit(number);
            for panel in 0..product.panels.n_panels() {
                for (block, sums) in weights.blocks(unit).zip(&mut sums) {
                    let block = PanelBlock { block, product, panel };
                    match product.panels.width {
                        1 => block.dot::<S, 1>(simd, sums),
                        2 => block.dot::<S, 2>(simd, sums),
                        3 => block.dot::<S, 3>(simd, sums),
                        4 => block.dot::<S, 4>(simd, sums),
                        6 => block.dot::<S, 6>(simd, sums),
                        _ => block.dot::<S, 8>(simd, sums),
                    }
                }
                finish(simd, product, unit, panel, &sums);
            }
        }
    }
}

#[inline(always)]
fn finish<S: Simd>(
    simd: S,
    product: Product,
    unit: Unit,
    panel: usize,
    sums: &[[[f32; LANES]; MAX_ROWS]; 2],
) {
    let first_row = panel * product.panels.width;
    let rows = first_row..(first_row + product.panels.width).min(product.panels.n_rows);
    for ((row, first), second) in rows.zip(&sums[0]).zip(&sums[1]) {
        // SAFETY: the sums are whole vectors; this job alone has the unit.
        unsafe {
            let pair = [simd.load(first.as_ptr()), simd.load(second.as_ptr())];
            product.output.finish(simd, product.weights.arrangement, unit, row, pair);
        }
    }
}

/// A block of weights, and the panel to multiply it with.
#[derive(Clone, Copy)]
struct PanelBlock<'a> {
    block: Block,
    product: Product<'a>,
    panel: usize,
}

impl PanelBlock<'_> {
    /// Writes the products with the rows of the panel to the first `ROWS` of `out`.
    #[inline(always)]
    fn dot<S: Simd, const ROWS: usize>(self, simd: S, out: &mut [[f32; LANES]; MAX_ROWS]) {
        if ROWS > S::FEW_ROWS.next_multiple_of(2) {
            return;
        }
        with_code!(self.block.layout.coding, |C, header| {
            // A separate function for every code and number of rows: a single one would be too large for the
            // optimizer.
            simd.run(Dot::<C, ROWS> { block: self, header, out, code: std::marker::PhantomData });
        });
    }
}

/// Independent sums per row: about eight registers of sums hide the latency of a multiply-add.
const fn chains<S: Simd>(rows: usize) -> usize {
    match (rows, S::TILE_BLOCKS) {
        (1, _) | (2, 2) => 4,
        (2, _) | (3 | 4, 2) => 2,
        _ => 1,
    }
}

struct Dot<'a, C, const ROWS: usize> {
    block: PanelBlock<'a>,
    header: Header,
    out: &'a mut [[f32; LANES]; MAX_ROWS],
    code: std::marker::PhantomData<C>,
}

impl<C: Code, const ROWS: usize> Kernel for Dot<'_, C, ROWS> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Dot {
            block: PanelBlock { block: Block { layout, at: mut group }, product, panel },
            header,
            out,
            ..
        } = self;
        let mut x = product.panels.values(panel);
        let mut x_sums = product.panels.sums(panel);
        let header_bytes = layout.header_bytes();
        let group_bytes = layout.group_bytes();
        let mut totals = [simd.zero(); ROWS];
        for _ in 0..layout.n_groups {
            let mut sums = [[simd.zero(); 4]; ROWS];
            let mut group_sums = [0.0; ROWS];
            let mut chunk = group.wrapping_add(header_bytes);
            for line in (0..group_bytes).step_by(64) {
                simd.prefetch(group.wrapping_add(PREFETCH_BYTES + line));
            }
            for _ in 0..layout.chunks_per_group {
                // SAFETY: the chunk is within the block, its columns within the panel.
                unsafe {
                    for_columns!(C, |i| {
                        let column = C::column(simd, chunk, i);
                        for (r, sums) in sums.iter_mut().enumerate() {
                            let sum = &mut sums[i % chains::<S>(ROWS)];
                            *sum = simd.mul_add(column, simd.splat(*x.add(i * ROWS + r)), *sum);
                        }
                    });
                    if C::AFFINE {
                        for (r, sum) in group_sums.iter_mut().enumerate() {
                            *sum += *x_sums.add(r);
                        }
                    }
                }
                chunk = chunk.wrapping_add(C::CHUNK_BYTES);
                x = x.wrapping_add(CHUNK * ROWS);
                x_sums = x_sums.wrapping_add(ROWS);
            }
            // SAFETY: the header is within the block.
            let header = C::AFFINE.then(|| unsafe {
                let scale = load_scales(simd, group, header.scales);
                let bias = load_biases(simd, group, header, scale, C::RANGE / 2.0);
                (simd.mul(scale, simd.splat(C::RANGE)), bias)
            });
            for ((total, sums), group_sum) in totals.iter_mut().zip(sums).zip(group_sums) {
                let sum = match chains::<S>(ROWS) {
                    1 => sums[0],
                    2 => simd.add(sums[0], sums[1]),
                    _ => simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])),
                };
                match header {
                    Some((scale, bias)) => {
                        // Every value was too large by one.
                        let group_sum = simd.splat(group_sum);
                        *total = simd.mul_add(simd.sub(sum, group_sum), scale, *total);
                        *total = simd.mul_add(bias, group_sum, *total);
                    }
                    None => *total = simd.add(*total, sum),
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
