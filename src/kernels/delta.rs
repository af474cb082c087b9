//! The gated delta rule, a recurrence over a matrix per head: [`gated_delta`].
//!
//! For each token the matrix fades, and moves towards giving the token's value for its key. Its rows do not depend on
//! each other, so a job takes some rows of one head through all tokens, and each row stays in registers meanwhile.

use crate::error::{expect_len, product};
use crate::packed::SendPtr;
use crate::simd::{Kernel, LANES, Simd};
use crate::{Cpu, KernelError};

/// The most vectors of a row that stay in registers.
const MAX_VECTORS: usize = 16;
/// Rows of a head that one job takes.
const ROWS_PER_JOB: usize = 16;

/// The number and size of heads. Several value heads in a row share a key head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaShape {
    pub n_key_heads: usize,
    pub n_value_heads: usize,
    /// A multiple of 16, at most 256.
    pub key_dim: usize,
    pub value_dim: usize,
}

/// The inputs of `n` tokens.
#[derive(Clone, Copy, Debug)]
pub struct DeltaInputs<'a> {
    /// `[n, n_key_heads, key_dim]`, normalized and scaled.
    pub queries: &'a [f32],
    pub keys: &'a [f32],
    /// `[n, n_value_heads, value_dim]`.
    pub values: &'a [f32],
    /// The factors by which the matrices fade, `[n, n_value_heads]`.
    pub decays: &'a [f32],
    /// How far the matrices move, `[n, n_value_heads]`.
    pub betas: &'a [f32],
}

impl DeltaShape {
    /// The numbers of all heads' matrices, `[n_value_heads, value_dim, key_dim]`.
    pub fn n_state(&self) -> usize {
        self.n_value_heads * self.value_dim * self.key_dim
    }

    /// Whether [`gated_delta`] has kernels for it.
    pub fn is_supported(&self) -> bool {
        let Self { n_key_heads, n_value_heads, key_dim, value_dim } = *self;
        let is_some = n_key_heads > 0 && value_dim > 0 && n_value_heads > 0 && key_dim > 0;
        is_some
            && n_value_heads.is_multiple_of(n_key_heads)
            && key_dim.is_multiple_of(LANES)
            && key_dim <= MAX_VECTORS * LANES
    }
}

/// Takes the matrices `state` through the tokens, in place, and writes the outputs `[n, n_value_heads, value_dim]`.
pub fn gated_delta(
    cpu: &Cpu,
    shape: DeltaShape,
    inputs: DeltaInputs,
    state: &mut [f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    if !shape.is_supported() {
        return Err(KernelError::DeltaShape);
    }
    let n = inputs.decays.len() / shape.n_value_heads;
    expect_len("state", product("state", &[shape.n_state()])?, state.len())?;
    for (what, values, each) in [
        ("queries", inputs.queries, shape.n_key_heads * shape.key_dim),
        ("keys", inputs.keys, shape.n_key_heads * shape.key_dim),
        ("values", inputs.values, shape.n_value_heads * shape.value_dim),
        ("decays", inputs.decays, shape.n_value_heads),
        ("betas", inputs.betas, shape.n_value_heads),
    ] {
        expect_len(what, product(what, &[n, each])?, values.len())?;
    }
    expect_len("out", inputs.values.len(), out.len())?;
    let (state, out) = (SendPtr(state.as_mut_ptr()), SendPtr(out.as_mut_ptr()));
    let jobs_per_head = shape.value_dim.div_ceil(ROWS_PER_JOB);
    cpu.pool().for_each(shape.n_value_heads * jobs_per_head, |job| {
        let (head, first) = (job / jobs_per_head, job % jobs_per_head * ROWS_PER_JOB);
        let end = (first + ROWS_PER_JOB).min(shape.value_dim);
        cpu.run(Rows { shape, inputs, n, head, first, end, state, out });
    });
    Ok(())
}

/// Some rows of one head's matrix. Lengths have been checked.
struct Rows<'a> {
    shape: DeltaShape,
    inputs: DeltaInputs<'a>,
    n: usize,
    head: usize,
    first: usize,
    end: usize,
    state: SendPtr<f32>,
    out: SendPtr<f32>,
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Rows { shape, inputs, n, head, first, end, state, out } = self;
        let DeltaShape { n_key_heads, n_value_heads, key_dim, value_dim } = shape;
        let key_head = head / (n_value_heads / n_key_heads);
        let n_vectors = key_dim / LANES;
        for row in first..end {
            let mut held = [simd.zero(); MAX_VECTORS];
            let at = state.get().wrapping_add((head * value_dim + row) * key_dim);
            for (i, held) in held.iter_mut().enumerate().take(n_vectors) {
                // SAFETY: the row has `n_vectors` vectors, and only this job has it.
                *held = unsafe { simd.load(at.add(i * LANES)) };
            }
            for token in 0..n {
                let key_at = (token * n_key_heads + key_head) * key_dim;
                let (keys, queries) = (&inputs.keys[key_at..], &inputs.queries[key_at..]);
                let of_head = token * n_value_heads + head;
                let decay = simd.splat(inputs.decays[of_head]);
                let mut sum = simd.zero();
                for (held, key) in held.iter_mut().zip(keys.chunks_exact(LANES)).take(n_vectors) {
                    *held = simd.mul(*held, decay);
                    // SAFETY: sixteen values.
                    sum = simd.mul_add(*held, unsafe { simd.load(key.as_ptr()) }, sum);
                }
                let value = inputs.values[of_head * value_dim + row];
                let delta = simd.splat((value - simd.reduce_add(sum)) * inputs.betas[of_head]);
                let mut sum = simd.zero();
                let vectors = keys.chunks_exact(LANES).zip(queries.chunks_exact(LANES));
                for (held, (key, query)) in held.iter_mut().zip(vectors).take(n_vectors) {
                    // SAFETY: sixteen values each.
                    unsafe {
                        *held = simd.mul_add(simd.load(key.as_ptr()), delta, *held);
                        sum = simd.mul_add(*held, simd.load(query.as_ptr()), sum);
                    }
                }
                // SAFETY: within the outputs; only this job has this row of this head.
                unsafe { *out.get().add(of_head * value_dim + row) = simd.reduce_add(sum) };
            }
            for (i, held) in held.iter().enumerate().take(n_vectors) {
                // SAFETY: as above.
                unsafe { simd.store(at.add(i * LANES), *held) };
            }
        }
    }
}
