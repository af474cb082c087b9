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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{cpus, normal};
    use crate::{Attention, Rope, RopeTable, attend};

    const N_HEADS: usize = 3;

    /// Appends tokens and returns the last one's attention output.
    fn feed(cpu: &Cpu, cache: &mut KvCache, rope: Rope, qkv: &[f32]) -> Vec<f32> {
        let dim = cache.shape().head_dim;
        let n_tokens = qkv.len() / (3 * N_HEADS * dim);
        let mut out = vec![0.0; n_tokens * N_HEADS * dim];
        let attention = Attention {
            qkv,
            n_heads: N_HEADS,
            scale: 0.3,
            q_norm: None,
            k_norm: None,
            rope: Some(rope),
            window: None,
            sinks: None,
        };
        attend(cpu, cache, &attention, &mut out).unwrap();
        out.split_off(out.len().saturating_sub(N_HEADS * dim))
    }

    fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    /// The floats of the blocks that hold `n_tokens`.
    fn floats(lines: &[Line], shape: KvShape, head_floats: usize, n_tokens: usize) -> Vec<f32> {
        let n = n_tokens.div_ceil(LANES) * shape.n_heads * head_floats;
        let all = lines.iter().flat_map(|it| it.0);
        match shape.kv_type {
            KvType::F32 => all.take(n).collect(),
            _ => all
                .flat_map(|it| [it.to_bits() & 0xffff, it.to_bits() >> 16])
                .map(|it| f16::from_bits(it as u16).to_f32())
                .take(n)
                .collect(),
        }
    }

    #[test]
    fn tokens_that_moved_are_as_if_computed_where_they_are() {
        // The error of rounding numbers of about 1 twice, in the type that keys are stored in.
        let types = [(KvType::F32, 1e-4), (KvType::F16, 1e-2), (KvType::Bits8, 0.05), (KvType::Bits4, 0.6)];
        for (cpu, (kv_type, bound)) in cpus().iter().flat_map(|cpu| types.map(|it| (cpu, it))) {
            for (pairs, head_dim, n_dims) in
                [(RopePairs::Halves, 64, 64), (RopePairs::Adjacent, 32, 32), (RopePairs::Halves, 72, 24)]
            {
                let shape = KvShape { n_heads: N_HEADS, head_dim, kv_type };
                let frequencies = RopeTable::plain_frequencies(10_000.0, n_dims);
                let table = RopeTable::new(&frequencies, 1.0, 1000);
                let (rope, rotation) =
                    (Rope { table: &table, pairs }, Rotation { frequencies: &frequencies, pairs });
                let per_token = 3 * N_HEADS * head_dim;
                // Tokens before the moved ones, in the source and in the target; how many move; and how many follow.
                for (n_from, n_to, n_moved, n_behind) in [
                    (40, 7, 50, 9),
                    (7, 40, 50, 0),
                    (500, 3, 16, 1),
                    (0, 16, 1, 0),
                    (16, 32, 33, 2),
                    (5, 0, 20, 0),
                ] {
                    let moved = normal(n_moved * per_token, 1);
                    let mut from = KvCache::new(shape, 0).unwrap();
                    feed(cpu, &mut from, rope, &normal(n_from * per_token, 2));
                    feed(cpu, &mut from, rope, &[moved.clone(), normal(n_behind * per_token, 3)].concat());
                    let (mut cache, mut fresh) =
                        (KvCache::new(shape, 0).unwrap(), KvCache::new(shape, 0).unwrap());
                    let before = normal(n_to * per_token, 4);
                    feed(cpu, &mut cache, rope, &before);
                    feed(cpu, &mut fresh, rope, &before);
                    append_shifted(cpu, &mut cache, &from, n_from..n_from + n_moved, rotation).unwrap();
                    feed(cpu, &mut fresh, rope, &moved);
                    let what = format!("{} {kv_type:?} {pairs:?} {head_dim}: {n_from} to {n_to}", cpu.path());
                    assert_eq!(cache.len(), fresh.len());
                    if matches!(kv_type, KvType::F16 | KvType::F32) {
                        let n = cache.len();
                        let keys = |it: &KvCache| floats(it.keys(), shape, shape.keys_per_block(), n);
                        let error = largest_difference(&keys(&cache), &keys(&fresh));
                        assert!(error < bound, "{what}: keys, {error}");
                        let values = |it: &KvCache| floats(it.values(), shape, shape.values_per_block(), n);
                        assert_eq!(values(&cache), values(&fresh), "{what}: values");
                    }
                    let next = normal(per_token, 5);
                    let (got, expected) =
                        (feed(cpu, &mut cache, rope, &next), feed(cpu, &mut fresh, rope, &next));
                    let error = largest_difference(&got, &expected);
                    assert!(error < bound, "{what}: {error}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let cpu = cpus().pop().unwrap();
        let shape = KvShape { n_heads: 1, head_dim: 8, kv_type: KvType::F16 };
        let from = KvCache::new(shape, 16).unwrap();
        let frequencies = RopeTable::plain_frequencies(1e4, 16);
        let rotation = |n: usize| Rotation { frequencies: &frequencies[..n], pairs: RopePairs::Halves };
        let mut cache = KvCache::new(KvShape { kv_type: KvType::F32, ..shape }, 0).unwrap();
        let refused = append_shifted(&cpu, &mut cache, &from, 0..0, rotation(4));
        assert!(matches!(refused, Err(KernelError::Caches)));
        let mut cache = KvCache::new(shape, 0).unwrap();
        let refused = append_shifted(&cpu, &mut cache, &from, 0..1, rotation(4));
        assert!(matches!(refused, Err(KernelError::Row { row: 0, n_rows: 0 })));
        let refused = append_shifted(&cpu, &mut cache, &from, 0..0, rotation(8));
        assert!(matches!(refused, Err(KernelError::RotatedDims { .. })));
        append_shifted(&cpu, &mut cache, &from, 0..0, rotation(4)).unwrap();
        assert!(cache.is_empty());
    }
}
