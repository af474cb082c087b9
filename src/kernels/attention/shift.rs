//! Copies keys and values from one cache to the end of another, where the tokens have other positions:
//! [`append_shifted`].
//!
//! Rotating by a position and then by a difference is the same as rotating by their sum. So all keys are rotated by
//! the distance that they move, sixteen at a time; values do not depend on positions. Keys and values still reflect
//! the context in which they were computed.

use std::marker::PhantomData;
use std::ops::Range;

use half::f16;

use super::cache::KvCache;
use super::layout::{Codes, Layout, Plain};
use super::shape::{KvShape, KvType};
use crate::memory::{Line, with_scratch};
use crate::packed::SendPtr;
use crate::simd::{Kernel, LANES, Simd};
use crate::{Cpu, KernelError, RopePairs};

/// A rotation of keys: for each pair of dimensions, the radians per position.
#[derive(Clone, Copy, Debug)]
pub struct Rotation<'a> {
    pub frequencies: &'a [f64],
    pub pairs: RopePairs,
}

/// Appends `tokens` of `from` to `cache`.
pub fn append_shifted(
    cpu: &Cpu,
    cache: &mut KvCache,
    from: &KvCache,
    tokens: Range<usize>,
    rotation: Rotation,
) -> Result<(), KernelError> {
    let shape = cache.shape();
    if shape != from.shape() {
        return Err(KernelError::Caches);
    }
    if tokens.end > from.len() {
        return Err(KernelError::Row { row: tokens.end - 1, n_rows: from.len() });
    }
    if 2 * rotation.frequencies.len() > shape.head_dim {
        let got = 2 * rotation.frequencies.len();
        return Err(KernelError::RotatedDims { head_dim: shape.head_dim, got });
    }
    if tokens.is_empty() {
        return Ok(());
    }
    let first = cache.len();
    let end = first + tokens.len();
    cache.reserve_more(tokens.len())?;
    let distance = first as f64 - tokens.start as f64;
    let sines_and_cosines: Vec<(f32, f32)> = rotation
        .frequencies
        .iter()
        .map(|it| (distance * it).sin_cos())
        .map(|(sin, cos)| (sin as f32, cos as f32))
        .collect();
    let (keys, values) = cache.as_mut_ptrs();
    let shift = Shift {
        shape,
        sines_and_cosines: &sines_and_cosines,
        pairs: rotation.pairs,
        keys: from.keys(),
        values: from.values(),
        first_from: tokens.start,
        to_keys: SendPtr(keys),
        to_values: SendPtr(values),
        first,
        end,
    };
    match shape.kv_type {
        KvType::F16 => shift.run::<Plain<f16>>(cpu),
        KvType::F32 => shift.run::<Plain<f32>>(cpu),
        KvType::Bits8 => shift.run::<Codes<8>>(cpu),
        KvType::Bits4 => shift.run::<Codes<4>>(cpu),
    }
    cache.set_len(end);
    Ok(())
}

/// A call that has been checked.
#[derive(Clone, Copy)]
struct Shift<'a> {
    shape: KvShape,
    /// Sine and cosine for each pair of dimensions.
    sines_and_cosines: &'a [(f32, f32)],
    pairs: RopePairs,
    keys: &'a [Line],
    values: &'a [Line],
    /// The first token's position in the source.
    first_from: usize,
    to_keys: SendPtr<u8>,
    to_values: SendPtr<u8>,
    /// The first token's position in the target.
    first: usize,
    end: usize,
}

impl Shift<'_> {
    fn run<L: Layout>(self, cpu: &Cpu) {
        // Whole blocks per job, so that two threads never write the same cache line.
        let first_block = self.first / LANES;
        let n_floats = self.shape.values_per_block() + self.shape.head_dim;
        cpu.pool().for_each(self.end.div_ceil(LANES) - first_block, |job| {
            let block = first_block + job;
            with_scratch(n_floats, |scratch| {
                cpu.run(Fill::<L> { shift: self, block, scratch, layout: PhantomData });
            });
        });
    }

    /// A head's keys and values in a block of the source.
    fn source(&self, block: usize, head: usize) -> (*const u8, *const u8) {
        let at = block * self.shape.n_heads + head;
        let keys = self.keys.as_ptr().cast::<u8>().wrapping_add(at * self.shape.key_bytes());
        (keys, self.values.as_ptr().cast::<u8>().wrapping_add(at * self.shape.value_bytes()))
    }

    /// The same in the target.
    fn target(&self, block: usize, head: usize) -> (*mut u8, *mut u8) {
        let at = block * self.shape.n_heads + head;
        let keys = self.to_keys.get().wrapping_add(at * self.shape.key_bytes());
        (keys, self.to_values.get().wrapping_add(at * self.shape.value_bytes()))
    }

    /// Rotates sixteen keys, `[head_dim][16]`.
    #[inline(always)]
    fn rotate<S: Simd>(&self, simd: S, keys: &mut [f32]) {
        let n_pairs = self.sines_and_cosines.len();
        for (i, &(sin, cos)) in self.sines_and_cosines.iter().enumerate() {
            let (first, second) = match self.pairs {
                RopePairs::Halves => (i, i + n_pairs),
                RopePairs::Adjacent => (2 * i, 2 * i + 1),
            };
            debug_assert!(keys.len() >= (second + 1) * LANES);
            // SAFETY: a head has at least as many dimensions as are rotated.
            unsafe {
                let first = keys.as_mut_ptr().add(first * LANES);
                let second = keys.as_mut_ptr().add(second * LANES);
                let (x, y) = (simd.load(first), simd.load(second));
                let (sin, cos) = (simd.splat(sin), simd.splat(cos));
                simd.store(first, simd.sub(simd.mul(x, cos), simd.mul(y, sin)));
                simd.store(second, simd.mul_add(x, sin, simd.mul(y, cos)));
            }
        }
    }
}

/// Fills one block of the target.
struct Fill<'a, L> {
    shift: Shift<'a>,
    block: usize,
    /// Scratch memory for sixteen keys or values, and for one more.
    scratch: &'a mut [f32],
    layout: PhantomData<L>,
}

impl<L: Layout> Kernel for Fill<'_, L> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Fill { shift, block, scratch, .. } = self;
        let shape = shift.shape;
        let (dim, padded) = (shape.head_dim, shape.padded_dim());
        let (sixteen, one) = scratch.split_at_mut(shape.values_per_block());
        let end = shift.end.min((block + 1) * LANES);
        for head in 0..shape.n_heads {
            let (to_keys, to_values) = shift.target(block, head);
            let mut position = shift.first.max(block * LANES);
            while position < end {
                let from = shift.first_from + (position - shift.first);
                let (keys, values) = shift.source(from / LANES, head);
                let slots = from % LANES..LANES.min(from % LANES + end - position);
                // SAFETY: both caches have the blocks of their tokens, and this job alone has the one that is written.
                unsafe {
                    L::convert_keys(simd, shape, keys, sixteen.as_mut_ptr());
                    shift.rotate(simd, sixteen);
                    for (i, slot) in slots.clone().enumerate() {
                        for (to, from) in one.iter_mut().zip(sixteen.iter().skip(slot).step_by(LANES)) {
                            *to = *from;
                        }
                        L::store_key(simd, shape, to_keys, (position + i) % LANES, one);
                    }
                    L::convert_values(simd, shape, values, sixteen.as_mut_ptr());
                    for (i, slot) in slots.clone().enumerate() {
                        let value = &sixteen[slot * padded..][..dim];
                        L::store_value(simd, shape, to_values, (position + i) % LANES, value);
                    }
                }
                position += slots.len();
            }
        }
    }
}
