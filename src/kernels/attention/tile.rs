//! The second stage of attention: tiles of query rows over their keys, from queries to outputs.
//!
//! A job has a few consecutive tiles of one key-value head. They pass over the keys together, part by part
//! (`part.rs`), so keys and values in f16 are converted once for all of them, into the second-level cache. A single
//! tile, as in decode, converts in registers.

use std::ops::Range;

use super::layout::Layout;
use super::part::{Part, Pass, QUERY_PART, QUERY_ROW, SCORE_ROW};
use super::softmax::Softmax;
use super::step::{MAX_TILES, PART, Plan, Step};
use crate::Cpu;
use crate::memory::with_scratch;
use crate::simd::{Kernel, LANES, Simd};
use crate::tile::with_rows;

/// Rows of the largest tile on any path.
const MAX_ROWS: usize = 12;

/// Computes one unit of the plan and writes its outputs.
pub(super) fn attend<L: Layout>(cpu: &Cpu, step: Step, plan: Plan, unit: usize) {
    let (_, tiles) = step.place(plan, unit);
    let parts = 0..step.parts(plan, &tiles).n;
    with_scratch(tiles.len() * plan.rows_per_tile * step.shape.padded_dim(), |sums| {
        run::<L>(cpu, step, plan, unit, parts, sums, None);
    });
}

/// Computes some parts of a unit that has one tile, as far as the tile sees them. Leaves the sums and the softmax of
/// each part.
pub(super) fn attend_parts<L: Layout>(
    cpu: &Cpu,
    step: Step,
    plan: Plan,
    unit: usize,
    parts: Range<usize>,
    sums: &mut [f32],
    states: &mut [Softmax],
) {
    let (_, tiles) = step.place(plan, unit);
    let parts = parts.start..parts.end.min(step.parts(plan, &tiles).n);
    run::<L>(cpu, step, plan, unit, parts, sums, Some(states));
}

fn run<L: Layout>(
    cpu: &Cpu,
    step: Step,
    plan: Plan,
    unit: usize,
    parts: Range<usize>,
    sums: &mut [f32],
    states: Option<&mut [Softmax]>,
) {
    let (_, tiles) = step.place(plan, unit);
    let shape = step.shape;
    let n_queries = plan.rows_per_tile * QUERY_ROW * shape.head_dim.div_ceil(QUERY_PART);
    let n_scores = plan.rows_per_tile * SCORE_ROW;
    let n_copied = if is_copied::<L>(tiles.len()) {
        PART * (shape.keys_per_block() + shape.values_per_block())
    } else {
        0
    };
    with_scratch(tiles.len() * n_queries + n_scores + n_copied, |scratch| {
        let (queries, scratch) = scratch.split_at_mut(tiles.len() * n_queries);
        let (scores, copied) = scratch.split_at_mut(n_scores);
        let layout = std::marker::PhantomData;
        cpu.run(Job::<L> { step, plan, unit, parts, queries, scores, copied, sums, states, layout });
    });
}

/// Whether `n_tiles` tiles read a copy of their keys and values in f32.
fn is_copied<L: Layout>(n_tiles: usize) -> bool {
    !L::IN_PLACE || n_tiles > 1 && size_of::<L::Element>() < size_of::<f32>()
}

struct Job<'a, L> {
    step: Step<'a>,
    plan: Plan,
    unit: usize,
    parts: Range<usize>,
    /// For each tile and each `QUERY_PART` of a head's dimensions, `[rows][QUERY_ROW]`.
    queries: &'a mut [f32],
    /// `[rows][SCORE_ROW]`.
    scores: &'a mut [f32],
    /// The keys, then the values, of a part in f32; empty if they are read in place.
    copied: &'a mut [f32],
    /// For each tile `[rows][padded_dim]`; for each part, if there are `states`.
    sums: &'a mut [f32],
    /// The softmax of each part, if the parts are joined later.
    states: Option<&'a mut [Softmax]>,
    layout: std::marker::PhantomData<L>,
}

/// A tile of query rows, and its softmax so far.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    first_row: usize,
    pub(super) positions: [usize; LANES],
    pub(super) softmax: Softmax,
}

impl Tile {
    const EMPTY: Tile = Tile { first_row: 0, positions: [0; LANES], softmax: Softmax::EMPTY };

    /// Starts tile `tile` of a key-value head. Rows beyond the last one repeat it and are not written.
    #[inline(always)]
    pub(super) fn begin(step: Step, plan: Plan, tile: usize) -> Tile {
        let mut tile = Tile { first_row: tile * plan.rows_per_tile, ..Tile::EMPTY };
        for (r, position) in tile.positions.iter_mut().enumerate().take(plan.rows_per_tile) {
            *position = step.position(plan, tile.first_row + r);
        }
        tile
    }

