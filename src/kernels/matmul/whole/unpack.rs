//! From packed bits to bytes: the values of a block, four columns to a lane, and its scales in f32.

use super::{BLOCKS, Block};
use crate::matmul::coding::load_scales;
use crate::packed::quads::{QUADS, in_bytes, parts, place};
use crate::packed::{FloatType, Layout};
use crate::simd::{Kernel, LANES, Simd};

/// Weights are asked for this far ahead: about the latency of memory times the speed of one core.
pub(super) const PREFETCH_BYTES: usize = 4_096;

/// Spreads chunks of a block; scales and biases of a group are repeated for each of its chunks.
pub(super) struct Unpack<const BITS: usize> {
    pub(super) block: Block,
    pub(super) scales: FloatType,
    /// The first of a group.
    pub(super) first_chunk: usize,
    /// Whole groups.
    pub(super) n_chunks: usize,
    /// `[n_chunks][QUADS][BLOCKS][16]`, of which one block is written.
    pub(super) words: *mut u32,
    /// `[n_chunks][BLOCKS][2][16]`, as above.
    pub(super) headers: *mut f32,
}

impl<const BITS: usize> Kernel for Unpack<BITS> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Unpack { block: Block { layout, at }, scales, first_chunk, n_chunks, mut words, mut headers } =
            self;
        let Layout { chunks_per_group, .. } = layout;
        debug_assert!(
            first_chunk.is_multiple_of(chunks_per_group) && n_chunks.is_multiple_of(chunks_per_group)
        );
        let (group_bytes, header_bytes) = (layout.group_bytes(), layout.header_bytes());
        let mut group = at.wrapping_add(first_chunk / chunks_per_group * group_bytes);
        for _ in 0..n_chunks / chunks_per_group {
            for line in (0..group_bytes).step_by(64) {
                simd.prefetch(group.wrapping_add(PREFETCH_BYTES + line));
            }
            // SAFETY: the group is within the block, and there is room for its chunks.
            unsafe {
                let scale = load_scales(simd, group, scales);
                let bias = load_scales(simd, group.add(header_bytes / 2), scales);
                let mut chunk: *const u32 = group.add(header_bytes).cast();
                for _ in 0..chunks_per_group {
                    simd.store(headers, scale);
                    simd.store(headers.add(LANES), bias);
                    for quad in 0..QUADS {
                        let value = load_quad::<S, BITS>(simd, chunk, quad);
                        simd.store_u32(words.add(quad * BLOCKS * LANES), value);
                    }
                    chunk = chunk.wrapping_add(BITS * LANES);
                    words = words.wrapping_add(QUADS * BLOCKS * LANES);
                    headers = headers.wrapping_add(BLOCKS * 2 * LANES);
                }
            }
            group = group.wrapping_add(group_bytes);
        }
    }
}

/// Four columns of a chunk in the four bytes of each lane. `quad` must be known to the compiler.
///
/// # Safety
/// The chunk is readable, and `quad` below `QUADS`.
#[inline(always)]
pub(super) unsafe fn load_quad<S: Simd, const BITS: usize>(simd: S, chunk: *const u32, quad: usize) -> S::U {
    let (low, high) = parts(BITS);
    let (word, shift) = place(quad, low);
    // SAFETY: as promised by the caller.
    let word = unsafe { simd.load_u32(chunk.add(word * LANES)) };
    if BITS == 8 {
        return word;
    }
    let value = simd.and(simd.shr(word, shift as u32), in_bytes((1 << low) - 1));
    if high == 0 {
        return value;
    }
    let (word, shift) = place(quad, high);
    // SAFETY: as promised by the caller.
    let word = unsafe { simd.load_u32(chunk.add((low + word) * LANES)) };
    let moved =
        if shift > low { simd.shr(word, (shift - low) as u32) } else { simd.shl(word, (low - shift) as u32) };
    simd.or(value, simd.and(moved, in_bytes(((1 << high) - 1) << low)))
}

/// Evaluates `$body` with the constant `$bits` equal to those of `$coding`, and `$scales` the type of its scales.
macro_rules! with_bits {
    ($coding:expr, |$bits:ident, $scales:ident| $body:block) => {{
        use crate::packed::Coding;
        macro_rules! case {
            ($b:literal, $s:expr) => {{
                const $bits: usize = $b;
                let $scales = $s;
                $body
            }};
        }
        match $coding {
            Coding::Affine { bits: 2, scales } => case!(2, scales),
            Coding::Affine { bits: 3, scales } => case!(3, scales),
            Coding::Affine { bits: 4, scales } => case!(4, scales),
            Coding::Affine { bits: 5, scales } => case!(5, scales),
            Coding::Affine { bits: 6, scales } => case!(6, scales),
            Coding::Affine { bits: _, scales } => case!(8, scales),
            Coding::Plain(_) => unreachable!("plain matrices are multiplied in f32"),
        }
    }};
}
pub(super) use with_bits;
