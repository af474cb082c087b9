//! AVX-512 (F, BW, DQ, VL): a vector is one register.
//!
//! Every method is a thin wrapper of an instruction. Skylake-X and all later AVX-512 machines have enough. A separate
//! token proves VNNI, which multiplies bytes four times as fast as floats.

use std::arch::x86_64 as x;

use half::{bf16, f16};

use super::{Kernel, LANES, Simd};

/// Proof that the machine has AVX-512 F, BW, DQ and VL, and VNNI if the parameter is true.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512<const VNNI: bool = false>(());

impl Avx512 {
    pub(crate) fn detect() -> Option<Avx512> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        has.then_some(Avx512(()))
    }
}

impl Avx512<true> {
    pub(crate) fn detect_vnni() -> Option<Avx512<true>> {
        (Avx512::detect().is_some() && is_x86_feature_detected!("avx512vnni")).then_some(Avx512(()))
    }
}

/// Calls an instruction whose features the token proves.
macro_rules! op {
    ($e:expr) => {{
        // SAFETY: `self` exists, so the instructions do; memory is guaranteed by the caller.
        unsafe { $e }
    }};
}

/// Combines the lanes of each of sixteen vectors, with half the shuffles of doing them one by one.
macro_rules! reduce_each {
    ($vectors:expr, $combine:path) => {
        op!({
            let v = $vectors;
            let mut quarters = [x::_mm512_setzero_ps(); 4];
            for (quarter, v) in quarters.iter_mut().zip(v.chunks_exact(4)) {
                let ab = $combine(x::_mm512_unpacklo_ps(v[0], v[1]), x::_mm512_unpackhi_ps(v[0], v[1]));
                let cd = $combine(x::_mm512_unpacklo_ps(v[2], v[3]), x::_mm512_unpackhi_ps(v[2], v[3]));
                let (ab, cd) = (x::_mm512_castps_pd(ab), x::_mm512_castps_pd(cd));
                let low = x::_mm512_castpd_ps(x::_mm512_unpacklo_pd(ab, cd));
                let high = x::_mm512_castpd_ps(x::_mm512_unpackhi_pd(ab, cd));
                // Each 128 bits hold the remaining lanes of a, b, c and d.
                *quarter = $combine(low, high);
            }
            let [a, b, c, d] = quarters;
            let ab = $combine(x::_mm512_shuffle_f32x4::<0x44>(a, b), x::_mm512_shuffle_f32x4::<0xee>(a, b));
            let cd = $combine(x::_mm512_shuffle_f32x4::<0x44>(c, d), x::_mm512_shuffle_f32x4::<0xee>(c, d));
            $combine(x::_mm512_shuffle_f32x4::<0x88>(ab, cd), x::_mm512_shuffle_f32x4::<0xdd>(ab, cd))
        })
    };
}

#[inline(always)]
fn first(n: usize) -> u16 {
    debug_assert!(n <= 16);
    ((1u32 << n) - 1) as u16
}

impl<const VNNI: bool> Simd for Avx512<VNNI> {
    type V = x::__m512;
    type U = x::__m512i;

