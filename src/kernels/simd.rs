//! The interface between algorithms and instruction sets: [`Simd`] and [`Kernel`].
//!
//! A vector always has sixteen lanes: one register on AVX-512, two on AVX2, four on NEON. A packed block of weights
//! has the same number of rows, so an algorithm written against [`Simd`] is independent of the machine. Each path is
//! a zero-sized token that can only be obtained after its instructions were detected, so its methods are safe unless
//! they access memory.
//!
//! Everything is `inline(always)`: a [`Kernel`] is compiled as a whole inside [`Simd::run`], the only function with
//! `#[target_feature]`, and so uses its instruction set. A kernel's hot loops must not contain closures or calls that
//! are not inlined.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
pub(crate) mod portable;

use half::{bf16, f16};

/// Lanes of a vector, rows of a block of packed weights, keys of a block of the cache.
pub(crate) const LANES: usize = 16;

/// Work that is compiled once per instruction set.
pub(crate) trait Kernel {
    /// Must be `#[inline(always)]`, like everything that it calls in a loop.
    fn run<S: Simd>(self, simd: S);
}

/// Sixteen lanes of f32 (`V`) or u32 (`U`) on one instruction set.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    type V: Copy;
    type U: Copy;

    /// Rows of the largest register tile: `TILE_ROWS * TILE_BLOCKS` accumulators must fit in registers.
    const TILE_ROWS: usize;
    /// Blocks of sixteen outputs in a register tile, 1 or 2.
    const TILE_BLOCKS: usize;
    /// Up to this many rows, weights are unpacked in registers; beyond, through a panel in memory.
    const FEW_ROWS: usize;
    /// Rows of the largest tile of integers, which takes two registers for each row and block.
    const INTEGER_ROWS: usize;
    /// Up to this many integer rows, weights are unpacked in registers.
    const FEW_INTEGER_ROWS: usize;

    /// Whether integers are multiplied as pairs of 16 bits, by `dot_pairs`, instead of four bytes at a time, by
    /// `dot`.
    const WIDE: bool = false;

    /// Whether `dot_bytes` is faster than `dot_pairs`, where its sums fit into 16 bits.
    const SUMS_BYTES: bool = false;

    /// Runs `kernel`, compiled for this instruction set as a separate function. A kernel that runs another one must
    /// not inline it, since compile time grows faster than the size of a function.
    fn run<K: Kernel>(self, kernel: K);

    fn splat(self, x: f32) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `b` in lanes where `a` is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `b` in lanes where `a` is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    fn round(self, a: Self::V) -> Self::V;
    /// `2^n` for integers `n` in -126..=127.
    fn pow2(self, n: Self::V) -> Self::V;
    /// `a * 2^n` for integers `n` in -126..=127.
    #[inline(always)]
    fn times_pow2(self, a: Self::V, n: Self::V) -> Self::V {
        self.mul(a, self.pow2(n))
    }
    fn reduce_add(self, a: Self::V) -> f32;
    /// The largest lane; unspecified if a lane is NaN.
    fn reduce_max(self, a: Self::V) -> f32;
    /// Lane `i` is the sum of the lanes of vector `i`.
    #[inline(always)]
    fn add_each(self, vectors: &[Self::V; LANES]) -> Self::V {
        let mut sums = [0.0; LANES];
        for (sum, vector) in sums.iter_mut().zip(vectors) {
            *sum = self.reduce_add(*vector);
        }
        // SAFETY: sixteen values.
        unsafe { self.load(sums.as_ptr()) }
    }
    /// Lane `i` is the largest lane of vector `i`; unspecified if one is NaN.
    #[inline(always)]
    fn max_each(self, vectors: &[Self::V; LANES]) -> Self::V {
        let mut greatest = [0.0; LANES];
        for (greatest, vector) in greatest.iter_mut().zip(vectors) {
            *greatest = self.reduce_max(*vector);
        }
        // SAFETY: sixteen values.
        unsafe { self.load(greatest.as_ptr()) }
    }
    /// Bit `i` is set if lane `i` of `a` is greater than that of `b`.
    fn greater_mask(self, a: Self::V, b: Self::V) -> u16;
    /// `x` in lanes where `a` is greater than `b`, 0 elsewhere.
    fn where_greater(self, a: Self::V, b: Self::V, x: Self::V) -> Self::V;
    /// Lanes `from..to` of `a`, `fill` elsewhere.
    fn keep(self, a: Self::V, from: usize, to: usize, fill: Self::V) -> Self::V;

    fn shl(self, a: Self::U, n: u32) -> Self::U;
    fn shr(self, a: Self::U, n: u32) -> Self::U;
    fn or(self, a: Self::U, b: Self::U) -> Self::U;
    /// `a & mask` in every lane.
    fn and(self, a: Self::U, mask: u32) -> Self::U;
    /// | `(a & mask) | 1.0f32.to_bits()`: a number in `1.0..2.0` whose mantissa contains the masked bits of `a`.
    fn mantissa(self, a: Self::U, mask: u32) -> Self::V;

    fn splat_u32(self, x: u32) -> Self::U;
    fn add_u32(self, a: Self::U, b: Self::U) -> Self::U;
    /// `acc` plus, in every lane, the products of the four bytes of `w`, which are unsigned, with those of
    /// `x`, which are signed; exact.
    fn dot(self, acc: Self::U, w: Self::U, x: u32) -> Self::U;
    /// `acc` plus, in every lane, the products of the two signed halves of `w` with those of `x`; exact.
    #[inline(always)]
    fn dot_pairs(self, acc: Self::U, w: Self::U, x: u32) -> Self::U {
        let mut lanes = [0; LANES];
        // SAFETY: sixteen values.
        unsafe {
            self.store_u32(lanes.as_mut_ptr(), w);
            for lane in &mut lanes {
                let product =
                    |shift: u32| i32::from((*lane >> shift) as i16) * i32::from((x >> shift) as i16);
                *lane = product(0).wrapping_add(product(16)).cast_unsigned();
            }
            self.add_u32(acc, self.load_u32(lanes.as_ptr()))
        }
    }
    /// `acc` plus, in both halves of every lane, the products of two bytes of `w`, which are unsigned, with those of
    /// `x`, which are signed; exact as long as no sum needs more than 16 bits.
    #[inline(always)]
    fn dot_bytes(self, acc: Self::U, w: Self::U, x: u32) -> Self::U {
        let (mut sums, mut bytes) = ([0; LANES], [0; LANES]);
        // SAFETY: sixteen values each.
        unsafe {
            self.store_u32(sums.as_mut_ptr(), acc);
            self.store_u32(bytes.as_mut_ptr(), w);
            for (sum, w) in sums.iter_mut().zip(bytes) {
                let (w, x) = (w.to_le_bytes(), x.to_le_bytes());
                let product = |i: usize| i16::from(w[i]) * i16::from(x[i].cast_signed());
                let half = |i: usize| product(2 * i).wrapping_add(product(2 * i + 1));
                let halves = [*sum as i16, (*sum >> 16) as i16];
                let [low, high] = [half(0).wrapping_add(halves[0]), half(1).wrapping_add(halves[1])];
                *sum = u32::from(low.cast_unsigned()) | u32::from(high.cast_unsigned()) << 16;
            }
            self.load_u32(sums.as_ptr())
        }
    }
    /// The first and third bytes of every lane, and the second and fourth, as 16-bit numbers.
    #[inline(always)]
    fn byte_pairs(self, a: Self::U) -> [Self::U; 2] {
        [self.and(a, 0x00ff_00ff), self.and(self.shr(a, 8), 0x00ff_00ff)]
    }
    /// The lanes, as signed integers, converted to f32.
    fn to_f32(self, a: Self::U) -> Self::V;

    /// # Safety
    /// Sixteen values at `p` are readable.
    unsafe fn load(self, p: *const f32) -> Self::V;
    /// # Safety
    /// Sixteen values at `p` are writable.
    unsafe fn store(self, p: *mut f32, a: Self::V);
    /// The first `n` values at `p`, zero in the other lanes.
    ///
    /// # Safety
    /// `n` values at `p` are readable.
    unsafe fn load_first(self, p: *const f32, n: usize) -> Self::V;
    /// # Safety
    /// `n` values at `p` are writable.
    unsafe fn store_first(self, p: *mut f32, a: Self::V, n: usize);
    /// # Safety
    /// Sixteen values at `p` are readable.
    unsafe fn load_f16(self, p: *const f16) -> Self::V;
    /// # Safety
    /// Sixteen values at `p` are writable.
    unsafe fn store_f16(self, p: *mut f16, a: Self::V);
    /// # Safety
    /// Sixteen values at `p` are readable.
    unsafe fn load_bf16(self, p: *const bf16) -> Self::V;
    /// # Safety
    /// Sixteen values at `p` are readable.
    unsafe fn load_u32(self, p: *const u32) -> Self::U;
    /// # Safety
    /// Sixteen values at `p` are writable.
    unsafe fn store_u32(self, p: *mut u32, a: Self::U);
    /// Stores integers in -128..=127.
    ///
    /// # Safety
    /// Sixteen values at `p` are writable.
    unsafe fn store_i8(self, p: *mut i8, a: Self::V);
    /// Stores 16-bit integers, with the second and the third of each four exchanged, to match `byte_pairs`.
    ///
    /// # Safety
    /// Sixteen values at `p` are writable.
    #[inline(always)]
    unsafe fn store_i16_pairs(self, p: *mut i16, a: Self::V) {
        let mut lanes = [0.0; LANES];
        // SAFETY: sixteen values here, and at `p` guaranteed by the caller.
        unsafe {
            self.store(lanes.as_mut_ptr(), a);
            for (i, four) in lanes.chunks_exact(4).enumerate() {
                let four = [four[0], four[2], four[1], four[3]].map(|it| it as i16);
                p.add(4 * i).cast::<[i16; 4]>().write_unaligned(four);
            }
        }
    }
    /// Prefetches the cache line at `p`, which need not be a valid address.
    fn prefetch(self, p: *const u8);

    #[inline(always)]
    fn zero(self) -> Self::V {
        self.splat(0.0)
    }

    #[inline(always)]
    fn zero_u32(self) -> Self::U {
        self.splat_u32(0)
    }
}

