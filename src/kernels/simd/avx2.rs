//! AVX2 with FMA and F16C: a vector is two registers.

use std::arch::x86_64 as x;

use half::{bf16, f16};

use super::{Kernel, Simd};

/// Proof that the machine has AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

/// Sixteen lanes of f32, low and high.
#[derive(Clone, Copy)]
pub(crate) struct V(x::__m256, x::__m256);

/// Sixteen lanes of u32, low and high.
#[derive(Clone, Copy)]
pub(crate) struct U(x::__m256i, x::__m256i);

impl Avx2 {
    pub(crate) fn detect() -> Option<Avx2> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        has.then_some(Avx2(()))
    }
}

/// Calls an instruction whose features the token proves.
macro_rules! op {
    ($e:expr) => {{
        // SAFETY: `self` exists, so the instructions do; memory is guaranteed by the caller.
        unsafe { $e }
    }};
}

/// All ones in lanes `from..to`, counted from lane `start` of the vector.
#[inline(always)]
fn lanes(start: usize, from: usize, to: usize) -> x::__m256i {
    let (start, from, to) = (start as i32, from as i32, to as i32);
    // SAFETY: called by methods of a token only, which proves AVX2.
    unsafe {
        let iota =
            x::_mm256_add_epi32(x::_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), x::_mm256_set1_epi32(start));
        let below = x::_mm256_cmpgt_epi32(x::_mm256_set1_epi32(to), iota);
        x::_mm256_andnot_si256(x::_mm256_cmpgt_epi32(x::_mm256_set1_epi32(from), iota), below)
    }
}

impl Simd for Avx2 {
    type V = V;
    type U = U;

