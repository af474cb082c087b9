//! How keys and values are arranged in a block of the cache, and how they are written and read: [`Layout`].
//!
//! Floats are read in place. Quantized codes are converted to f32 part by part, so that the rest of attention is
//! independent of them. Each word holds codes of one key, or of one value (two with four bits), which is written
//! separately.

use std::marker::PhantomData;

use half::f16;

use super::shape::{CODE_GROUP, KvShape, KvType};
use crate::simd::{Element, LANES, Simd, Stored};

/// A word of values holds codes from this many vectors of a head's dimensions.
const VECTORS_PER_WORD: usize = 4;

impl KvShape {
    /// Bytes of memory per token.
    pub fn bytes_per_token(&self) -> usize {
        self.n_heads * (self.key_bytes() + self.value_bytes()) / LANES
    }

    /// Bytes of one head in a block of keys.
    pub(super) fn key_bytes(&self) -> usize {
        match self.kv_type {
            KvType::F16 => self.keys_per_block() * size_of::<f16>(),
            KvType::F32 => self.keys_per_block() * size_of::<f32>(),
            KvType::Bits8 => Codes::<8>::key_bytes(*self),
            KvType::Bits4 => Codes::<4>::key_bytes(*self),
        }
    }

    /// Bytes of one head in a block of values.
    pub(super) fn value_bytes(&self) -> usize {
        match self.kv_type {
            KvType::F16 => self.values_per_block() * size_of::<f16>(),
            KvType::F32 => self.values_per_block() * size_of::<f32>(),
            KvType::Bits8 => Codes::<8>::value_bytes(*self),
            KvType::Bits4 => Codes::<4>::value_bytes(*self),
        }
    }
}

/// How one head is stored in a block. All pointers are to the head's part of a block.
pub(super) trait Layout: Send + Sync + 'static {
    /// The type that a pass reads; f32 if it reads a copy.
    type Element: Element;
    /// Whether a pass can read the cache itself.
    const IN_PLACE: bool;

    /// # Safety
    /// The block is writable, and no other thread writes it; `slot` is below sixteen, `key` a head long.
    unsafe fn store_key<S: Simd>(simd: S, shape: KvShape, block: *mut u8, slot: usize, key: &[f32]);
    /// # Safety
    /// As for `store_key`.
    unsafe fn store_value<S: Simd>(simd: S, shape: KvShape, block: *mut u8, slot: usize, value: &[f32]);
    /// Writes `[head_dim][16]`.
    ///
    /// # Safety
    /// The block is readable, as much is writable at `to`.
    unsafe fn convert_keys<S: Simd>(simd: S, shape: KvShape, block: *const u8, to: *mut f32);
    /// Writes `[16][padded_dim]`.
    ///
    /// # Safety
    /// As for `convert_keys`.
    unsafe fn convert_values<S: Simd>(simd: S, shape: KvShape, block: *const u8, to: *mut f32);
}

/// Floats: keys `[head_dim][16]`, values `[16][padded_dim]`.
pub(super) struct Plain<T>(PhantomData<T>);

impl<T: Stored> Layout for Plain<T> {
    type Element = T;
    const IN_PLACE: bool = true;

