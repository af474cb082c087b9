//! The first stage of attention: rotates and scales queries, rotates keys, and stores keys and values.

use super::layout::Layout;
use super::step::Step;
use crate::memory::with_scratch;
use crate::norm::{copy_row, inverse_rms};
use crate::simd::{Kernel, LANES, Simd};
use crate::{Cpu, Norm};

/// Runs the stage, on all threads if there are many tokens.
pub(super) fn append<L: Layout>(cpu: &Cpu, step: Step) {
    // Whole blocks of the cache per job, so that two threads never write the same cache line.
    let first_block = step.first_position / LANES;
    let n_blocks = (step.first_position + step.n_tokens).div_ceil(LANES) - first_block;
    cpu.pool().for_each(n_blocks, |job| {
        let block = first_block + job;
        let first = (block * LANES).max(step.first_position) - step.first_position;
        let end = ((block + 1) * LANES - step.first_position).min(step.n_tokens);
        with_scratch(step.shape.head_dim, |head| {
            cpu.run(Append::<L> { step, first, end, head, layout: std::marker::PhantomData });
        });
    });
}

/// Tokens `first..end`.
struct Append<'a, L> {
    step: Step<'a>,
    first: usize,
    end: usize,
    /// Scratch memory for one head.
    head: &'a mut [f32],
    layout: std::marker::PhantomData<L>,
}

impl<L: Layout> Kernel for Append<'_, L> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Append { step, first, end, head: key, .. } = self;
        let dim = step.shape.head_dim;
        let attention = step.attention;
        let n_heads = attention.n_heads;
        let n_per_token = (n_heads + 2 * step.shape.n_heads) * dim;
        let tokens = attention.qkv.chunks_exact(n_per_token).enumerate().take(end).skip(first);
        for (token, qkv) in tokens {
            let position = step.first_position + token;
            let (q, kv) = qkv.split_at(n_heads * dim);
            let (k, v) = kv.split_at(step.shape.n_heads * dim);
            for (h, from) in q.chunks_exact(dim).enumerate() {
                // SAFETY: `queries` holds `[n_tokens, n_heads, dim]`, and this job alone has the token.
                let to = unsafe {
                    std::slice::from_raw_parts_mut(step.queries.get().add((token * n_heads + h) * dim), dim)
                };
                prepare(simd, step, position, from, attention.q_norm, to);
                multiply(simd, to, attention.scale);
            }
            for (h, (k, v)) in k.chunks_exact(dim).zip(v.chunks_exact(dim)).enumerate() {
                prepare(simd, step, position, k, attention.k_norm, key);
                // SAFETY: the cache has room for the token, and this job alone has its block.
                unsafe {
                    let (keys, values) = step.block(position / LANES, h);
                    L::store_key(simd, step.shape, keys, position % LANES, key);
                    L::store_value(simd, step.shape, values, position % LANES, v);
                }
            }
        }
    }
}

/// Applies norm and rotation to one head.
#[inline(always)]
fn prepare<S: Simd>(simd: S, step: Step, position: usize, from: &[f32], norm: Option<Norm>, to: &mut [f32]) {
    match norm {
        Some(Norm { weight, eps }) => {
            let inverse = inverse_rms(simd, from, eps);
            // SAFETY: the norm was checked to be as long as a head.
            unsafe { copy_row(simd, from, Some(weight), inverse, to.as_mut_ptr()) };
        }
        None => to.copy_from_slice(from),
    }
    if let Some(rope) = step.attention.rope {
        rope.rotate(simd, position, to);
    }
}

#[inline(always)]
fn multiply<S: Simd>(simd: S, head: &mut [f32], factor: f32) {
    for chunk in head.chunks_mut(LANES) {
        // SAFETY: as many values as the chunk has.
        unsafe {
            let scaled = simd.mul(simd.load_first(chunk.as_ptr(), chunk.len()), simd.splat(factor));
            simd.store_first(chunk.as_mut_ptr(), scaled, chunk.len());
        }
    }
}