/// A type in memory that loads as f32.
pub(crate) trait Element: Copy + Send + Sync + 'static {
    /// # Safety
    /// Sixteen values at `p` are readable.
    unsafe fn load<S: Simd>(simd: S, p: *const Self) -> S::V;
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, p: *const f32) -> S::V {
        // SAFETY: guaranteed by the caller.
        unsafe { simd.load(p) }
    }
}

impl Element for f16 {
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, p: *const f16) -> S::V {
        // SAFETY: guaranteed by the caller.
        unsafe { simd.load_f16(p) }
    }
}

impl Element for bf16 {
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, p: *const bf16) -> S::V {
        // SAFETY: guaranteed by the caller.
        unsafe { simd.load_bf16(p) }
    }
}

/// A type that the key-value cache can store.
pub(crate) trait Stored: Element + Default {
    /// # Safety
    /// Sixteen values at `p` are writable.
    unsafe fn store<S: Simd>(simd: S, p: *mut Self, a: S::V);
}

impl Stored for f32 {
    #[inline(always)]
    unsafe fn store<S: Simd>(simd: S, p: *mut f32, a: S::V) {
        // SAFETY: guaranteed by the caller.
        unsafe { simd.store(p, a) };
    }
}

impl Stored for f16 {
    #[inline(always)]
    unsafe fn store<S: Simd>(simd: S, p: *mut f16, a: S::V) {
        // SAFETY: guaranteed by the caller.
        unsafe { simd.store_f16(p, a) };
    }
}

/// Expands `$body` thirty-two times, with the constant `$i` from 0 to 31: shift amounts must be immediates, and the
/// optimizer does not guarantee to unroll a loop of this size.
macro_rules! unroll_32 {
    ($i:ident, $body:block) => {
        unroll_32!(@ $i, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31)
    };
    (@ $i:ident, $body:block, $($n:literal)*) => { $({ let $i: usize = $n; $body })* };
}
pub(crate) use unroll_32;
