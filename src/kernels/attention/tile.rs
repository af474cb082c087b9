//! Tiles of query rows over their keys, from the queries to the outputs.
//!
//! A job has a few tiles of one key-value head that follow each other. They go over the keys together,
//! stretch by stretch (`stretch.rs`): so what is stored in f16 is converted once for all of them, into
//! the second-level cache. A tile that is alone, as in decode, converts in registers.

use super::stretch::{Pass, QUERY_PART, QUERY_ROW, SCORE_ROW, Stretch};
use super::{Plan, Step, Window};
use crate::Cpu;
use crate::memory::with_scratch;
use crate::simd::{Kernel, LANES, Simd, Stored};
use crate::tile::with_rows;

/// Blocks of sixteen keys in a stretch: twelve rows of scores take 12 KiB.
pub(super) const STRETCH: usize = 16;
/// Tiles of a job at most: converting takes the time of a quarter of a tile.
pub(super) const MAX_TILES: usize = 8;
/// Stands for minus infinity without making a difference of two of them undefined.
pub(super) const HIDDEN: f32 = -1e30;
/// Rows of the largest tile on any path.
const MAX_ROWS: usize = 12;

/// The key-value head and the tiles of a unit of the plan, which is a job or the parts of one.
pub(super) fn place(step: Step, plan: Plan, unit: usize) -> (usize, std::ops::Range<usize>) {
    let first = unit / step.shape.n_heads * plan.tiles_per_job;
    (unit % step.shape.n_heads, first..(first + plan.tiles_per_job).min(plan.n_tiles))
}

/// Does one job of the plan: writes outputs, or to `part` its sums and statistics.
pub(super) fn attend<T: Stored>(cpu: &Cpu, step: Step, plan: Plan, job: usize, part: Option<&mut [f32]>) {
    let (unit, split) = (job / plan.n_splits, job % plan.n_splits);
    let (kv_head, tiles) = place(step, plan, unit);
    let shape = step.shape;
    let n_queries = plan.rows_per_tile * QUERY_ROW * shape.head_dim.div_ceil(QUERY_PART);
    let n_sums = plan.rows_per_tile * shape.padded_dim();
    let n_scores = plan.rows_per_tile * SCORE_ROW;
    let n_converted = if is_converted::<T>(tiles.len()) {
        STRETCH * (shape.keys_per_block() + shape.values_per_block())
    } else {
        0
    };
    with_scratch(tiles.len() * (n_queries + n_sums) + n_scores + n_converted, |scratch| {
        let (queries, scratch) = scratch.split_at_mut(tiles.len() * n_queries);
        let (sums, scratch) = scratch.split_at_mut(tiles.len() * n_sums);
        let (scores, converted) = scratch.split_at_mut(n_scores);
        let stored = std::marker::PhantomData;
        cpu.run(Job::<T> {
            step,
            plan,
            kv_head,
            tiles,
            split,
            queries,
            sums,
            scores,
            converted,
            part,
            stored,
        });
    });
}

/// Whether `n_tiles` tiles are worth a copy of their keys and values in f32.
fn is_converted<T>(n_tiles: usize) -> bool {
    n_tiles > 1 && size_of::<T>() < size_of::<f32>()
}

struct Job<'a, T> {
    step: Step<'a>,
    plan: Plan,
    kv_head: usize,
    tiles: std::ops::Range<usize>,
    split: usize,
    /// For each tile, for each part of a head's dimensions, `[rows][QUERY_ROW]`.
    queries: &'a mut [f32],
    /// For each tile `[rows][padded_dim]`.
    sums: &'a mut [f32],
    /// `[rows][SCORE_ROW]`.
    scores: &'a mut [f32],
    /// Keys, then values of a stretch, in f32; empty if there is no need.
    converted: &'a mut [f32],
    part: Option<&'a mut [f32]>,
    stored: std::marker::PhantomData<T>,
}

/// Rows of queries, and how far they have come.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    first_row: usize,
    pub(super) positions: [usize; MAX_ROWS],
    pub(super) maxima: [f32; MAX_ROWS],
    pub(super) totals: [f32; MAX_ROWS],
}

/// The blocks of keys that tiles see: `0..n_kept`, then from `first` on.
#[derive(Clone, Copy)]
struct Blocks {
    n_kept: usize,
    first: usize,
    n: usize,
}

impl Blocks {
    /// Of tiles whose first and last tokens are at the given positions.
    #[inline(always)]
    fn of(window: Option<Window>, first_position: usize, last_position: usize) -> Blocks {
        let end = last_position / LANES + 1;
        let Some(Window { size, n_kept }) = window else { return Blocks { n_kept: 0, first: 0, n: end } };
        let first = (first_position + 1).saturating_sub(size) / LANES;
        let n_kept = n_kept.div_ceil(LANES).min(first);
        Blocks { n_kept, first, n: n_kept + end - first }
    }

