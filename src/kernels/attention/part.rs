//! One part of the keys for one tile of query rows: scores, softmax weights and weighted sums of values.
//!
//! The weights are relative to the part's own maximum score. Scores take the memory of one part, which stays in the
//! first-level cache.

use super::layout::Layout;
use super::softmax::{self, Factors, HIDDEN, Softmax};
use super::step::{PART, Step};
use crate::simd::{Element, Kernel, LANES, Simd};
use crate::tile::{self, Operands};

/// Scores of a row, padded so that rows do not map to the same cache sets.
pub(super) const SCORE_ROW: usize = PART * LANES + LANES;
/// Dimensions of a head that are multiplied at a time, which is all of them except for the largest heads. A row of
/// queries has that many, padded like scores.
pub(super) const QUERY_PART: usize = 256;
pub(super) const QUERY_ROW: usize = QUERY_PART + LANES;

/// Consecutive blocks of one head's keys and values.
#[derive(Clone, Copy)]
pub(super) struct Part<'a, T> {
    pub(super) step: Step<'a>,
    /// The index of the first block, and the number of blocks.
    pub(super) block: usize,
    pub(super) n: usize,
    /// `[head_dim][16]` for each block.
    pub(super) keys: *const T,
    pub(super) keys_step: usize,
    /// `[16][padded_dim]` for each block.
    pub(super) values: *const T,
    pub(super) values_step: usize,
}

/// Computes the scores of `N` blocks, or adds the products of further dimensions to them.
///
/// # Safety
/// The operands are readable; `scores` are `[ROWS][SCORE_ROW]`.
#[inline(always)]
unsafe fn score_blocks<S: Simd, T: Element, const ROWS: usize, const N: usize>(
    simd: S,
    operands: Operands<T>,
    scores: *mut f32,
    fresh: bool,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let mut tile = if fresh { [[simd.zero(); N]; ROWS] } else { tile::load(simd, scores, SCORE_ROW) };
        tile::multiply_add::<S, T, ROWS, N, 1, QUERY_ROW>(simd, operands, &mut tile);
        tile::store(simd, scores, SCORE_ROW, &tile);
    }
}

/// A tile of `ROWS` rows over a part.
pub(super) struct Pass<'a, T, const ROWS: usize> {
    pub(super) part: Part<'a, T>,
    /// The positions of the rows' tokens.
    pub(super) positions: &'a [usize; LANES],
    /// For each `QUERY_PART` of a head's dimensions, `[ROWS][QUERY_ROW]`.
    pub(super) queries: *const f32,
    /// `[ROWS][SCORE_ROW]`.
    pub(super) scores: *mut f32,
    /// `[ROWS][padded_dim]`.
    pub(super) sums: *mut f32,
    pub(super) softmax: &'a mut Softmax,
    /// Whether this is the first part, which initializes `sums` and `softmax`.
    pub(super) is_first: bool,
}

impl<T: Element, const ROWS: usize> Kernel for Pass<'_, T, ROWS> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Pass { part, positions, queries, scores, sums, softmax, is_first } = self;
        // SAFETY: the blocks hold tokens up to the tile's last, written by the first stage; the scratch memory has
        // the sizes that the comments say.
        unsafe {
            part.score::<S, ROWS>(simd, queries, scores);
            let own = part.soften::<S, ROWS>(simd, positions, scores);
            let factors = if is_first {
                *softmax = own;
                None
            } else {
                Some(softmax.join(simd, &own))
            };
            let n_tokens = (positions[ROWS - 1] + 1 - part.block * LANES).min(part.n * LANES);
            part.sum_up::<S, ROWS>(simd, scores, factors, sums, n_tokens);
        }
    }
}

