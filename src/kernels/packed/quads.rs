//! Quantized values arranged for integer products, with four columns in the four bytes of a lane.
//!
//! Four consecutive columns are a quad; a chunk has eight. The bits of a value are split into two parts whose widths
//! are powers of two: 5 bits into 4 and 1, 6 into 4 and 2, 3 into 2 and 1. In each part a word holds the same bits of
//! as many quads as fit, every column in its own byte: with 4 bits, quad 0 is in the lower halves of a word's bytes
//! and quad 1 in the upper halves. So a quad takes a shift and a mask for each part, for any width, and the words
//! take no more memory than before.

use crate::simd::LANES;

/// Quads in a chunk.
pub(crate) const QUADS: usize = 8;

/// The widths of the low part of values of `bits` bits, which comes first in a chunk, and of the high part; powers of
/// two or 0.
pub(crate) const fn parts(bits: usize) -> (usize, usize) {
    match bits {
        3 => (2, 1),
        5 => (4, 1),
        6 => (4, 2),
        _ => (bits, 0),
    }
}

/// `value` repeated in each of the four bytes.
pub(crate) const fn in_bytes(value: u32) -> u32 {
    value * 0x0101_0101
}

/// The word that contains quad `quad` of a part of `bits` bits, and the quad's offset within each byte.
pub(crate) const fn place(quad: usize, bits: usize) -> (usize, usize) {
    (quad * bits / 8, quad * bits % 8)
}

/// Packs `n_words` words, which are whole chunks, of each of `n_rows` rows, interleaving the words of the rows.
///
/// # Safety
/// `n_words` words are readable from `from`, and from `stride` words later for each further row; `n_words` times
/// sixteen are writable at `to`.
pub(super) unsafe fn pack(
    from: *const u32,
    stride: usize,
    n_words: usize,
    bits: usize,
    n_rows: usize,
    to: *mut u32,
) {
    let pack_row = match bits {
        2 => pack_row::<2>,
        3 => pack_row::<3>,
        4 => pack_row::<4>,
        5 => pack_row::<5>,
        6 => pack_row::<6>,
        _ => pack_row::<8>,
    };
    for r in 0..n_rows {
        // SAFETY: guaranteed by the caller.
        unsafe { pack_row(from.add(r * stride), n_words, to.add(r)) };
    }
}

/// # Safety
/// As for `pack`, with one row.
unsafe fn pack_row<const BITS: usize>(from: *const u32, n_words: usize, to: *mut u32) {
    for chunk in (0..n_words).step_by(BITS) {
        // SAFETY: guaranteed by the caller; a chunk has `BITS` words.
        let words = unsafe { from.add(chunk).cast::<[u32; BITS]>().read() };
        let packed: [_; BITS] = pack_chunk(spread(words));
        for (i, word) in packed.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe { *to.add((chunk + i) * LANES) = word };
        }
    }
}

/// The words of both parts of a chunk.
#[inline(always)]
fn pack_chunk<const BITS: usize>(quads: [u32; QUADS]) -> [u32; BITS] {
    let (low, high) = parts(BITS);
    let mut packed = [0; BITS];
    for (i, quad) in quads.into_iter().enumerate() {
        let (word, shift) = place(i, low);
        packed[word] |= (quad & in_bytes((1 << low) - 1)) << shift;
        if high > 0 {
            let (word, shift) = place(i, high);
            packed[low + word] |= (quad >> low & in_bytes((1 << high) - 1)) << shift;
        }
    }
    packed
}

/// The 32 values of a chunk, one per byte, four per word.
#[inline(always)]
fn spread<const BITS: usize>(words: [u32; BITS]) -> [u32; QUADS] {
    /// Moves the upper half of each field of `2 * bits` bits up, so that fields are twice as far apart.
    const fn split(x: u64, bits: u32, apart: u32) -> u64 {
        let mut low = 0;
        let mut at = 0;
        while at < 64 {
            low |= ((1 << bits) - 1) << at;
            at += 2 * apart;
        }
        (x & low) | (x & low << bits) << (apart - bits)
    }
    let mut quads = [0; QUADS];
    for (octet, quads) in quads.chunks_exact_mut(2).enumerate() {
        // Eight values are `BITS` whole bytes, and never reach into a third word.
        let (word, bit) = (octet * BITS / 4, octet * BITS % 4 * 8);
        let next = words.get(word + 1).copied().unwrap_or(0);
        let mut x = (u64::from(next) << 32 | u64::from(words[word])) >> bit;
        x = split(x, 4 * BITS as u32, 32);
        x = split(x, 2 * BITS as u32, 16);
        x = split(x, BITS as u32, 8);
        quads[0] = x as u32;
        quads[1] = (x >> 32) as u32;
    }
    quads
}

/// Decodes column `i` of a chunk; `words` starts with the first word of the row.
///
/// # Safety
/// The chunk is readable.
pub(super) unsafe fn value(words: *const u32, i: usize, bits: usize) -> u32 {
    let (quad, byte) = (i / 4, i % 4);
    let (low, high) = parts(bits);
    let part = |first: usize, bits: usize| {
        let (word, shift) = place(quad, bits);
        // SAFETY: guaranteed by the caller.
        let word = unsafe { *words.add((first + word) * LANES) };
        word >> (8 * byte + shift) & ((1 << bits) - 1)
    };
    if high > 0 { part(0, low) | part(low, high) << low } else { part(0, low) }
}