    const TILE_ROWS: usize = 6;
    const TILE_BLOCKS: usize = 1;
    const FEW_ROWS: usize = 4;
    const INTEGER_ROWS: usize = 4;
    const FEW_INTEGER_ROWS: usize = 4;
    const WIDE: bool = true;
    const SUMS_BYTES: bool = true;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn compiled<K: Kernel>(simd: Avx2, kernel: K) {
            kernel.run(simd);
        }
        // The compiler ignores `inline(never)` on a function with `target_feature`.
        #[inline(never)]
        fn outlined<K: Kernel>(simd: Avx2, kernel: K) {
            // SAFETY: the token proves the features.
            unsafe { compiled(simd, kernel) };
        }
        outlined(self, kernel);
    }

    #[inline(always)]
    fn splat(self, v: f32) -> V {
        let v = op!(x::_mm256_set1_ps(v));
        V(v, v)
    }
    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        op!(V(x::_mm256_add_ps(a.0, b.0), x::_mm256_add_ps(a.1, b.1)))
    }
    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        op!(V(x::_mm256_sub_ps(a.0, b.0), x::_mm256_sub_ps(a.1, b.1)))
    }
    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        op!(V(x::_mm256_mul_ps(a.0, b.0), x::_mm256_mul_ps(a.1, b.1)))
    }
    #[inline(always)]
    fn div(self, a: V, b: V) -> V {
        op!(V(x::_mm256_div_ps(a.0, b.0), x::_mm256_div_ps(a.1, b.1)))
    }
    #[inline(always)]
    fn max(self, a: V, b: V) -> V {
        op!(V(x::_mm256_max_ps(a.0, b.0), x::_mm256_max_ps(a.1, b.1)))
    }
    #[inline(always)]
    fn min(self, a: V, b: V) -> V {
        op!(V(x::_mm256_min_ps(a.0, b.0), x::_mm256_min_ps(a.1, b.1)))
    }
    #[inline(always)]
    fn mul_add(self, a: V, b: V, c: V) -> V {
        op!(V(x::_mm256_fmadd_ps(a.0, b.0, c.0), x::_mm256_fmadd_ps(a.1, b.1, c.1)))
    }
    #[inline(always)]
    fn round(self, a: V) -> V {
        const NEAREST: i32 = x::_MM_FROUND_TO_NEAREST_INT | x::_MM_FROUND_NO_EXC;
        op!(V(x::_mm256_round_ps::<NEAREST>(a.0), x::_mm256_round_ps::<NEAREST>(a.1)))
    }
    #[inline(always)]
    fn pow2(self, n: V) -> V {
        #[inline(always)]
        fn half(n: x::__m256) -> x::__m256 {
            // SAFETY: called by methods of a token only, which proves AVX2.
            unsafe {
                let biased = x::_mm256_add_epi32(x::_mm256_cvtps_epi32(n), x::_mm256_set1_epi32(127));
                x::_mm256_castsi256_ps(x::_mm256_slli_epi32::<23>(biased))
            }
        }
        V(half(n.0), half(n.1))
    }
    #[inline(always)]
    fn reduce_add(self, a: V) -> f32 {
        let eight = op!(x::_mm256_add_ps(a.0, a.1));
        let four = op!(x::_mm_add_ps(x::_mm256_castps256_ps128(eight), x::_mm256_extractf128_ps::<1>(eight)));
        let two = op!(x::_mm_add_ps(four, x::_mm_movehl_ps(four, four)));
        op!(x::_mm_cvtss_f32(x::_mm_add_ss(two, x::_mm_movehdup_ps(two))))
    }
    #[inline(always)]
    fn reduce_max(self, a: V) -> f32 {
        let eight = op!(x::_mm256_max_ps(a.0, a.1));
        let four = op!(x::_mm_max_ps(x::_mm256_castps256_ps128(eight), x::_mm256_extractf128_ps::<1>(eight)));
        let two = op!(x::_mm_max_ps(four, x::_mm_movehl_ps(four, four)));
        op!(x::_mm_cvtss_f32(x::_mm_max_ss(two, x::_mm_movehdup_ps(two))))
    }
    #[inline(always)]
    fn greater_mask(self, a: V, b: V) -> u16 {
        let low = op!(x::_mm256_movemask_ps(x::_mm256_cmp_ps::<{ x::_CMP_GT_OQ }>(a.0, b.0)));
        let high = op!(x::_mm256_movemask_ps(x::_mm256_cmp_ps::<{ x::_CMP_GT_OQ }>(a.1, b.1)));
        (low | high << 8).cast_unsigned() as u16
    }
    #[inline(always)]
    fn where_greater(self, a: V, b: V, v: V) -> V {
        op!(V(
            x::_mm256_and_ps(x::_mm256_cmp_ps::<{ x::_CMP_GT_OQ }>(a.0, b.0), v.0),
            x::_mm256_and_ps(x::_mm256_cmp_ps::<{ x::_CMP_GT_OQ }>(a.1, b.1), v.1),
        ))
    }
    #[inline(always)]
    fn keep(self, a: V, from: usize, to: usize, fill: V) -> V {
        let (low, high) = (lanes(0, from, to), lanes(8, from, to));
        op!(V(
            x::_mm256_blendv_ps(fill.0, a.0, x::_mm256_castsi256_ps(low)),
            x::_mm256_blendv_ps(fill.1, a.1, x::_mm256_castsi256_ps(high)),
        ))
    }

    #[inline(always)]
    fn shl(self, a: U, n: u32) -> U {
        let n = op!(x::_mm256_set1_epi32(n.cast_signed()));
        op!(U(x::_mm256_sllv_epi32(a.0, n), x::_mm256_sllv_epi32(a.1, n)))
    }
    #[inline(always)]
    fn shr(self, a: U, n: u32) -> U {
        let n = op!(x::_mm256_set1_epi32(n.cast_signed()));
        op!(U(x::_mm256_srlv_epi32(a.0, n), x::_mm256_srlv_epi32(a.1, n)))
    }
    #[inline(always)]
    fn or(self, a: U, b: U) -> U {
        op!(U(x::_mm256_or_si256(a.0, b.0), x::_mm256_or_si256(a.1, b.1)))
    }
    #[inline(always)]
    fn mantissa(self, a: U, mask: u32) -> V {
        let mask = op!(x::_mm256_castsi256_ps(x::_mm256_set1_epi32(mask.cast_signed())));
        let one = op!(x::_mm256_set1_ps(1.0));
        op!(V(
            x::_mm256_or_ps(x::_mm256_and_ps(x::_mm256_castsi256_ps(a.0), mask), one),
            x::_mm256_or_ps(x::_mm256_and_ps(x::_mm256_castsi256_ps(a.1), mask), one),
        ))
    }

    #[inline(always)]
    fn and(self, a: U, mask: u32) -> U {
        let mask = op!(x::_mm256_set1_epi32(mask.cast_signed()));
        op!(U(x::_mm256_and_si256(a.0, mask), x::_mm256_and_si256(a.1, mask)))
    }
    #[inline(always)]
    fn splat_u32(self, v: u32) -> U {
        let half = op!(x::_mm256_set1_epi32(v.cast_signed()));
        U(half, half)
    }
    #[inline(always)]
    fn add_u32(self, a: U, b: U) -> U {
        op!(U(x::_mm256_add_epi32(a.0, b.0), x::_mm256_add_epi32(a.1, b.1)))
    }
    #[inline(always)]
    fn dot(self, acc: U, w: U, x: u32) -> U {
        let [w_even, w_odd] = self.byte_pairs(w);
        let [even, odd] = [x << 8, x].map(|it| {
            // Sign-extends the bytes.
            let halves = [it as i16 >> 8, (it >> 16) as i16 >> 8].map(i16::cast_unsigned);
            u32::from(halves[0]) | u32::from(halves[1]) << 16
        });
        self.dot_pairs(self.dot_pairs(acc, w_even, even), w_odd, odd)
    }
    #[inline(always)]
    fn dot_pairs(self, acc: U, w: U, x: u32) -> U {
        let x = op!(x::_mm256_set1_epi32(x.cast_signed()));
        op!(U(
            x::_mm256_add_epi32(acc.0, x::_mm256_madd_epi16(w.0, x)),
            x::_mm256_add_epi32(acc.1, x::_mm256_madd_epi16(w.1, x)),
        ))
    }
    #[inline(always)]
    fn dot_bytes(self, acc: U, w: U, x: u32) -> U {
        let x = op!(x::_mm256_set1_epi32(x.cast_signed()));
        op!(U(
            x::_mm256_add_epi16(acc.0, x::_mm256_maddubs_epi16(w.0, x)),
            x::_mm256_add_epi16(acc.1, x::_mm256_maddubs_epi16(w.1, x)),
        ))
    }
    #[inline(always)]
    fn byte_pairs(self, a: U) -> [U; 2] {
        let low = op!(x::_mm256_set1_epi32(0x00ff_00ff));
        op!([
            U(x::_mm256_and_si256(a.0, low), x::_mm256_and_si256(a.1, low)),
            U(x::_mm256_srli_epi16::<8>(a.0), x::_mm256_srli_epi16::<8>(a.1)),
        ])
    }
    #[inline(always)]
    fn to_f32(self, a: U) -> V {
        op!(V(x::_mm256_cvtepi32_ps(a.0), x::_mm256_cvtepi32_ps(a.1)))
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> V {
        op!(V(x::_mm256_loadu_ps(p), x::_mm256_loadu_ps(p.add(8))))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, a: V) {
        op!({
            x::_mm256_storeu_ps(p, a.0);
            x::_mm256_storeu_ps(p.add(8), a.1);
        });
    }
    #[inline(always)]
    unsafe fn load_first(self, p: *const f32, n: usize) -> V {
        if n == 16 {
            return op!(self.load(p));
        }
        // Masked lanes are not accessed, but the address must not leave the allocation.
        let high = p.wrapping_add(8);
        op!(V(x::_mm256_maskload_ps(p, lanes(0, 0, n)), x::_mm256_maskload_ps(high, lanes(8, 0, n))))
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, a: V, n: usize) {
        // Masked stores are slow, on some machines very slow.
        if n == 16 {
            return op!(self.store(p, a));
        }
        op!({
            x::_mm256_maskstore_ps(p, lanes(0, 0, n), a.0);
            x::_mm256_maskstore_ps(p.wrapping_add(8), lanes(8, 0, n), a.1);
        });
    }
    #[inline(always)]
    unsafe fn load_f16(self, p: *const f16) -> V {
        op!(V(
            x::_mm256_cvtph_ps(x::_mm_loadu_si128(p.cast())),
            x::_mm256_cvtph_ps(x::_mm_loadu_si128(p.add(8).cast())),
        ))
    }
    #[inline(always)]
    unsafe fn store_f16(self, p: *mut f16, a: V) {
        op!({
            x::_mm_storeu_si128(p.cast(), x::_mm256_cvtps_ph::<{ x::_MM_FROUND_TO_NEAREST_INT }>(a.0));
            x::_mm_storeu_si128(p.add(8).cast(), x::_mm256_cvtps_ph::<{ x::_MM_FROUND_TO_NEAREST_INT }>(a.1));
        });
    }
    #[inline(always)]
    unsafe fn load_bf16(self, p: *const bf16) -> V {
        #[inline(always)]
        unsafe fn half(p: *const bf16) -> x::__m256 {
            // SAFETY: called by methods of a token only, which proves AVX2; eight values are readable.
            unsafe {
                let wide = x::_mm256_cvtepu16_epi32(x::_mm_loadu_si128(p.cast()));
                x::_mm256_castsi256_ps(x::_mm256_slli_epi32::<16>(wide))
            }
        }
        op!(V(half(p), half(p.add(8))))
    }
    #[inline(always)]
    unsafe fn load_u32(self, p: *const u32) -> U {
        op!(U(x::_mm256_loadu_si256(p.cast()), x::_mm256_loadu_si256(p.add(8).cast())))
    }
    #[inline(always)]
    unsafe fn store_u32(self, p: *mut u32, a: U) {
        op!({
            x::_mm256_storeu_si256(p.cast(), a.0);
            x::_mm256_storeu_si256(p.add(8).cast(), a.1);
        });
    }
    #[inline(always)]
    unsafe fn store_i8(self, p: *mut i8, a: V) {
        op!({
            let (low, high) = (x::_mm256_cvtps_epi32(a.0), x::_mm256_cvtps_epi32(a.1));
            let low =
                x::_mm_packs_epi32(x::_mm256_castsi256_si128(low), x::_mm256_extracti128_si256::<1>(low));
            let high =
                x::_mm_packs_epi32(x::_mm256_castsi256_si128(high), x::_mm256_extracti128_si256::<1>(high));
            x::_mm_storeu_si128(p.cast(), x::_mm_packs_epi16(low, high));
        });
    }
    #[inline(always)]
    unsafe fn store_i16_pairs(self, p: *mut i16, a: V) {
        const EXCHANGED: i32 = 0b11_01_10_00;
        op!({
            let both = x::_mm256_packs_epi32(x::_mm256_cvtps_epi32(a.0), x::_mm256_cvtps_epi32(a.1));
            let in_order = x::_mm256_permute4x64_epi64::<EXCHANGED>(both);
            let low = x::_mm256_shufflelo_epi16::<EXCHANGED>(in_order);
            x::_mm256_storeu_si256(p.cast(), x::_mm256_shufflehi_epi16::<EXCHANGED>(low));
        });
    }
    #[inline(always)]
    fn prefetch(self, p: *const u8) {
        op!(x::_mm_prefetch::<{ x::_MM_HINT_T0 }>(p.cast()));
    }
}