impl<'a> Part<'a, f32> {
    /// Copies `n` blocks of the cache, starting at `block`, to `to`.
    ///
    /// # Safety
    /// The blocks exist; there is room for their keys, then their values, in f32.
    #[inline(always)]
    pub(super) unsafe fn copied<S: Simd, L: Layout>(
        simd: S,
        step: Step<'a>,
        kv_head: usize,
        block: usize,
        n: usize,
        to: *mut f32,
    ) -> Part<'a, f32> {
        let (keys_step, values_step) = (step.shape.keys_per_block(), step.shape.values_per_block());
        let (keys, values) = (to, to.wrapping_add(n * keys_step));
        for b in 0..n {
            let (from_keys, from_values) = step.block(block + b, kv_head);
            // SAFETY: guaranteed by the caller.
            unsafe {
                L::convert_keys(simd, step.shape, from_keys, keys.add(b * keys_step));
                L::convert_values(simd, step.shape, from_values, values.add(b * values_step));
            }
        }
        Part { step, block, n, keys, keys_step, values, values_step }
    }
}

impl<'a, T: Element> Part<'a, T> {
    /// `n` blocks of the cache, starting at `block`, read in place.
    pub(super) fn in_place(step: Step<'a>, kv_head: usize, block: usize, n: usize) -> Part<'a, T> {
        let shape = step.shape;
        let (keys, values) = step.block(block, kv_head);
        Part {
            step,
            block,
            n,
            keys: keys.cast_const().cast(),
            keys_step: shape.n_heads * shape.keys_per_block(),
            values: values.cast_const().cast(),
            values_step: shape.n_heads * shape.values_per_block(),
        }
    }

    /// Computes the products of queries and keys.
    ///
    /// # Safety
    /// `queries` and `scores` are as a pass has them; the blocks exist.
    #[inline(always)]
    unsafe fn score<S: Simd, const ROWS: usize>(self, simd: S, queries: *const f32, scores: *mut f32) {
        let dim = self.step.shape.head_dim;
        for d in (0..dim).step_by(QUERY_PART) {
            let mut operands = Operands {
                n_steps: QUERY_PART.min(dim - d),
                w: self.keys.wrapping_add(d * LANES),
                w_step: LANES,
                w_block: self.keys_step,
                // Prefetches the next blocks: a head's keys in one block are too few for the hardware to detect a
                // stream.
                w_ahead: S::TILE_BLOCKS * self.keys_step,
                x: queries.wrapping_add(d / QUERY_PART * ROWS * QUERY_ROW),
            };
            // SAFETY: guaranteed by the caller.
            unsafe {
                let mut b = 0;
                while b + S::TILE_BLOCKS <= self.n && S::TILE_BLOCKS == 2 {
                    score_blocks::<S, T, ROWS, 2>(simd, operands, scores.add(b * LANES), d == 0);
                    operands.w = operands.w.wrapping_add(2 * self.keys_step);
                    b += 2;
                }
                while b < self.n {
                    score_blocks::<S, T, ROWS, 1>(simd, operands, scores.add(b * LANES), d == 0);
                    operands.w = operands.w.wrapping_add(self.keys_step);
                    b += 1;
                }
            }
        }
    }

    /// Converts scores to softmax weights.
    ///
    /// # Safety
    /// `scores` are `[ROWS][SCORE_ROW]`.
    #[inline(always)]
    unsafe fn soften<S: Simd, const ROWS: usize>(
        self,
        simd: S,
        positions: &[usize; LANES],
        scores: *mut f32,
    ) -> Softmax {
        let window = self.step.attention.window;
        let n_kept = window.map_or(0, |it| it.n_kept);
        let mut softmax = Softmax::EMPTY;
        for (r, &position) in positions.iter().enumerate().take(ROWS) {
            let first_seen = window.map_or(0, |it| (position + 1).saturating_sub(it.size));
            let row = scores.wrapping_add(r * SCORE_ROW);
            // SAFETY: guaranteed by the caller.
            unsafe {
                // Most blocks are entirely visible.
                let n_past = (position + 1).saturating_sub(self.block * LANES) / LANES;
                let first = if self.block * LANES < first_seen { 0 } else { n_past };
                for b in first..self.n {
                    let start = (self.block + b) * LANES;
                    let upto = |limit: usize| limit.saturating_sub(start).min(LANES);
                    let seen_end = upto(position + 1);
                    let p = row.add(b * LANES);
                    let all = simd.load(p);
                    let recent = simd.keep(all, upto(first_seen).min(seen_end), seen_end, simd.splat(HIDDEN));
                    simd.store(p, simd.keep(all, 0, upto(n_kept).min(seen_end), recent));
                }
                let mut greatest = simd.splat(HIDDEN);
                for b in 0..self.n {
                    greatest = simd.max(simd.load(row.add(b * LANES)), greatest);
                }
                let greatest = simd.reduce_max(greatest);
                let maximum = simd.splat(greatest);
                let mut total = simd.zero();
                for b in 0..self.n {
                    let p = row.add(b * LANES);
                    let weight = crate::math::exp(simd, simd.sub(simd.load(p), maximum));
                    total = simd.add(total, weight);
                    simd.store(p, weight);
                }
                softmax.maxima[r] = greatest;
                softmax.totals[r] = simd.reduce_add(total);
            }
        }
        softmax
    }

    /// Sums the values of the first `n_tokens` tokens, all that the tile sees, by their weights. The result becomes
    /// `sums`, or is joined with it by the factors from [`Softmax::join`].
    ///
    /// # Safety
    /// `scores` are `[ROWS][SCORE_ROW]`, `sums` `[ROWS][padded_dim]`; the blocks exist.
    #[inline(always)]
    unsafe fn sum_up<S: Simd, const ROWS: usize>(
        self,
        simd: S,
        scores: *const f32,
        factors: Option<Factors>,
        sums: *mut f32,
        n_tokens: usize,
    ) {
        let n_vectors = self.step.shape.padded_dim() / LANES;
        let mut v = 0;
        // SAFETY: guaranteed by the caller; `v` stays below the vectors of a head.
        unsafe {
            while v + S::TILE_BLOCKS <= n_vectors && S::TILE_BLOCKS == 2 {
                self.sum_up_vectors::<S, ROWS, 2>(simd, scores, factors, sums, n_tokens, v);
                v += 2;
            }
            while v < n_vectors {
                self.sum_up_vectors::<S, ROWS, 1>(simd, scores, factors, sums, n_tokens, v);
                v += 1;
            }
        }
    }

    /// Processes `N` vectors of the head's dimensions, starting at vector `v`.
    ///
    /// # Safety
    /// As for `sum_up`; `v + N` vectors exist.
    #[inline(always)]
    unsafe fn sum_up_vectors<S: Simd, const ROWS: usize, const N: usize>(
        self,
        simd: S,
        scores: *const f32,
        factors: Option<Factors>,
        sums: *mut f32,
        n_tokens: usize,
        v: usize,
    ) {
        let dim = self.step.shape.padded_dim();
        // SAFETY: guaranteed by the caller. Only tokens that are seen take part: what is left in
        // a block from before might not be finite.
        unsafe {
            let sums = sums.add(v * LANES);
            let mut tile = [[simd.zero(); N]; ROWS];
            let values = self.values.add(v * LANES);
            let at_once = if self.values_step == LANES * dim { n_tokens } else { LANES };
            for first in (0..n_tokens).step_by(at_once) {
                let operands = Operands {
                    n_steps: at_once.min(n_tokens - first),
                    w: values.add(first / LANES * self.values_step),
                    w_step: dim,
                    w_block: LANES,
                    w_ahead: self.values_step,
                    x: scores.add(first),
                };
                tile::multiply_add::<S, T, ROWS, N, 1, SCORE_ROW>(simd, operands, &mut tile);
            }
            let Some((before, added)) = factors else { return tile::store(simd, sums, dim, &tile) };
            for (r, row) in tile.iter().enumerate() {
                for (b, &part) in row.iter().enumerate() {
                    softmax::add(simd, sums.add(r * dim + b * LANES), before[r], part, added[r]);
                }
            }
        }
    }
}
