//! The softmax over parts of keys: [`Softmax`].
//!
//! Each part's weights are relative to its own maximum score. Joining two parts rescales both to the larger maximum.
//! Parts are always joined from first to last, so the result does not depend on which thread computed which part.

use crate::math::exp;
use crate::simd::{LANES, Simd};

/// Represents minus infinity, without making the difference of two of them NaN.
pub(super) const HIDDEN: f32 = -1e30;

/// For each row of a tile, the maximum score and the sum of weights.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Softmax {
    pub(super) maxima: [f32; LANES],
    pub(super) totals: [f32; LANES],
}

/// For each row, the factors for the sums so far and for those of the next part.
pub(super) type Factors = ([f32; LANES], [f32; LANES]);

impl Softmax {
    /// The softmax over no keys.
    pub(super) const EMPTY: Softmax = Softmax { maxima: [HIDDEN; LANES], totals: [0.0; LANES] };

    /// Joins the part `next`.
    ///
    /// If a row sees nothing of a part, its maximum there is `HIDDEN`, which makes its factor exactly zero.
    #[inline(always)]
    pub(super) fn join<S: Simd>(&mut self, simd: S, next: &Softmax) -> Factors {
        let (mut before, mut added) = ([0.0; LANES], [0.0; LANES]);
        // SAFETY: all arrays have sixteen numbers.
        unsafe {
            let (mine, theirs) = (simd.load(self.maxima.as_ptr()), simd.load(next.maxima.as_ptr()));
            let greatest = simd.max(mine, theirs);
            let scale = exp(simd, simd.sub(mine, greatest));
            let next_scale = exp(simd, simd.sub(theirs, greatest));
            let added_total = simd.mul(simd.load(next.totals.as_ptr()), next_scale);
            let total = simd.mul_add(simd.load(self.totals.as_ptr()), scale, added_total);
            simd.store(self.maxima.as_mut_ptr(), greatest);
            simd.store(self.totals.as_mut_ptr(), total);
            simd.store(before.as_mut_ptr(), scale);
            simd.store(added.as_mut_ptr(), next_scale);
        }
        (before, added)
    }
}

/// Multiplies the sixteen sums at `at` by `before` and adds `sums` times `added`.
///
/// # Safety
/// Sixteen values at `at` are readable and writable.
#[inline(always)]
pub(super) unsafe fn add<S: Simd>(simd: S, at: *mut f32, before: f32, sums: S::V, added: f32) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let sums = simd.mul(sums, simd.splat(added));
        simd.store(at, simd.mul_add(simd.load(at), simd.splat(before), sums));
    }
}
