//! For every machine: a vector is four vectors of four lanes, as in the target's baseline.
//!
//! The fallback path, which also runs under an interpreter. It never fuses a multiply with an add: without the
//! instruction, that is a C library call for every lane.

use half::{bf16, f16};
use wide::{f32x4, i16x8, i32x4, u32x4};

use super::{Kernel, LANES, Simd};

/// Available everywhere, so it proves nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

type V = [f32x4; 4];
type U = [u32x4; 4];

macro_rules! each {
    ($i:ident => $e:expr) => {
        [{ const $i: usize = 0; $e }, { const $i: usize = 1; $e }, { const $i: usize = 2; $e }, { const $i: usize = 3; $e }]
    };
}

impl Simd for Portable {
    type V = V;
    type U = U;

    const TILE_ROWS: usize = 2;
    const TILE_BLOCKS: usize = 1;
    const FEW_ROWS: usize = 2;
    const INTEGER_ROWS: usize = 2;
    const FEW_INTEGER_ROWS: usize = 1;
    const WIDE: bool = true;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) {
        #[inline(never)]
        fn compiled<K: Kernel>(simd: Portable, kernel: K) {
            kernel.run(simd);
        }
        compiled(self, kernel);
    }

    #[inline(always)]
    fn splat(self, x: f32) -> V {
        [f32x4::splat(x); 4]
    }
    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        each!(I => a[I] + b[I])
    }
    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        each!(I => a[I] - b[I])
    }
    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        each!(I => a[I] * b[I])
    }
    #[inline(always)]
    fn div(self, a: V, b: V) -> V {
        each!(I => a[I] / b[I])
    }
    #[inline(always)]
    fn max(self, a: V, b: V) -> V {
        each!(I => a[I].simd_gt(b[I]).bitselect(a[I], b[I]))
    }
    #[inline(always)]
    fn min(self, a: V, b: V) -> V {
        each!(I => b[I].simd_gt(a[I]).bitselect(a[I], b[I]))
    }
    #[inline(always)]
    fn mul_add(self, a: V, b: V, c: V) -> V {
        each!(I => a[I] * b[I] + c[I])
    }
    #[inline(always)]
    fn round(self, a: V) -> V {
        // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer.
        let round = f32x4::splat(12_582_912.0);
        each!(I => (a[I] + round) - round)
    }
    #[inline(always)]
    fn pow2(self, n: V) -> V {
        each!(I => {
            let biased: i32x4 = n[I].fast_trunc_int() + i32x4::splat(127);
            f32x4::from(biased.to_array().map(|it| f32::from_bits(it.cast_unsigned() << 23)))
        })
    }
    #[inline(always)]
    fn reduce_add(self, a: V) -> f32 {
        ((a[0] + a[2]) + (a[1] + a[3])).reduce_add()
    }
    #[inline(always)]
    fn reduce_max(self, a: V) -> f32 {
        a.into_iter().flat_map(f32x4::to_array).fold(f32::NEG_INFINITY, f32::max)
    }
    #[inline(always)]
    fn greater_mask(self, a: V, b: V) -> u16 {
        let masks = each!(I => a[I].simd_gt(b[I]).to_bitmask() << (4 * I));
        (masks[0] | masks[1] | masks[2] | masks[3]) as u16
    }
    #[inline(always)]
    fn where_greater(self, a: V, b: V, x: V) -> V {
        each!(I => a[I].simd_gt(b[I]) & x[I])
    }
    #[inline(always)]
    fn keep(self, a: V, from: usize, to: usize, fill: V) -> V {
        let mut out = lanes(fill);
        for (i, (out, lane)) in out.iter_mut().zip(lanes(a)).enumerate() {
            if i >= from && i < to {
                *out = lane;
            }
        }
        vector(out)
    }

    #[inline(always)]
    fn shl(self, a: U, n: u32) -> U {
        each!(I => a[I] << n)
    }
    #[inline(always)]
    fn shr(self, a: U, n: u32) -> U {
        each!(I => a[I] >> n)
    }
    #[inline(always)]
    fn or(self, a: U, b: U) -> U {
        each!(I => a[I] | b[I])
    }
    #[inline(always)]
    fn mantissa(self, a: U, mask: u32) -> V {
        let (mask, one) = (u32x4::splat(mask), u32x4::splat(1.0f32.to_bits()));
        // SAFETY: both are sixteen bytes without invalid patterns.
        each!(I => unsafe { std::mem::transmute::<u32x4, f32x4>((a[I] & mask) | one) })
    }

    #[inline(always)]
    fn and(self, a: U, mask: u32) -> U {
        each!(I => a[I] & u32x4::splat(mask))
    }
    #[inline(always)]
    fn splat_u32(self, v: u32) -> U {
        [u32x4::splat(v); 4]
    }
    #[inline(always)]
    fn add_u32(self, a: U, b: U) -> U {
        each!(I => a[I] + b[I])
    }
    #[inline(always)]
    fn dot(self, acc: U, w: U, x: u32) -> U {
        // Pairs of 16 bits, which every baseline can multiply and add.
        let bytes = x.to_le_bytes().map(|it| i16::from(it.cast_signed()));
        let pairs = |a: i16, b: i16| i16x8::new([a, b, a, b, a, b, a, b]);
        let (x_even, x_odd) = (pairs(bytes[0], bytes[2]), pairs(bytes[1], bytes[3]));
        let low = u32x4::splat(0x00ff_00ff);
        each!(I => {
            let even = as_i16(w[I] & low).dot(x_even);
            let odd = as_i16((w[I] >> 8) & low).dot(x_odd);
            acc[I] + as_u32(even + odd)
        })
    }
    #[inline(always)]
    fn dot_pairs(self, acc: U, w: U, x: u32) -> U {
        let (a, b) = (x as i16, (x >> 16) as i16);
        let x = i16x8::new([a, b, a, b, a, b, a, b]);
        each!(I => acc[I] + as_u32(as_i16(w[I]).dot(x)))
    }
    #[inline(always)]
    fn to_f32(self, a: U) -> V {
        each!(I => as_i32(a[I]).round_float())
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> V {
        // SAFETY: guaranteed by the caller; four lanes of f32 lie in memory as an array of four.
        unsafe { p.cast::<V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, a: V) {
        // SAFETY: as above.
        unsafe { p.cast::<V>().write_unaligned(a) };
    }
    #[inline(always)]
    unsafe fn load_first(self, p: *const f32, n: usize) -> V {
        let mut a = [0.0; LANES];
        // SAFETY: `n` values are readable, guaranteed by the caller.
        unsafe { p.copy_to_nonoverlapping(a.as_mut_ptr(), n.min(LANES)) };
        vector(a)
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, a: V, n: usize) {
        // SAFETY: `n` values are writable, guaranteed by the caller.
        unsafe { p.copy_from_nonoverlapping(lanes(a).as_ptr(), n.min(LANES)) };
    }
    #[inline(always)]
    unsafe fn load_f16(self, p: *const f16) -> V {
        // SAFETY: guaranteed by the caller.
        vector(unsafe { f16s(p) })
    }
    #[inline(always)]
    unsafe fn store_f16(self, p: *mut f16, a: V) {
        // SAFETY: guaranteed by the caller.
        unsafe { p.cast::<[f16; LANES]>().write_unaligned(lanes(a).map(f16::from_f32)) };
    }
    #[inline(always)]
    unsafe fn load_bf16(self, p: *const bf16) -> V {
        // SAFETY: guaranteed by the caller.
        vector(unsafe { bf16s(p) })
    }
    #[inline(always)]
    unsafe fn load_u32(self, p: *const u32) -> U {
        // SAFETY: guaranteed by the caller; four lanes of u32 lie in memory as an array of four.
        unsafe { p.cast::<U>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store_u32(self, p: *mut u32, a: U) {
        // SAFETY: as above.
        unsafe { p.cast::<U>().write_unaligned(a) };
    }
    #[inline(always)]
    unsafe fn store_i8(self, p: *mut i8, a: V) {
        // SAFETY: guaranteed by the caller.
        unsafe { p.cast::<[i8; LANES]>().write_unaligned(lanes(a).map(|it| it as i8)) };
    }
    #[inline(always)]
    fn prefetch(self, _: *const u8) {}
}

/// Lanes as pairs. The sum over a pair does not depend on which half comes first in memory.
#[inline(always)]
fn as_i16(a: u32x4) -> i16x8 {
    // SAFETY: both are sixteen bytes without invalid patterns.
    unsafe { std::mem::transmute(a) }
}

#[inline(always)]
fn as_i32(a: u32x4) -> i32x4 {
    // SAFETY: as above.
    unsafe { std::mem::transmute(a) }
}

#[inline(always)]
fn as_u32(a: i32x4) -> u32x4 {
    // SAFETY: as above.
    unsafe { std::mem::transmute(a) }
}

#[inline(always)]
fn vector(a: [f32; LANES]) -> V {
    each!(I => f32x4::new([a[4 * I], a[4 * I + 1], a[4 * I + 2], a[4 * I + 3]]))
}

#[inline(always)]
fn lanes(a: V) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    for (out, a) in out.chunks_exact_mut(4).zip(a) {
        out.copy_from_slice(&a.to_array());
    }
    out
}

/// Not inlined: sixteen conversions in software, unrolled thirty-two times, are too much code.
///
/// # Safety
/// Sixteen values at `p` are readable.
#[inline(never)]
unsafe fn f16s(p: *const f16) -> [f32; LANES] {
    // SAFETY: guaranteed by the caller.
    unsafe { p.cast::<[f16; LANES]>().read_unaligned() }.map(f16::to_f32)
}

/// Like `f16s`.
///
/// # Safety
/// Sixteen values at `p` are readable.
#[inline(never)]
unsafe fn bf16s(p: *const bf16) -> [f32; LANES] {
    // SAFETY: guaranteed by the caller.
    unsafe { p.cast::<[bf16; LANES]>().read_unaligned() }.map(bf16::to_f32)
}