    /// Block `i` and how many from there on follow each other.
    #[inline(always)]
    fn at(self, i: usize) -> (usize, usize) {
        if i < self.n_kept { (i, self.n_kept - i) } else { (i - self.n_kept + self.first, self.n - i) }
    }
}

impl Tile {
    const EMPTY: Tile =
        Tile { first_row: 0, positions: [0; MAX_ROWS], maxima: [HIDDEN; MAX_ROWS], totals: [0.0; MAX_ROWS] };

    /// The tile that begins with row `first_row`; rows beyond the last repeat it, and are not written.
    #[inline(always)]
    fn begin(step: Step, plan: Plan, kv_head: usize, first_row: usize, queries: *mut f32) -> Tile {
        let mut tile = Tile { first_row, ..Tile::EMPTY };
        let (rows, dim) = (plan.rows_per_tile, step.shape.head_dim);
        for r in 0..rows.min(MAX_ROWS) {
            let (token, head) = step.token_and_head(kv_head, (first_row + r).min(plan.n_rows - 1));
            tile.positions[r] = step.first_position + token;
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
        tile
    }

    fn last_position(&self, plan: Plan) -> usize {
        self.positions[plan.rows_per_tile.clamp(1, MAX_ROWS) - 1]
    }

    /// Writes the outputs.
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, step: Step, plan: Plan, kv_head: usize, sums: *const f32) {
        let dim = step.shape.padded_dim();
        for r in 0..plan.rows_per_tile.min(plan.n_rows - self.first_row).min(MAX_ROWS) {
            let (token, head) = step.token_and_head(kv_head, self.first_row + r);
            let mut total = self.totals[r];
            let mut weight = 1.0;
            if let Some(sink) = step.attention.sinks.and_then(|it| it.get(head)) {
                let greatest = sink.max(self.maxima[r]);
                weight = (self.maxima[r] - greatest).exp();
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

impl<T: Stored> Kernel for Job<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Job { step, plan, kv_head, tiles, split, queries, sums, scores, converted, part, .. } = self;
        let shape = step.shape;
        let (rows, dim) = (plan.rows_per_tile, shape.padded_dim());
        let (n_queries, n_sums) = (queries.len() / tiles.len().max(1), rows * dim);
        let mut states = [Tile::EMPTY; MAX_TILES];
        let n_tiles = tiles.len().min(MAX_TILES);
        let states = &mut states[..n_tiles];
        for ((state, tile), queries) in states.iter_mut().zip(tiles).zip(queries.chunks_exact_mut(n_queries))
        {
            *state = Tile::begin(step, plan, kv_head, tile * rows, queries.as_mut_ptr());
        }
        let (Some(first), Some(last)) = (states.first(), states.last()) else { return };
        let blocks = Blocks::of(step.attention.window, first.positions[0], last.last_position(plan));
        let end = blocks.n * (split + 1) / plan.n_splits;
        let mut at = blocks.n * split / plan.n_splits;
        sums.fill(0.0);
        while at < end {
            let (block, n_following) = blocks.at(at);
            let n = n_following.min(STRETCH).min(end - at);
            // SAFETY: the cache holds the blocks.
            let stored = unsafe { Stretch::<T>::stored(step, kv_head, block, n) };
            let in_f32 = is_converted::<T>(n_tiles).then(|| {
                // SAFETY: there is room for a stretch.
                unsafe { stored.convert(simd, converted.as_mut_ptr()) }
            });
            for (i, tile) in states.iter_mut().enumerate() {
                // What comes after a tile's last token is for the later tiles.
                let n = n.min((tile.last_position(plan) / LANES + 1).saturating_sub(block));
                if n == 0 {
                    continue;
                }
                let queries = queries.as_ptr().wrapping_add(i * n_queries);
                let sums = sums.as_mut_ptr().wrapping_add(i * n_sums);
                let scores = scores.as_mut_ptr();
                with_rows!(rows, |ROWS| if ROWS <= S::TILE_ROWS {
                    if let Some(stretch) = in_f32 {
                        let stretch = Stretch { n, ..stretch };
                        simd.run(Pass::<f32, ROWS> { stretch, tile, queries, scores, sums });
                    } else {
                        let stretch = Stretch { n, ..stored };
                        simd.run(Pass::<T, ROWS> { stretch, tile, queries, scores, sums });
                    }
                });
            }
            at += n;
        }

        if let Some(part) = part {
            let (part_sums, statistics) = part.split_at_mut(n_sums);
            part_sums.copy_from_slice(&sums[..n_sums]);
            let Tile { maxima, totals, .. } = states[0];
            for ((row, maximum), total) in statistics.chunks_exact_mut(LANES).zip(maxima).zip(totals) {
                row[0] = maximum;
                row[1] = total;
            }
            return;
        }
        for (tile, sums) in states.iter().zip(sums.chunks_exact(n_sums)) {
            tile.finish(simd, step, plan, kv_head, sums.as_ptr());
        }
    }
}
