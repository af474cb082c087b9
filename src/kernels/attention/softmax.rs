//! The softmax of keys that come in parts, one after the other.
//!
//! Each part has its weights relative to its own greatest score. Joining two scales both to the greater one. The
//! order is always from the first part to the last, so that the result does not depend on who computed which part.

use crate::math::exp;
use crate::simd::{LANES, Simd};

/// Stands for minus infinity without making a difference of two of them undefined.
pub(super) const HIDDEN: f32 = -1e30;

/// For each row of a tile the greatest score and the sum of the weights.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Softmax {
    pub(super) maxima: [f32; LANES],
    pub(super) totals: [f32; LANES],
}

/// For each row, what the sums so far and those of the next part are to be multiplied by.
pub(super) type Factors = ([f32; LANES], [f32; LANES]);

impl Softmax {
    /// Of no keys at all.
    pub(super) const EMPTY: Softmax = Softmax { maxima: [HIDDEN; LANES], totals: [0.0; LANES] };

    /// Takes in the part `next`.
    ///
    /// A part of which a row sees nothing has that row's maximum at `HIDDEN`: its factor is an exact zero.
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

/// Sixteen sums at `at`: what is there times `before`, and `sums` times `added`.
///
/// # Safety
/// Sixteen values at `at` are readable and writable.
#[inline(always)]
pub(super) unsafe fn add<S: Simd>(simd: S, at: *mut f32, before: f32, sums: S::V, added: f32) {
    // SAFETY: as promised by the caller.
    unsafe {
        let sums = simd.mul(sums, simd.splat(added));
        simd.store(at, simd.mul_add(simd.load(at), simd.splat(before), sums));
    }
}
