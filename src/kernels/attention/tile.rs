//! One tile of query rows over its keys: scores, running softmax, weighted sums of values.
//!
//! The softmax is taken stretch by stretch. When a stretch brings a greater maximum, what was summed up
//! so far is scaled down; so scores never take more room than one stretch, which stays in the first-level cache.

use super::{Plan, Step, Window};
use crate::Cpu;
use crate::memory::with_scratch;
use crate::simd::{Kernel, LANES, Simd, Stored};
use crate::tile::{self, Operands, with_rows};

/// Blocks of sixteen keys in a stretch: twelve rows of scores take 12 KiB.
const STRETCH: usize = 16;
/// Scores of a row, with padding so that rows do not fall into the same sets of the cache.
const SCORE_ROW: usize = STRETCH * LANES + LANES;
/// Stands for minus infinity without making a difference of two of them undefined.
const HIDDEN: f32 = -1e30;

/// The key-value head and first row of a tile.
pub(super) fn place(step: Step, plan: Plan, tile: usize) -> (usize, usize) {
    (tile % step.shape.n_heads, tile / step.shape.n_heads * plan.rows_per_tile)
}

/// Does one job of the plan: writes outputs, or to `part` its sums and statistics.
pub(super) fn attend<T: Stored>(cpu: &Cpu, step: Step, plan: Plan, job: usize, part: Option<&mut [f32]>) {
    let (tile, split) = (job / plan.n_splits, job % plan.n_splits);
    let (kv_head, first_row) = place(step, plan, tile);
    let rows = plan.rows_per_tile;
    let dim = step.shape.padded_dim();
    with_scratch(rows * (dim + SCORE_ROW + dim), |scratch| {
        let (queries, scratch) = scratch.split_at_mut(rows * dim);
        let (scores, sums) = scratch.split_at_mut(rows * SCORE_ROW);
        cpu.run(Job::<T> {
            step,
            plan,
            kv_head,
            first_row,
            split,
            queries,
            scores,
            sums,
            part,
            stored: std::marker::PhantomData,
        });
    });
}

struct Job<'a, T> {
    step: Step<'a>,
    plan: Plan,
    kv_head: usize,
    first_row: usize,
    split: usize,
    /// `[head_dim][rows]`.
    queries: &'a mut [f32],
    /// `[rows][SCORE_ROW]`.
    scores: &'a mut [f32],
    /// `[rows][padded_dim]`.
    sums: &'a mut [f32],
    part: Option<&'a mut [f32]>,
    stored: std::marker::PhantomData<T>,
}

impl<T: Stored> Kernel for Job<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        with_rows!(self.plan.rows_per_tile, |ROWS| if ROWS <= S::TILE_ROWS {
            simd.run(Tile::<T, ROWS> { job: self });
        });
    }
}

struct Tile<'a, T, const ROWS: usize> {
    job: Job<'a, T>,
}

/// The blocks of keys that a tile sees: `0..n_kept`, then from `first` on.
#[derive(Clone, Copy)]
struct Blocks {
    n_kept: usize,
    first: usize,
    n: usize,
}

impl Blocks {
    /// Of a tile whose first and last tokens are at the given positions.
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

impl<T: Stored, const ROWS: usize> Kernel for Tile<'_, T, ROWS> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Job { step, plan, kv_head, first_row, split, queries, scores, sums, part, .. } = self.job;
        let shape = step.shape;
        let dim = shape.padded_dim();
        let n_heads = step.attention.n_heads;
        // Rows beyond the last repeat it, and are not written.
        let row = |r: usize| step.token_and_head(kv_head, (first_row + r).min(plan.n_rows - 1));
        let mut positions = [0; ROWS];
        for (r, position) in positions.iter_mut().enumerate() {
            let (token, head) = row(r);
            *position = step.first_position + token;
            // SAFETY: `queries` of the step holds `[n_tokens, n_heads, head_dim]`, written by the first stage.
            unsafe {
                let from = step.queries.get().add((token * n_heads + head) * shape.head_dim);
                for d in 0..shape.head_dim {
                    *queries.as_mut_ptr().add(d * ROWS + r) = *from.add(d);
                }
            }
        }

