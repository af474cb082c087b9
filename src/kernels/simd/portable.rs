//! Plain Rust: a vector is an array, and the compiler makes of it what the target's baseline allows.
//!
//! The path of last resort, and the one that can run under an interpreter that knows no intrinsics. It
//! never fuses a multiply with an add: without the instruction that is a call into the C library.

use half::{bf16, f16};

use super::{Kernel, LANES, Simd};

/// Needs no proof.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

type V = [f32; LANES];
type U = [u32; LANES];

macro_rules! each {
    ($i:ident => $e:expr) => {{
        let mut out = [Default::default(); LANES];
        for $i in 0..LANES {
            out[$i] = $e;
        }
        out
    }};
}

impl Simd for Portable {
    type V = V;
    type U = U;

    const TILE_ROWS: usize = 2;
    const TILE_BLOCKS: usize = 1;
    const FEW_ROWS: usize = 2;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) {
        kernel.run(self);
    }

    #[inline(always)]
    fn splat(self, x: f32) -> V {
        [x; LANES]
    }
    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        each!(i => a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        each!(i => a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        each!(i => a[i] * b[i])
    }
    #[inline(always)]
    fn div(self, a: V, b: V) -> V {
        each!(i => a[i] / b[i])
    }
    #[inline(always)]
    fn max(self, a: V, b: V) -> V {
        each!(i => if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn min(self, a: V, b: V) -> V {
        each!(i => if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn mul_add(self, a: V, b: V, c: V) -> V {
        each!(i => a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn round(self, a: V) -> V {
        // Adding and taking away 1.5 * 2^23 rounds to the nearest whole number, without a library call.
        const ROUND: f32 = 12_582_912.0;
        each!(i => (a[i] + ROUND) - ROUND)
    }
    #[inline(always)]
    fn pow2(self, n: V) -> V {
        each!(i => f32::from_bits(((n[i] as i32 + 127) << 23).cast_unsigned()))
    }
    #[inline(always)]
    fn reduce_add(self, a: V) -> f32 {
        let half: [f32; 8] = std::array::from_fn(|i| a[i] + a[i + 8]);
        let quarter: [f32; 4] = std::array::from_fn(|i| half[i] + half[i + 4]);
        (quarter[0] + quarter[2]) + (quarter[1] + quarter[3])
    }
    #[inline(always)]
    fn reduce_max(self, a: V) -> f32 {
        a.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
    #[inline(always)]
    fn greater_mask(self, a: V, b: V) -> u16 {
        let mut mask = 0;
        for i in 0..LANES {
            mask |= u16::from(a[i] > b[i]) << i;
        }
        mask
    }
    #[inline(always)]
    fn keep(self, a: V, from: usize, to: usize, fill: V) -> V {
        each!(i => if i >= from && i < to { a[i] } else { fill[i] })
    }

    #[inline(always)]
    fn shl(self, a: U, n: u32) -> U {
        each!(i => a[i] << n)
    }
    #[inline(always)]
    fn shr(self, a: U, n: u32) -> U {
        each!(i => a[i] >> n)
    }
    #[inline(always)]
    fn or(self, a: U, b: U) -> U {
        each!(i => a[i] | b[i])
    }
    #[inline(always)]
    fn mantissa(self, a: U, mask: u32) -> V {
        each!(i => f32::from_bits((a[i] & mask) | 1.0f32.to_bits()))
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> V {
        // SAFETY: as promised by the caller.
        unsafe { p.cast::<V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, a: V) {
        // SAFETY: as promised by the caller.
        unsafe { p.cast::<V>().write_unaligned(a) };
    }
    #[inline(always)]
    unsafe fn load_first(self, p: *const f32, n: usize) -> V {
        let mut a = [0.0; LANES];
        // SAFETY: `n` values are readable, as promised by the caller.
        unsafe { p.copy_to_nonoverlapping(a.as_mut_ptr(), n.min(LANES)) };
        a
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, a: V, n: usize) {
        // SAFETY: `n` values are writable, as promised by the caller.
        unsafe { p.copy_from_nonoverlapping(a.as_ptr(), n.min(LANES)) };
    }
    #[inline(always)]
    unsafe fn load_f16(self, p: *const f16) -> V {
        // SAFETY: as promised by the caller.
        let a = unsafe { p.cast::<[f16; LANES]>().read_unaligned() };
        each!(i => a[i].to_f32())
    }
    #[inline(always)]
    unsafe fn store_f16(self, p: *mut f16, a: V) {
        let a: [f16; LANES] = each!(i => f16::from_f32(a[i]));
        // SAFETY: as promised by the caller.
        unsafe { p.cast::<[f16; LANES]>().write_unaligned(a) };
    }
    #[inline(always)]
    unsafe fn load_bf16(self, p: *const bf16) -> V {
        // SAFETY: as promised by the caller.
        let a = unsafe { p.cast::<[bf16; LANES]>().read_unaligned() };
        each!(i => a[i].to_f32())
    }
    #[inline(always)]
    unsafe fn load_u32(self, p: *const u32) -> U {
        // SAFETY: as promised by the caller.
        unsafe { p.cast::<U>().read_unaligned() }
    }
    #[inline(always)]
    fn prefetch(self, _: *const u8) {}
}