    /// Copies the tile's queries to `queries`, in the layout of a job.
    #[inline(always)]
    fn copy_queries(&self, step: Step, plan: Plan, kv_head: usize, queries: *mut f32) {
        let (rows, dim) = (plan.rows_per_tile, step.shape.head_dim);
        for r in 0..rows {
            let (token, head) = step.token_and_head(kv_head, (self.first_row + r).min(plan.n_rows - 1));
            for d in (0..dim).step_by(QUERY_PART) {
                // SAFETY: `queries` of the step holds `[n_tokens, n_heads, head_dim]`, written by the first stage;
                // those of the tile are as a job says.
                unsafe {
                    let from = step.queries.get().add((token * step.attention.n_heads + head) * dim + d);
                    let to = queries.add((d / QUERY_PART * rows + r) * QUERY_ROW);
                    from.copy_to_nonoverlapping(to, QUERY_PART.min(dim - d));
                }
            }
        }
    }

    fn last_position(&self, plan: Plan) -> usize {
        self.positions[plan.rows_per_tile.clamp(1, MAX_ROWS) - 1]
    }

    /// Writes the outputs.
    #[inline(always)]
    pub(super) fn finish<S: Simd>(&self, simd: S, step: Step, plan: Plan, kv_head: usize, sums: *const f32) {
        let dim = step.shape.padded_dim();
        for r in 0..plan.rows_per_tile.min(plan.n_rows - self.first_row).min(MAX_ROWS) {
            let (token, head) = step.token_and_head(kv_head, self.first_row + r);
            let mut total = self.softmax.totals[r];
            let mut weight = 1.0;
            if let Some(sink) = step.attention.sinks.and_then(|it| it.get(head)) {
                let maximum = self.softmax.maxima[r];
                let greatest = sink.max(maximum);
                weight = (maximum - greatest).exp();
                total = total * weight + (sink - greatest).exp();
            }
            let factor = simd.splat(weight / total);
            for d in (0..step.shape.head_dim).step_by(LANES) {
                // SAFETY: the sums of row `r` are `dim` long; the head's output is this job's alone.
                unsafe {
                    let value = simd.mul(simd.load(sums.add(r * dim + d)), factor);
                    let at = (token * step.attention.n_heads + head) * step.shape.head_dim + d;
                    simd.store_first(step.out.get().add(at), value, LANES.min(step.shape.head_dim - d));
                }
            }
        }
    }
}

impl<L: Layout> Kernel for Job<'_, L> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Job { step, plan, unit, parts, queries, scores, copied, sums, mut states, .. } = self;
        let (kv_head, tiles) = step.place(plan, unit);
        let seen = step.parts(plan, &tiles);
        let rows = plan.rows_per_tile;
        let (n_queries, n_sums) = (queries.len() / tiles.len().max(1), rows * step.shape.padded_dim());
        let mut of_job = [Tile::EMPTY; MAX_TILES];
        let n_tiles = tiles.len().min(MAX_TILES);
        let of_job = &mut of_job[..n_tiles];
        for ((tile, number), queries) in of_job.iter_mut().zip(tiles).zip(queries.chunks_exact_mut(n_queries))
        {
            *tile = Tile::begin(step, plan, number);
            tile.copy_queries(step, plan, kv_head, queries.as_mut_ptr());
        }
        let Some(last_position) = of_job.last().map(|it| it.last_position(plan)) else { return };
        for (i, number) in parts.clone().enumerate() {
            let block = seen.at(number) * PART;
            let n_blocks = |last_position: usize| (last_position / LANES + 1).saturating_sub(block).min(PART);
            let n = n_blocks(last_position);
            let copy = is_copied::<L>(n_tiles).then(|| {
                // SAFETY: the cache holds the blocks, and there is room for a part.
                unsafe { Part::copied::<S, L>(simd, step, kv_head, block, n, copied.as_mut_ptr()) }
            });
            let in_place = Part::<L::Element>::in_place(step, kv_head, block, n);
            for (t, tile) in of_job.iter_mut().enumerate() {
                // Keys after a tile's last token are for later tiles.
                let n = n_blocks(tile.last_position(plan));
                if n == 0 {
                    continue;
                }
                let positions = &tile.positions;
                let (softmax, sums, is_first) = match states.as_mut().and_then(|it| it.get_mut(i)) {
                    Some(own) => (own, sums.as_mut_ptr().wrapping_add(i * n_sums), true),
                    None => (&mut tile.softmax, sums.as_mut_ptr().wrapping_add(t * n_sums), number == 0),
                };
                let queries = queries.as_ptr().wrapping_add(t * n_queries);
                let scores = scores.as_mut_ptr();
                with_rows!(rows, |ROWS| if ROWS <= S::TILE_ROWS {
                    if let Some(part) = copy {
                        let part = Part { n, ..part };
                        simd.run(Pass::<f32, ROWS> {
                            part,
                            positions,
                            queries,
                            scores,
                            sums,
                            softmax,
                            is_first,
                        });
                    } else {
                        let part = Part { n, ..in_place };
                        simd.run(Pass::<L::Element, ROWS> {
                            part,
                            positions,
                            queries,
                            scores,
                            sums,
                            softmax,
                            is_first,
                        });
                    }
                });
            }
        }
        if states.is_none() {
            for (tile, sums) in of_job.iter().zip(sums.chunks_exact(n_sums)) {
                tile.finish(simd, step, plan, kv_head, sums.as_ptr());
            }
        }
    }
}
