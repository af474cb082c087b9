//! Decodes the bits of a chunk to numbers, sixteen rows at a time: [`Code`].
//!
//! A quantized value is shifted to the top of the mantissa of 1.0, which takes a shift and one logical operation on
//! every machine: the lane then holds `1 + q / 2^bits`. The scale is multiplied by `2^bits`, and the 1 is subtracted
//! per group instead of per value (`dot.rs`), or within the fused multiply-add that applies the scale (`tiled.rs`).
//! All of it is exact in f32.

use std::cmp::Ordering;

use half::{bf16, f16};

use crate::packed::{CHUNK, FloatType, Header};
use crate::simd::{Element, LANES, Simd};

/// How a chunk of 32 columns is encoded.
pub(super) trait Code: Copy + Send + Sync + 'static {
    const AFFINE: bool;
    /// The factor for the scale; 1 for plain values.
    const RANGE: f32;
    const CHUNK_BYTES: usize;

    /// Decodes column `i` of the chunk: the number itself, or `1 + q / RANGE`.
    ///
    /// Unless plain, `i` must be a compile-time constant after inlining.
    ///
    /// # Safety
    /// `CHUNK_BYTES` at `chunk` are readable, and `i` is below 32.
    unsafe fn column<S: Simd>(simd: S, chunk: *const u8, i: usize) -> S::V;
}

/// Quantized in `BITS` bits.
#[derive(Clone, Copy)]
pub(super) struct Affine<const BITS: usize>;

/// Not quantized.
#[derive(Clone, Copy)]
pub(super) struct Plain<T>(std::marker::PhantomData<T>);

impl<const BITS: usize> Code for Affine<BITS> {
    const AFFINE: bool = true;
    const RANGE: f32 = (1u32 << BITS) as f32;
    const CHUNK_BYTES: usize = BITS * LANES * 4;

    #[inline(always)]
    unsafe fn column<S: Simd>(simd: S, chunk: *const u8, i: usize) -> S::V {
        const MANTISSA_BITS: usize = 23;
        let (word, bit) = (i * BITS / 32, i * BITS % 32);
        let target = MANTISSA_BITS - BITS;
        let words: *const u32 = chunk.cast();
        // SAFETY: the words of bits `i * BITS` up to `i * BITS + BITS` are within the chunk.
        let low = unsafe { simd.load_u32(words.add(word * LANES)) };
        let aligned = match bit.cmp(&target) {
            Ordering::Greater => simd.shr(low, (bit - target) as u32),
            Ordering::Less => simd.shl(low, (target - bit) as u32),
            Ordering::Equal => low,
        };
        let aligned = if bit + BITS > 32 {
            // SAFETY: as above.
            let high = unsafe { simd.load_u32(words.add((word + 1) * LANES)) };
            simd.or(aligned, simd.shl(high, (32 - bit + target) as u32))
        } else {
            aligned
        };
        simd.mantissa(aligned, ((1 << BITS) - 1) << target)
    }
}

impl<T: Element> Code for Plain<T> {
    const AFFINE: bool = false;
    const RANGE: f32 = 1.0;
    const CHUNK_BYTES: usize = CHUNK * LANES * size_of::<T>();

    #[inline(always)]
    unsafe fn column<S: Simd>(simd: S, chunk: *const u8, i: usize) -> S::V {
        // SAFETY: guaranteed by the caller.
        unsafe { T::load(simd, chunk.cast::<T>().add(i * LANES)) }
    }
}

/// Loads the sixteen scales or biases at `p`.
///
/// # Safety
/// Sixteen values of the type at `p` are readable.
#[inline(always)]
pub(super) unsafe fn load_scales<S: Simd>(simd: S, p: *const u8, scales: FloatType) -> S::V {
    // SAFETY: guaranteed by the caller.
    unsafe {
        match scales {
            FloatType::F16 => f16::load(simd, p.cast()),
            FloatType::Bf16 => simd.load_bf16(p.cast::<bf16>()),
            FloatType::F32 => f32::load(simd, p.cast()),
        }
    }
}

/// Loads the sixteen biases of the group at `group`, whose scales are `scale`; `middle` is `2^(bits - 1)`.
///
/// # Safety
/// The header is readable.
#[inline(always)]
pub(super) unsafe fn load_biases<S: Simd>(
    simd: S,
    group: *const u8,
    header: Header,
    scale: S::V,
    middle: f32,
) -> S::V {
    if header.is_centred {
        return simd.mul(scale, simd.splat(-middle));
    }
    // SAFETY: guaranteed by the caller.
    unsafe { load_scales(simd, group.add(header.scale_bytes()), header.scales) }
}

/// Evaluates `$body` for each column `$i` of a chunk: fully unrolled where shifts need immediate amounts, otherwise
/// four at a time, since plain values would only take more code.
macro_rules! for_columns {
    ($code:ty, |$i:ident| $body:block) => {
        if <$code>::AFFINE {
            unroll_32!($i, $body);
        } else {
            for first in (0..CHUNK).step_by(4) {
                {
                    let $i = first;
                    $body
                }
                {
                    let $i = first + 1;
                    $body
                }
                {
                    let $i = first + 2;
                    $body
                }
                {
                    let $i = first + 3;
                    $body
                }
            }
        }
    };
}
pub(super) use for_columns;

/// Evaluates `$body` with `$code` as the [`Code`] of `$coding`, and `$header` as the start of its groups.
macro_rules! with_code {
    ($coding:expr, |$code:ident, $header:ident| $body:expr) => {{
        use crate::matmul::coding::{Affine, Plain};
        use crate::packed::{Coding, FloatType, Header};
        const NONE: Header = Header { scales: FloatType::F32, is_centred: false };
        macro_rules! as_code {
            ($t:ty, $s:expr) => {{
                type $code = $t;
                let $header: Header = $s;
                $body
            }};
        }
        match $coding {
            Coding::Affine { bits: 2, header } => as_code!(Affine<2>, header),
            Coding::Affine { bits: 3, header } => as_code!(Affine<3>, header),
            Coding::Affine { bits: 4, header } => as_code!(Affine<4>, header),
            Coding::Affine { bits: 5, header } => as_code!(Affine<5>, header),
            Coding::Affine { bits: 6, header } => as_code!(Affine<6>, header),
            Coding::Affine { bits: _, header } => as_code!(Affine<8>, header),
            Coding::Plain(FloatType::F32) => as_code!(Plain<f32>, NONE),
            Coding::Plain(FloatType::F16) => as_code!(Plain<half::f16>, NONE),
            Coding::Plain(FloatType::Bf16) => as_code!(Plain<half::bf16>, NONE),
        }
    }};
}
pub(super) use with_code;