    const TILE_ROWS: usize = 12;
    const TILE_BLOCKS: usize = 2;
    const FEW_ROWS: usize = 8;
    const INTEGER_ROWS: usize = 6;
    const FEW_INTEGER_ROWS: usize = 8;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
        fn compiled<K: Kernel>(kernel: K) {
            kernel.run(Avx512::<false>(()));
        }
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
        fn compiled_with_vnni<K: Kernel>(kernel: K) {
            kernel.run(Avx512::<true>(()));
        }
        // The compiler ignores `inline(never)` on a function with `target_feature`.
        #[inline(never)]
        fn outlined<K: Kernel, const VNNI: bool>(kernel: K) {
            // SAFETY: the token proves the features.
            unsafe { if VNNI { compiled_with_vnni(kernel) } else { compiled(kernel) } };
        }
        outlined::<K, VNNI>(kernel);
    }

    #[inline(always)]
    fn splat(self, v: f32) -> Self::V {
        op!(x::_mm512_set1_ps(v))
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        op!(x::_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        op!(x::_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        op!(x::_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        op!(x::_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        op!(x::_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        op!(x::_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        op!(x::_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn round(self, a: Self::V) -> Self::V {
        op!(x::_mm512_roundscale_ps::<{ x::_MM_FROUND_TO_NEAREST_INT | x::_MM_FROUND_NO_EXC }>(a))
    }
    #[inline(always)]
    fn pow2(self, n: Self::V) -> Self::V {
        let biased = op!(x::_mm512_add_epi32(x::_mm512_cvtps_epi32(n), x::_mm512_set1_epi32(127)));
        op!(x::_mm512_castsi512_ps(x::_mm512_slli_epi32::<23>(biased)))
    }
    #[inline(always)]
    fn times_pow2(self, a: Self::V, n: Self::V) -> Self::V {
        op!(x::_mm512_scalef_ps(a, n))
    }
    #[inline(always)]
    fn reduce_add(self, a: Self::V) -> f32 {
        op!(x::_mm512_reduce_add_ps(a))
    }
    #[inline(always)]
    fn reduce_max(self, a: Self::V) -> f32 {
        op!(x::_mm512_reduce_max_ps(a))
    }
    #[inline(always)]
    fn add_each(self, vectors: &[Self::V; LANES]) -> Self::V {
        reduce_each!(vectors, x::_mm512_add_ps)
    }
    #[inline(always)]
    fn max_each(self, vectors: &[Self::V; LANES]) -> Self::V {
        reduce_each!(vectors, x::_mm512_max_ps)
    }
    #[inline(always)]
    fn greater_mask(self, a: Self::V, b: Self::V) -> u16 {
        op!(x::_mm512_cmp_ps_mask::<{ x::_CMP_GT_OQ }>(a, b))
    }
    #[inline(always)]
    fn where_greater(self, a: Self::V, b: Self::V, v: Self::V) -> Self::V {
        op!(x::_mm512_maskz_mov_ps(x::_mm512_cmp_ps_mask::<{ x::_CMP_GT_OQ }>(a, b), v))
    }
    #[inline(always)]
    fn keep(self, a: Self::V, from: usize, to: usize, fill: Self::V) -> Self::V {
        let mask = first(to) & !first(from);
        op!(x::_mm512_mask_mov_ps(fill, mask, a))
    }

    #[inline(always)]
    fn shl(self, a: Self::U, n: u32) -> Self::U {
        op!(x::_mm512_sllv_epi32(a, x::_mm512_set1_epi32(n.cast_signed())))
    }
    #[inline(always)]
    fn shr(self, a: Self::U, n: u32) -> Self::U {
        op!(x::_mm512_srlv_epi32(a, x::_mm512_set1_epi32(n.cast_signed())))
    }
    #[inline(always)]
    fn or(self, a: Self::U, b: Self::U) -> Self::U {
        op!(x::_mm512_or_si512(a, b))
    }
    #[inline(always)]
    fn mantissa(self, a: Self::U, mask: u32) -> Self::V {
        const A_AND_B_OR_C: i32 = 0b1110_1010;
        let mask = op!(x::_mm512_set1_epi32(mask.cast_signed()));
        let one = op!(x::_mm512_castps_si512(x::_mm512_set1_ps(1.0)));
        op!(x::_mm512_castsi512_ps(x::_mm512_ternarylogic_epi32::<A_AND_B_OR_C>(a, mask, one)))
    }

    #[inline(always)]
    fn and(self, a: Self::U, mask: u32) -> Self::U {
        op!(x::_mm512_and_si512(a, x::_mm512_set1_epi32(mask.cast_signed())))
    }
    #[inline(always)]
    fn splat_u32(self, v: u32) -> Self::U {
        op!(x::_mm512_set1_epi32(v.cast_signed()))
    }
    #[inline(always)]
    fn add_u32(self, a: Self::U, b: Self::U) -> Self::U {
        op!(x::_mm512_add_epi32(a, b))
    }
    #[inline(always)]
    fn dot(self, acc: Self::U, w: Self::U, x: u32) -> Self::U {
        let x = op!(x::_mm512_set1_epi32(x.cast_signed()));
        if VNNI {
            return op!(x::_mm512_dpbusd_epi32(acc, w, x));
        }
        // Pairs of 16 bits, because sums of products of byte pairs would saturate.
        op!({
            let w_even = x::_mm512_and_si512(w, x::_mm512_set1_epi32(0x00ff_00ff));
            let w_odd = x::_mm512_srli_epi16::<8>(w);
            let x_even = x::_mm512_srai_epi16::<8>(x::_mm512_slli_epi16::<8>(x));
            let x_odd = x::_mm512_srai_epi16::<8>(x);
            let acc = x::_mm512_add_epi32(acc, x::_mm512_madd_epi16(w_even, x_even));
            x::_mm512_add_epi32(acc, x::_mm512_madd_epi16(w_odd, x_odd))
        })
    }
    #[inline(always)]
    fn dot_pairs(self, acc: Self::U, w: Self::U, x: u32) -> Self::U {
        let x = op!(x::_mm512_set1_epi32(x.cast_signed()));
        op!(x::_mm512_add_epi32(acc, x::_mm512_madd_epi16(w, x)))
    }
    #[inline(always)]
    fn to_f32(self, a: Self::U) -> Self::V {
        op!(x::_mm512_cvtepi32_ps(a))
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> Self::V {
        op!(x::_mm512_loadu_ps(p))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, a: Self::V) {
        op!(x::_mm512_storeu_ps(p, a));
    }
    #[inline(always)]
    unsafe fn load_first(self, p: *const f32, n: usize) -> Self::V {
        op!(x::_mm512_maskz_loadu_ps(first(n), p))
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, a: Self::V, n: usize) {
        // A masked store cannot be forwarded to a load, which then waits.
        if n == 16 {
            op!(x::_mm512_storeu_ps(p, a));
        } else {
            op!(x::_mm512_mask_storeu_ps(p, first(n), a));
        }
    }
    #[inline(always)]
    unsafe fn load_f16(self, p: *const f16) -> Self::V {
        op!(x::_mm512_cvtph_ps(x::_mm256_loadu_si256(p.cast())))
    }
    #[inline(always)]
    unsafe fn store_f16(self, p: *mut f16, a: Self::V) {
        op!(x::_mm256_storeu_si256(p.cast(), x::_mm512_cvtps_ph::<{ x::_MM_FROUND_TO_NEAREST_INT }>(a)));
    }
    #[inline(always)]
    unsafe fn load_bf16(self, p: *const bf16) -> Self::V {
        let wide = op!(x::_mm512_cvtepu16_epi32(x::_mm256_loadu_si256(p.cast())));
        op!(x::_mm512_castsi512_ps(x::_mm512_slli_epi32::<16>(wide)))
    }
    #[inline(always)]
    unsafe fn load_u32(self, p: *const u32) -> Self::U {
        op!(x::_mm512_loadu_si512(p.cast()))
    }
    #[inline(always)]
    unsafe fn store_u32(self, p: *mut u32, a: Self::U) {
        op!(x::_mm512_storeu_si512(p.cast(), a));
    }
    #[inline(always)]
    unsafe fn store_i8(self, p: *mut i8, a: Self::V) {
        op!(x::_mm_storeu_si128(p.cast(), x::_mm512_cvtsepi32_epi8(x::_mm512_cvtps_epi32(a))));
    }
    #[inline(always)]
    unsafe fn store_i16_pairs(self, p: *mut i16, a: Self::V) {
        const EXCHANGED: i32 = 0b11_01_10_00;
        op!({
            let low = x::_mm512_cvtsepi32_epi16(x::_mm512_cvtps_epi32(a));
            let low = x::_mm256_shufflelo_epi16::<EXCHANGED>(low);
            x::_mm256_storeu_si256(p.cast(), x::_mm256_shufflehi_epi16::<EXCHANGED>(low));
        });
    }
    #[inline(always)]
    fn prefetch(self, p: *const u8) {
        op!(x::_mm_prefetch::<{ x::_MM_HINT_T0 }>(p.cast()));
    }
}