    #[inline(always)]
    unsafe fn store_key<S: Simd>(simd: S, _: KvShape, block: *mut u8, slot: usize, key: &[f32]) {
        let mut stored = [T::default(); LANES];
        // SAFETY: guaranteed by the caller.
        unsafe {
            let mut to = block.cast::<T>().add(slot);
            for chunk in key.chunks(LANES) {
                T::store(simd, stored.as_mut_ptr(), simd.load_first(chunk.as_ptr(), chunk.len()));
                for value in &stored[..chunk.len()] {
                    *to = *value;
                    to = to.wrapping_add(LANES);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn store_value<S: Simd>(simd: S, shape: KvShape, block: *mut u8, slot: usize, value: &[f32]) {
        for (i, chunk) in value.chunks(LANES).enumerate() {
            // SAFETY: guaranteed by the caller; values are padded to a multiple of sixteen.
            unsafe {
                let to = block.cast::<T>().add(slot * shape.padded_dim() + i * LANES);
                T::store(simd, to, simd.load_first(chunk.as_ptr(), chunk.len()));
            }
        }
    }

    #[inline(always)]
    unsafe fn convert_keys<S: Simd>(simd: S, shape: KvShape, block: *const u8, to: *mut f32) {
        // SAFETY: guaranteed by the caller.
        unsafe { convert(simd, block.cast::<T>(), shape.keys_per_block(), to) };
    }

    #[inline(always)]
    unsafe fn convert_values<S: Simd>(simd: S, shape: KvShape, block: *const u8, to: *mut f32) {
        // SAFETY: guaranteed by the caller.
        unsafe { convert(simd, block.cast::<T>(), shape.values_per_block(), to) };
    }
}

/// # Safety
/// `n` values, whole vectors, are readable and writable.
#[inline(always)]
unsafe fn convert<S: Simd, T: Element>(simd: S, from: *const T, n: usize, to: *mut f32) {
    for i in (0..n).step_by(LANES) {
        // SAFETY: guaranteed by the caller.
        unsafe { simd.store(to.add(i), T::load(simd, from.add(i))) };
    }
}

/// Codes of 4 or 8 bits. A number is its group's scale times its code plus its group's bias.
///
/// Keys: words `[head_dim / (32 / BITS)][16]`, with the codes of consecutive dimensions from the lowest bits up;
/// then, for each group of dimensions, the scales and the biases of sixteen keys. Values: words `[16 / n][dims /
/// 64][16]`, each with the codes of `n` tokens in four consecutive vectors; then a scale and a bias for each token
/// and group.
pub(super) struct Codes<const BITS: u32>;

impl<const BITS: u32> Codes<BITS> {
    const PER_WORD: usize = 32 / BITS as usize;
    const GREATEST: u32 = (1 << BITS) - 1;
    /// Tokens that share a word of values.
    const TOKENS: usize = Self::PER_WORD / VECTORS_PER_WORD;
    const N_BYTES: usize = BITS as usize * VECTORS_PER_WORD / 8;

    /// The offset of the scales in a block of keys.
    #[inline(always)]
    fn key_scales(shape: KvShape) -> usize {
        shape.head_dim / Self::PER_WORD * LANES * 4
    }

    /// Vectors of words per `TOKENS` tokens of values.
    #[inline(always)]
    fn value_words(shape: KvShape) -> usize {
        shape.head_dim.div_ceil(VECTORS_PER_WORD * LANES)
    }

    /// The offset of the scales in a block of values.
    #[inline(always)]
    fn value_scales(shape: KvShape) -> usize {
        LANES / Self::TOKENS * Self::value_words(shape) * LANES * 4
    }

    /// Bytes of one head in a block of keys.
    fn key_bytes(shape: KvShape) -> usize {
        Self::key_scales(shape) + shape.n_code_groups() * LANES * 4
    }

    /// Bytes of one head in a block of values.
    fn value_bytes(shape: KvShape) -> usize {
        Self::value_scales(shape) + shape.n_code_groups() * LANES * 4
    }

    /// Quantizes a group: its scale, bias and codes.
    #[inline(always)]
    #[expect(clippy::cast_sign_loss, reason = "codes are not below zero")]
    fn encode(group: &[f32]) -> (f16, f16, [u32; CODE_GROUP]) {
        let lowest = group.iter().copied().fold(f32::INFINITY, f32::min);
        let highest = group.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let scale = f16::from_f32((highest - lowest) / Self::GREATEST as f32);
        let bias = f16::from_f32(lowest);
        let (step, from) = (scale.to_f32(), bias.to_f32());
        let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
        let mut codes = [0; CODE_GROUP];
        for (code, &x) in codes.iter_mut().zip(group) {
            let steps = ((x - from) * inverse).round_ties_even();
            // NaN becomes 0.
            *code = steps.clamp(0.0, Self::GREATEST as f32) as u32;
        }
        (scale, bias, codes)
    }

    /// Decodes code `i` of each word.
    #[inline(always)]
    fn decode<S: Simd>(simd: S, words: S::U, i: usize, scale: S::V, bias: S::V) -> S::V {
        let codes = simd.and(simd.shr(words, i as u32 * BITS), Self::GREATEST);
        simd.mul_add(simd.to_f32(codes), scale, bias)
    }
}

impl<const BITS: u32> Layout for Codes<BITS> {
    type Element = f32;
    const IN_PLACE: bool = false;

    #[inline(always)]
    unsafe fn store_key<S: Simd>(_: S, shape: KvShape, block: *mut u8, slot: usize, key: &[f32]) {
        for (g, group) in key.chunks(CODE_GROUP).enumerate() {
            let (scale, bias, codes) = Self::encode(group);
            // SAFETY: guaranteed by the caller; the sizes are as `key_bytes` has them.
            unsafe {
                let scales = block.add(Self::key_scales(shape)).cast::<f16>().add(2 * g * LANES + slot);
                *scales = scale;
                *scales.add(LANES) = bias;
                let words = block.cast::<u32>().add(g * CODE_GROUP / Self::PER_WORD * LANES + slot);
                // A head is a multiple of eight dimensions, so words are full.
                for (i, codes) in codes[..group.len()].chunks_exact(Self::PER_WORD).enumerate() {
                    let word = codes.iter().rev().fold(0, |word, code| (word << BITS) | code);
                    *words.add(i * LANES) = word;
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn store_value<S: Simd>(_: S, shape: KvShape, block: *mut u8, slot: usize, value: &[f32]) {
        let n_groups = shape.n_code_groups();
        for (i, wide) in value.chunks(VECTORS_PER_WORD * LANES).enumerate() {
            let mut words = [0u32; LANES];
            for (g, group) in wide.chunks(CODE_GROUP).enumerate() {
                let (scale, bias, codes) = Self::encode(group);
                for (d, code) in codes.iter().enumerate() {
                    words[d % LANES] |= code << ((g * CODE_GROUP + d) / LANES * BITS as usize);
                }
                // SAFETY: guaranteed by the caller; the sizes are as `value_bytes` has them.
                unsafe {
                    let group = slot * n_groups + i * VECTORS_PER_WORD * LANES / CODE_GROUP + g;
                    let scales = block.add(Self::value_scales(shape)).cast::<f16>().add(2 * group);
                    *scales = scale;
                    *scales.add(1) = bias;
                }
            }
            // SAFETY: as above; the token's bytes of each word are its own.
            unsafe {
                let at = (slot / Self::TOKENS * Self::value_words(shape) + i) * LANES * 4;
                let to = block.add(at + slot % Self::TOKENS * Self::N_BYTES);
                for (lane, word) in words.iter().enumerate() {
                    let bytes = word.to_le_bytes();
                    to.add(lane * 4).copy_from_nonoverlapping(bytes.as_ptr(), Self::N_BYTES);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn convert_keys<S: Simd>(simd: S, shape: KvShape, block: *const u8, to: *mut f32) {
        for d in (0..shape.head_dim).step_by(Self::PER_WORD) {
            // SAFETY: guaranteed by the caller.
            unsafe {
                let scales = block.add(Self::key_scales(shape)).cast::<f16>().add(d / CODE_GROUP * 2 * LANES);
                let (scale, bias) = (simd.load_f16(scales), simd.load_f16(scales.add(LANES)));
                let words = simd.load_u32(block.cast::<u32>().add(d / Self::PER_WORD * LANES));
                for i in 0..Self::PER_WORD {
                    simd.store(to.add((d + i) * LANES), Self::decode(simd, words, i, scale, bias));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn convert_values<S: Simd>(simd: S, shape: KvShape, block: *const u8, to: *mut f32) {
        let (n_groups, n_words, dim) = (shape.n_code_groups(), Self::value_words(shape), shape.padded_dim());
        for slot in 0..LANES {
            for v in (0..dim).step_by(LANES) {
                // SAFETY: guaranteed by the caller.
                unsafe {
                    let group = slot * n_groups + (v / CODE_GROUP).min(n_groups - 1);
                    let scales = block.add(Self::value_scales(shape)).cast::<f16>().add(2 * group);
                    let (scale, bias) = ((*scales).to_f32(), (*scales.add(1)).to_f32());
                    let word = slot / Self::TOKENS * n_words + v / (VECTORS_PER_WORD * LANES);
                    let words = simd.load_u32(block.cast::<u32>().add(word * LANES));
                    let i = slot % Self::TOKENS * VECTORS_PER_WORD + v / LANES % VECTORS_PER_WORD;
                    let value = Self::decode(simd, words, i, simd.splat(scale), simd.splat(bias));
                    simd.store(to.add(slot * dim + v), value);
                }
            }
        }
    }
}
