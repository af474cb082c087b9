//! Unpacks bits to bytes: the values of a block, four columns per lane, and its scales in f32.

use crate::activations::integer::CENTRE;
use crate::matmul::coding::{load_biases, load_scales};
use crate::matmul::product::Block;
use crate::packed::quads::{QUADS, in_bytes, parts, place};
use crate::packed::{Header, Layout};
use crate::simd::{Kernel, LANES, Simd};

/// Blocks of sixteen outputs in a tile.
pub(super) const BLOCKS: usize = 2;
/// Weights are prefetched this far ahead: about the latency of memory times the speed of one core.
pub(super) const PREFETCH_BYTES: usize = 4_096;

/// Unpacks chunks of a block. Scales and biases of a group are repeated for each of its chunks.
///
/// Centred values can be shifted so that their middle is 128 for any number of bits; then one correction of the inputs
/// fits all.
pub(super) struct Unpack<const BITS: usize> {
    pub(super) block: Block,
    pub(super) header: Header,
    pub(super) is_shifted: bool,
    /// The first chunk; it starts a group.
    pub(super) first_chunk: usize,
    /// The number of chunks, which form whole groups.
    pub(super) n_chunks: usize,
    /// `[n_chunks][QUADS][BLOCKS][16]`, of which one block is written.
    pub(super) words: *mut u32,
    /// `[n_chunks][BLOCKS][2][16]`, as above.
    pub(super) headers: *mut f32,
}

impl<const BITS: usize> Kernel for Unpack<BITS> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Unpack { block, header, is_shifted, first_chunk, n_chunks, mut words, mut headers } = self;
        let Block { layout, at } = block;
        let middle = 1 << (BITS - 1);
        let offset =
            simd.splat_u32(in_bytes(if header.is_centred && is_shifted { CENTRE - middle } else { 0 }));
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
                let scale = load_scales(simd, group, header.scales);
                let bias = load_biases(simd, group, header, scale, middle as f32);
                let mut chunk: *const u32 = group.add(header_bytes).cast();
                for _ in 0..chunks_per_group {
                    simd.store(headers, scale);
                    simd.store(headers.add(LANES), bias);
                    for quad in 0..QUADS {
                        let value = load_quad::<S, BITS>(simd, chunk, quad);
                        simd.store_u32(words.add(quad * BLOCKS * LANES), simd.add_u32(value, offset));
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

/// Four columns of a chunk in the four bytes of each lane. `quad` must be a compile-time constant after inlining.
///
/// # Safety
/// The chunk is readable, and `quad` below `QUADS`.
#[inline(always)]
pub(super) unsafe fn load_quad<S: Simd, const BITS: usize>(simd: S, chunk: *const u32, quad: usize) -> S::U {
    let (low, high) = parts(BITS);
    let (word, shift) = place(quad, low);
    // SAFETY: guaranteed by the caller.
    let word = unsafe { simd.load_u32(chunk.add(word * LANES)) };
    if BITS == 8 {
        return word;
    }
    let value = simd.and(simd.shr(word, shift as u32), in_bytes((1 << low) - 1));
    if high == 0 {
        return value;
    }
    let (word, shift) = place(quad, high);
    // SAFETY: guaranteed by the caller.
    let word = unsafe { simd.load_u32(chunk.add((low + word) * LANES)) };
    let moved =
        if shift > low { simd.shr(word, (shift - low) as u32) } else { simd.shl(word, (low - shift) as u32) };
    simd.or(value, simd.and(moved, in_bytes(((1 << high) - 1) << low)))
}

/// Evaluates `$body` with the constant `$bits` of `$coding`, and `$header` as the start of its groups.
macro_rules! with_bits {
    ($coding:expr, |$bits:ident, $header:ident| $body:block) => {{
        use crate::packed::Coding;
        macro_rules! case {
            ($b:literal, $s:expr) => {{
                const $bits: usize = $b;
                let $header = $s;
                $body
            }};
        }
        match $coding {
            Coding::Affine { bits: 2, header } => case!(2, header),
            Coding::Affine { bits: 3, header } => case!(3, header),
            Coding::Affine { bits: 4, header } => case!(4, header),
            Coding::Affine { bits: 5, header } => case!(5, header),
            Coding::Affine { bits: 6, header } => case!(6, header),
            Coding::Affine { bits: _, header } => case!(8, header),
            Coding::Plain(_) => unreachable!("plain matrices are multiplied in f32"),
        }
    }};
}
pub(super) use with_bits;
