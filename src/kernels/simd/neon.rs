//! NEON on AArch64, where it is always present: a vector is four registers.
//!
//! Half-precision conversions use the base instruction set's `fcvtl` and `fcvtn`, which need no half-precision
//! arithmetic.

use std::arch::aarch64 as a;
use std::arch::asm;

use half::{bf16, f16};

use super::{Kernel, LANES, Simd};

/// Proof that the machine has NEON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neon(());

impl Neon {
    pub(crate) fn detect() -> Option<Neon> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Neon(()))
    }
}

type V = [a::float32x4_t; 4];
type U = [a::uint32x4_t; 4];

/// Calls an instruction whose features the token proves.
macro_rules! op {
    ($e:expr) => {{
        // SAFETY: `self` exists, so the instructions do; memory is guaranteed by the caller.
        unsafe { $e }
    }};
}

/// The same for each of the four registers.
macro_rules! each {
    ($i:ident => $e:expr) => {
        [
            { const $i: usize = 0; $e },
            { const $i: usize = 1; $e },
            { const $i: usize = 2; $e },
            { const $i: usize = 3; $e },
        ]
    };
}

impl Simd for Neon {
    type V = V;
    type U = U;

    const TILE_ROWS: usize = 6;
    const TILE_BLOCKS: usize = 1;
    const FEW_ROWS: usize = 3;
    const INTEGER_ROWS: usize = 2;
    const FEW_INTEGER_ROWS: usize = 2;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) {
        #[target_feature(enable = "neon")]
        fn compiled<K: Kernel>(simd: Neon, kernel: K) {
            kernel.run(simd);
        }
        // The compiler ignores `inline(never)` on a function with `target_feature`.
        #[inline(never)]
        fn outlined<K: Kernel>(simd: Neon, kernel: K) {
            // SAFETY: the token proves the features.
            unsafe { compiled(simd, kernel) };
        }
        outlined(self, kernel);
    }

    #[inline(always)]
    fn splat(self, v: f32) -> V {
        [op!(a::vdupq_n_f32(v)); 4]
    }
    #[inline(always)]
    fn add(self, x: V, y: V) -> V {
        op!(each!(I => a::vaddq_f32(x[I], y[I])))
    }
    #[inline(always)]
    fn sub(self, x: V, y: V) -> V {
        op!(each!(I => a::vsubq_f32(x[I], y[I])))
    }
    #[inline(always)]
    fn mul(self, x: V, y: V) -> V {
        op!(each!(I => a::vmulq_f32(x[I], y[I])))
    }
    #[inline(always)]
    fn div(self, x: V, y: V) -> V {
        op!(each!(I => a::vdivq_f32(x[I], y[I])))
    }
    #[inline(always)]
    fn max(self, x: V, y: V) -> V {
        op!(each!(I => a::vbslq_f32(a::vcgtq_f32(x[I], y[I]), x[I], y[I])))
    }
    #[inline(always)]
    fn min(self, x: V, y: V) -> V {
        op!(each!(I => a::vbslq_f32(a::vcltq_f32(x[I], y[I]), x[I], y[I])))
    }
    #[inline(always)]
    fn mul_add(self, x: V, y: V, z: V) -> V {
        op!(each!(I => a::vfmaq_f32(z[I], x[I], y[I])))
    }
    #[inline(always)]
    fn round(self, x: V) -> V {
        op!(each!(I => a::vrndnq_f32(x[I])))
    }
    #[inline(always)]
    fn pow2(self, n: V) -> V {
        op!(each!(I => {
            let biased = a::vaddq_s32(a::vcvtnq_s32_f32(n[I]), a::vdupq_n_s32(127));
            a::vreinterpretq_f32_s32(a::vshlq_n_s32::<23>(biased))
        }))
    }
    #[inline(always)]
    fn reduce_add(self, x: V) -> f32 {
        op!(a::vaddvq_f32(a::vaddq_f32(a::vaddq_f32(x[0], x[2]), a::vaddq_f32(x[1], x[3]))))
    }
    #[inline(always)]
    fn reduce_max(self, x: V) -> f32 {
        op!(a::vmaxvq_f32(a::vmaxq_f32(a::vmaxq_f32(x[0], x[2]), a::vmaxq_f32(x[1], x[3]))))
    }
    #[inline(always)]
    fn greater_mask(self, x: V, y: V) -> u16 {
        const BITS: [u32; 4] = [1, 2, 4, 8];
        let bits = op!(a::vld1q_u32(BITS.as_ptr()));
        let masks = op!(each!(I => a::vaddvq_u32(a::vandq_u32(a::vcgtq_f32(x[I], y[I]), bits)) << (4 * I)));
        (masks[0] | masks[1] | masks[2] | masks[3]) as u16
    }
    #[inline(always)]
    fn where_greater(self, x: V, y: V, v: V) -> V {
        op!(each!(I => {
            let bits = a::vandq_u32(a::vcgtq_f32(x[I], y[I]), a::vreinterpretq_u32_f32(v[I]));
            a::vreinterpretq_f32_u32(bits)
        }))
    }
    #[inline(always)]
    fn keep(self, x: V, from: usize, to: usize, fill: V) -> V {
        const IOTA: [u32; 4] = [0, 1, 2, 3];
        op!({
            let (from, to) = (a::vdupq_n_u32(from as u32), a::vdupq_n_u32(to as u32));
            each!(I => {
                let lane = a::vaddq_u32(a::vld1q_u32(IOTA.as_ptr()), a::vdupq_n_u32(4 * I as u32));
                let kept = a::vandq_u32(a::vcgeq_u32(lane, from), a::vcltq_u32(lane, to));
                a::vbslq_f32(kept, x[I], fill[I])
            })
        })
    }

    #[inline(always)]
    fn shl(self, x: U, n: u32) -> U {
        op!(each!(I => a::vshlq_u32(x[I], a::vdupq_n_s32(n.cast_signed()))))
    }
    #[inline(always)]
    fn shr(self, x: U, n: u32) -> U {
        op!(each!(I => a::vshlq_u32(x[I], a::vdupq_n_s32(-n.cast_signed()))))
    }
    #[inline(always)]
    fn or(self, x: U, y: U) -> U {
        op!(each!(I => a::vorrq_u32(x[I], y[I])))
    }
    #[inline(always)]
    fn mantissa(self, x: U, mask: u32) -> V {
        op!({
            let (mask, one) = (a::vdupq_n_u32(mask), a::vdupq_n_u32(1.0f32.to_bits()));
            each!(I => a::vreinterpretq_f32_u32(a::vorrq_u32(a::vandq_u32(x[I], mask), one)))
        })
    }

    #[inline(always)]
    fn and(self, x: U, mask: u32) -> U {
        op!(each!(I => a::vandq_u32(x[I], a::vdupq_n_u32(mask))))
    }
    #[inline(always)]
    fn splat_u32(self, v: u32) -> U {
        [op!(a::vdupq_n_u32(v)); 4]
    }
    #[inline(always)]
    fn add_u32(self, x: U, y: U) -> U {
        op!(each!(I => a::vaddq_u32(x[I], y[I])))
    }
    #[inline(always)]
    fn dot(self, acc: U, w: U, x: u32) -> U {
        // The product of an unsigned and a signed byte fits in 16 bits; the sum of two does not.
        op!({
            let x = a::vreinterpretq_s16_u32(a::vdupq_n_u32(x));
            let (x_even, x_odd) = (a::vshrq_n_s16::<8>(a::vshlq_n_s16::<8>(x)), a::vshrq_n_s16::<8>(x));
            each!(I => {
                let w_even = a::vandq_u32(w[I], a::vdupq_n_u32(0x00ff_00ff));
                let w_odd = a::vshrq_n_u16::<8>(a::vreinterpretq_u16_u32(w[I]));
                let even = a::vmulq_s16(a::vreinterpretq_s16_u32(w_even), x_even);
                let odd = a::vmulq_s16(a::vreinterpretq_s16_u16(w_odd), x_odd);
                let acc = a::vpadalq_s16(a::vreinterpretq_s32_u32(acc[I]), even);
                a::vreinterpretq_u32_s32(a::vpadalq_s16(acc, odd))
            })
        })
    }
    #[inline(always)]
    fn to_f32(self, x: U) -> V {
        op!(each!(I => a::vcvtq_f32_s32(a::vreinterpretq_s32_u32(x[I]))))
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> V {
        op!(each!(I => a::vld1q_f32(p.add(4 * I))))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, x: V) {
        op!(each!(I => a::vst1q_f32(p.add(4 * I), x[I])));
    }
    #[inline(always)]
    unsafe fn load_first(self, p: *const f32, n: usize) -> V {
        if n >= LANES {
            return op!(self.load(p));
        }
        let mut all = [0.0; LANES];
        op!({
            p.copy_to_nonoverlapping(all.as_mut_ptr(), n);
            self.load(all.as_ptr())
        })
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, x: V, n: usize) {
        if n >= LANES {
            return op!(self.store(p, x));
        }
        let mut all = [0.0; LANES];
        op!({
            self.store(all.as_mut_ptr(), x);
            p.copy_from_nonoverlapping(all.as_ptr(), n);
        });
    }
    #[inline(always)]
    unsafe fn load_f16(self, p: *const f16) -> V {
        op!(each!(I => widen(a::vld1_u16(p.add(4 * I).cast()))))
    }
    #[inline(always)]
    unsafe fn store_f16(self, p: *mut f16, x: V) {
        op!(each!(I => a::vst1_u16(p.add(4 * I).cast(), narrow(x[I]))));
    }
    #[inline(always)]
    unsafe fn load_bf16(self, p: *const bf16) -> V {
        op!(each!(I => a::vreinterpretq_f32_u32(a::vshll_n_u16::<16>(a::vld1_u16(p.add(4 * I).cast())))))
    }
    #[inline(always)]
    unsafe fn load_u32(self, p: *const u32) -> U {
        op!(each!(I => a::vld1q_u32(p.add(4 * I))))
    }
    #[inline(always)]
    unsafe fn store_u32(self, p: *mut u32, x: U) {
        op!(each!(I => a::vst1q_u32(p.add(4 * I), x[I])));
    }
    #[inline(always)]
    unsafe fn store_i8(self, p: *mut i8, x: V) {
        op!({
            let x = each!(I => a::vqmovn_s32(a::vcvtnq_s32_f32(x[I])));
            let low = a::vqmovn_s16(a::vcombine_s16(x[0], x[1]));
            let high = a::vqmovn_s16(a::vcombine_s16(x[2], x[3]));
            a::vst1q_s8(p, a::vcombine_s8(low, high));
        });
    }
    #[inline(always)]
    fn prefetch(self, p: *const u8) {
        // SAFETY: a hint; the address may be invalid.
        unsafe { asm!("prfm pldl1keep, [{}]", in(reg) p, options(nostack, preserves_flags, readonly)) };
    }
}

/// Four halves to floats.
#[inline(always)]
fn widen(x: a::uint16x4_t) -> a::float32x4_t {
    let out;
    // SAFETY: part of the base instruction set; touches no memory.
    unsafe {
        asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) out, in(vreg) x, options(pure, nomem, nostack, preserves_flags));
    };
    out
}

/// Four floats to halves, rounded to nearest.
#[inline(always)]
fn narrow(x: a::float32x4_t) -> a::uint16x4_t {
    let out;
    // SAFETY: part of the base instruction set; touches no memory.
    unsafe {
        asm!("fcvtn {0:v}.4h, {1:v}.4s", out(vreg) out, in(vreg) x, options(pure, nomem, nostack, preserves_flags));
    };
    out
}
