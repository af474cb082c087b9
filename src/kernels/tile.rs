//! The register tile: rows of inputs times blocks of sixteen outputs. It is the innermost loop of everything that is
//! limited by arithmetic (products of many rows, attention).
//!
//! It does not know where its operands come from: it loads a column of outputs, and multiplies each row's value into
//! it.

use crate::simd::{Element, LANES, Simd};

/// The operands of a tile.
#[derive(Clone, Copy)]
pub(crate) struct Operands<T> {
    /// The number of steps, or columns of the input.
    pub(crate) n_steps: usize,
    /// Sixteen values for each step and block, `w_step` and `w_block` apart.
    pub(crate) w: *const T,
    pub(crate) w_step: usize,
    pub(crate) w_block: usize,
    /// Values are prefetched this far ahead of each step, in elements.
    pub(crate) w_ahead: usize,
    /// One value for each step and row, `X_STEP` and `X_ROW` apart.
    pub(crate) x: *const f32,
}

/// Adds to `sums[row][block]` the sum over all steps of `x[step][row] * w[step][block]`.
///
/// # Safety
/// All operands are readable.
#[inline(always)]
pub(crate) unsafe fn multiply_add<
    S: Simd,
    T: Element,
    const ROWS: usize,
    const BLOCKS: usize,
    const X_STEP: usize,
    const X_ROW: usize,
>(
    simd: S,
    operands: Operands<T>,
    sums: &mut [[S::V; BLOCKS]; ROWS],
) {
    let Operands { n_steps, mut w, w_step, w_block, w_ahead, mut x } = operands;
    let mut acc = *sums;
    for _ in 0..n_steps {
        let mut columns = [simd.zero(); BLOCKS];
        for (b, column) in columns.iter_mut().enumerate() {
            // SAFETY: guaranteed by the caller.
            *column = unsafe { T::load(simd, w.add(b * w_block)) };
            simd.prefetch(w.wrapping_add(b * w_block + w_ahead).cast());
        }
        for (r, row) in acc.iter_mut().enumerate() {
            // SAFETY: guaranteed by the caller.
            let value = simd.splat(unsafe { *x.add(r * X_ROW) });
            for (sum, column) in row.iter_mut().zip(columns) {
                *sum = simd.mul_add(column, value, *sum);
            }
        }
        w = w.wrapping_add(w_step);
        x = x.wrapping_add(X_STEP);
    }
    *sums = acc;
}

/// Loads a tile: row `r`, block `b` from `p + r * row + b * block`.
///
/// # Safety
/// All of it is readable.
#[inline(always)]
pub(crate) unsafe fn load<S: Simd, const ROWS: usize, const BLOCKS: usize>(
    simd: S,
    p: *const f32,
    row: usize,
) -> [[S::V; BLOCKS]; ROWS] {
    let mut tile = [[simd.zero(); BLOCKS]; ROWS];
    for (r, values) in tile.iter_mut().enumerate() {
        for (b, value) in values.iter_mut().enumerate() {
            // SAFETY: guaranteed by the caller.
            *value = unsafe { simd.load(p.add(r * row + b * LANES)) };
        }
    }
    tile
}

/// Stores a tile: row `r`, block `b` to `p + r * row + b * 16`.
///
/// # Safety
/// All of it is writable.
#[inline(always)]
pub(crate) unsafe fn store<S: Simd, const ROWS: usize, const BLOCKS: usize>(
    simd: S,
    p: *mut f32,
    row: usize,
    tile: &[[S::V; BLOCKS]; ROWS],
) {
    for (r, values) in tile.iter().enumerate() {
        for (b, value) in values.iter().enumerate() {
            // SAFETY: guaranteed by the caller.
            unsafe { simd.store(p.add(r * row + b * LANES), *value) };
        }
    }
}

/// Evaluates `$body` with the constant `$rows` equal to `$n`, which is in 1..=12.
macro_rules! with_rows {
    ($n:expr, |$rows:ident| $body:expr) => {{
        macro_rules! case {
            ($r:literal) => {{
                const $rows: usize = $r;
                $body
            }};
        }
        match $n {
            1 => case!(1),
            2 => case!(2),
            3 => case!(3),
            4 => case!(4),
            5 => case!(5),
            6 => case!(6),
            7 => case!(7),
            8 => case!(8),
            9 => case!(9),
            10 => case!(10),
            11 => case!(11),
            _ => case!(12),
        }
    }};
}
pub(crate) use with_rows;