        let blocks = Blocks::of(step.attention.window, positions[0], positions[ROWS - 1]);
        let end = blocks.n * (split + 1) / plan.n_splits;
        let mut at = blocks.n * split / plan.n_splits;
        let mut maxima = [HIDDEN; ROWS];
        let mut totals = [0.0; ROWS];
        sums.fill(0.0);
        while at < end {
            let (block, n_following) = blocks.at(at);
            let n = n_following.min(STRETCH).min(end - at);
            let stretch = Stretch { step, kv_head, block, n };
            // SAFETY: the blocks hold tokens up to the tile's last, written by the first stage; the scratch
            // memory has the sizes that its comments in `Job` say.
            unsafe {
                stretch.score::<S, T, ROWS>(simd, queries.as_ptr(), scores.as_mut_ptr());
                let scales = stretch.soften(simd, &positions, scores, &mut maxima, &mut totals);
                stretch.sum_up::<S, T, ROWS>(simd, scores.as_ptr(), scales, sums.as_mut_ptr());
            }
            at += n;
        }

        if let Some(part) = part {
            let (part_sums, statistics) = part.split_at_mut(ROWS * dim);
            part_sums.copy_from_slice(sums);
            for ((row, maximum), total) in statistics.chunks_exact_mut(LANES).zip(maxima).zip(totals) {
                row[0] = maximum;
                row[1] = total;
            }
            return;
        }
        for r in 0..ROWS.min(plan.n_rows - first_row) {
            let (token, head) = row(r);
            let mut total = totals[r];
            let mut weight = 1.0;
            if let Some(sink) = step.attention.sinks.and_then(|it| it.get(head)) {
                let greatest = sink.max(maxima[r]);
                weight = (maxima[r] - greatest).exp();
                total = total * weight + (sink - greatest).exp();
            }
            let factor = simd.splat(weight / total);
            for d in (0..shape.head_dim).step_by(LANES) {
                // SAFETY: the sums of row `r` are `dim` long; the head's output is this job's alone.
                unsafe {
                    let value = simd.mul(simd.load(sums.as_ptr().add(r * dim + d)), factor);
                    let to = step.out.get().add((token * n_heads + head) * shape.head_dim + d);
                    simd.store_first(to, value, LANES.min(shape.head_dim - d));
                }
            }
        }
    }
}

/// Blocks of keys that follow each other.
#[derive(Clone, Copy)]
struct Stretch<'a> {
    step: Step<'a>,
    kv_head: usize,
    block: usize,
    n: usize,
}

