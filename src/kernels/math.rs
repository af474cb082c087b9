//! Elementary functions on vectors: the exponential and functions derived from it.
//!
//! Accurate to about one unit in the last place in the relevant range, as checked by tests.

use serde::{Deserialize, Serialize};

use crate::simd::Simd;

/// A function applied to the gate of a gated layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Activation {
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `x / 2 * (1 + erf(x / sqrt(2)))`.
    Gelu,
    /// The approximation of `Gelu` by a hyperbolic tangent.
    GeluTanh,
}

/// `exp(x)`, as in Cephes; 0 below -87, at most `exp(88)`.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::V) -> S::V {
    // ln 2 in two parts, so that `x - n ln 2` is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const TERMS: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];
    let lowest = simd.splat(-87.0);
    let given = x;
    let x = simd.min(simd.max(x, lowest), simd.splat(88.0));
    let n = simd.round(simd.mul(x, simd.splat(std::f32::consts::LOG2_E)));
    let r = simd.mul_add(n, simd.splat(-LN_2_HIGH), x);
    let r = simd.mul_add(n, simd.splat(-LN_2_LOW), r);
    let mut p = simd.splat(TERMS[0]);
    for term in &TERMS[1..] {
        p = simd.mul_add(p, r, simd.splat(*term));
    }
    let p = simd.mul_add(p, simd.mul(r, r), simd.add(r, simd.splat(1.0)));
    // Exactly 0, not a tiny number: products with that would be subnormal, which is slow.
    simd.where_greater(given, lowest, simd.times_pow2(p, n))
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(simd: S, x: S::V) -> S::V {
    let one = simd.splat(1.0);
    simd.div(one, simd.add(one, exp(simd, simd.sub(simd.zero(), x))))
}

/// The error function, as a rational approximation (the one that Eigen and XLA use).
#[inline(always)]
fn erf<S: Simd>(simd: S, x: S::V) -> S::V {
    const NUMERATOR: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024_1e-6,
        -5.692_506_4e-5,
        -7.349_906_4e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const DENOMINATOR: [f32; 5] =
        [-1.456_607_2e-5, -2.133_740_5e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];
    let x = simd.min(simd.max(x, simd.splat(-4.0)), simd.splat(4.0));
    let square = simd.mul(x, x);
    let mut p = simd.splat(NUMERATOR[0]);
    for term in &NUMERATOR[1..] {
        p = simd.mul_add(p, square, simd.splat(*term));
    }
    let mut q = simd.splat(DENOMINATOR[0]);
    for term in &DENOMINATOR[1..] {
        q = simd.mul_add(q, square, simd.splat(*term));
    }
    simd.div(simd.mul(x, p), q)
}

/// `activation(x)`.
#[inline(always)]
pub(crate) fn activate<S: Simd>(simd: S, activation: Activation, x: S::V) -> S::V {
    match activation {
        Activation::Silu => simd.mul(x, sigmoid(simd, x)),
        Activation::Gelu => {
            let half = simd.mul(x, simd.splat(0.5));
            let erf = erf(simd, simd.mul(x, simd.splat(std::f32::consts::FRAC_1_SQRT_2)));
            simd.mul_add(half, erf, half)
        }
        Activation::GeluTanh => {
            // (1 + tanh(u)) / 2 is sigmoid(2u).
            const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769;
            let cubed = simd.mul(simd.mul(x, x), x);
            let u = simd.mul_add(cubed, simd.splat(0.044_715), x);
            simd.mul(x, sigmoid(simd, simd.mul(u, simd.splat(TWICE_SQRT_2_OVER_PI))))
        }
    }
}