impl Stretch<'_> {
    /// The products of queries and keys.
    ///
    /// # Safety
    /// `queries` are `[head_dim][ROWS]`, `scores` `[ROWS][SCORE_ROW]`; the blocks exist.
    #[inline(always)]
    unsafe fn score<S: Simd, T: Stored, const ROWS: usize>(
        self,
        simd: S,
        queries: *const f32,
        scores: *mut f32,
    ) {
        let shape = self.step.shape;
        let block_len = shape.n_heads * shape.keys_per_block();
        let mut operands = Operands {
            n_steps: shape.head_dim,
            w: self.step.keys.get().cast::<T>().cast_const(),
            w_step: LANES,
            w_block: block_len,
            // The next blocks': a head's keys in a block are too few for the hardware to see a stream.
            w_ahead: S::TILE_BLOCKS * block_len,
            x: queries,
        };
        // SAFETY: as promised by the caller.
        unsafe {
            operands.w = operands.w.add(self.block * block_len + self.kv_head * shape.keys_per_block());
            let mut b = 0;
            while b + S::TILE_BLOCKS <= self.n && S::TILE_BLOCKS == 2 {
                let mut tile = [[simd.zero(); 2]; ROWS];
                tile::multiply_add::<S, T, ROWS, 2, ROWS, 1>(simd, operands, &mut tile);
                tile::store(simd, scores.add(b * LANES), SCORE_ROW, &tile);
                operands.w = operands.w.wrapping_add(2 * block_len);
                b += 2;
            }
            while b < self.n {
                let mut tile = [[simd.zero(); 1]; ROWS];
                tile::multiply_add::<S, T, ROWS, 1, ROWS, 1>(simd, operands, &mut tile);
                tile::store(simd, scores.add(b * LANES), SCORE_ROW, &tile);
                operands.w = operands.w.wrapping_add(block_len);
                b += 1;
            }
        }
    }

    /// Scores to weights; what sums so far must be multiplied by.
    ///
    /// # Safety
    /// `scores` are `[ROWS][SCORE_ROW]`.
    #[inline(always)]
    unsafe fn soften<S: Simd, const ROWS: usize>(
        self,
        simd: S,
        positions: &[usize; ROWS],
        scores: &mut [f32],
        maxima: &mut [f32; ROWS],
        totals: &mut [f32; ROWS],
    ) -> [f32; ROWS] {
        let window = self.step.attention.window;
        let end = (self.block + self.n) * LANES;
        let mut scales = [1.0; ROWS];
        for r in 0..ROWS {
            let position = positions[r];
            let first_seen = window.map_or(0, |it| (position + 1).saturating_sub(it.size));
            let row = scores.as_mut_ptr().wrapping_add(r * SCORE_ROW);
            // SAFETY: as promised by the caller.
            unsafe {
                if end > position + 1 || self.block * LANES < first_seen {
                    let n_kept = window.map_or(0, |it| it.n_kept);
                    for b in 0..self.n {
                        let start = (self.block + b) * LANES;
                        let upto = |limit: usize| limit.saturating_sub(start).min(LANES);
                        let seen_end = upto(position + 1);
                        let p = row.add(b * LANES);
                        let all = simd.load(p);
                        let recent =
                            simd.keep(all, upto(first_seen).min(seen_end), seen_end, simd.splat(HIDDEN));
                        simd.store(p, simd.keep(all, 0, upto(n_kept).min(seen_end), recent));
                    }
                }
                let mut greatest = simd.splat(HIDDEN);
                for b in 0..self.n {
                    greatest = simd.max(simd.load(row.add(b * LANES)), greatest);
                }
                let greatest = simd.reduce_max(greatest);
                if greatest > maxima[r] {
                    scales[r] = (maxima[r] - greatest).exp();
                    totals[r] *= scales[r];
                    maxima[r] = greatest;
                }
                let maximum = simd.splat(maxima[r]);
                let mut total = simd.zero();
                for b in 0..self.n {
                    let p = row.add(b * LANES);
                    let weight = crate::math::exp(simd, simd.sub(simd.load(p), maximum));
                    total = simd.add(total, weight);
                    simd.store(p, weight);
                }
                totals[r] += simd.reduce_add(total);
            }
        }
        scales
    }

    /// Scales the sums and adds the weighted values.
    ///
    /// # Safety
    /// `scores` are `[ROWS][SCORE_ROW]`, `sums` `[ROWS][padded_dim]`; the blocks exist.
    #[inline(always)]
    unsafe fn sum_up<S: Simd, T: Stored, const ROWS: usize>(
        self,
        simd: S,
        scores: *const f32,
        scales: [f32; ROWS],
        sums: *mut f32,
    ) {
        let n_vectors = self.step.shape.padded_dim() / LANES;
        let mut v = 0;
        // SAFETY: as promised by the caller; `v` stays below the vectors of a head.
        unsafe {
            while v + S::TILE_BLOCKS <= n_vectors && S::TILE_BLOCKS == 2 {
                self.sum_up_vectors::<S, T, ROWS, 2>(simd, scores, scales, sums, v);
                v += 2;
            }
            while v < n_vectors {
                self.sum_up_vectors::<S, T, ROWS, 1>(simd, scores, scales, sums, v);
                v += 1;
            }
        }
    }

    /// `N` vectors of the head's dimensions, from vector `v` on.
    ///
    /// # Safety
    /// As for `sum_up`; `v + N` vectors exist.
    #[inline(always)]
    unsafe fn sum_up_vectors<S: Simd, T: Stored, const ROWS: usize, const N: usize>(
        self,
        simd: S,
        scores: *const f32,
        scales: [f32; ROWS],
        sums: *mut f32,
        v: usize,
    ) {
        let shape = self.step.shape;
        let dim = shape.padded_dim();
        let block_len = shape.n_heads * shape.values_per_block();
        let n_tokens = self.step.first_position + self.step.n_tokens;
        // SAFETY: as promised by the caller. Only tokens that were written take part: what is left in a
        // block from before might not be finite.
        unsafe {
            let sums = sums.add(v * LANES);
            let mut tile = tile::load::<S, ROWS, N>(simd, sums, dim);
            for (row, scale) in tile.iter_mut().zip(scales) {
                for sum in row {
                    *sum = simd.mul(*sum, simd.splat(scale));
                }
            }
            let values = self.step.values.get().cast::<T>().cast_const();
            let values =
                values.add(self.block * block_len + self.kv_head * shape.values_per_block() + v * LANES);
            for b in 0..self.n {
                let operands = Operands {
                    n_steps: LANES.min(n_tokens - (self.block + b) * LANES),
                    w: values.add(b * block_len),
                    w_step: dim,
                    w_block: LANES,
                    w_ahead: block_len,
                    x: scores.add(b * LANES),
                };
                tile::multiply_add::<S, T, ROWS, N, 1, SCORE_ROW>(simd, operands, &mut tile);
            }
            tile::store(simd, sums, dim, &tile);
        }
    }
}
