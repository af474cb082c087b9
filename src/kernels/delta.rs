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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{assert_close, cpus, normal};

    #[test]
    fn the_recurrence_agrees_with_double_precision_and_can_be_divided() {
        let shapes = [(1, 1, 16, 1), (2, 4, 32, 24), (1, 3, 128, 17)];
        for cpu in cpus() {
            for (n_key_heads, n_value_heads, key_dim, value_dim) in shapes {
                let shape = DeltaShape { n_key_heads, n_value_heads, key_dim, value_dim };
                let n = 7;
                let small = |n: usize, seed| -> Vec<f32> {
                    normal(n, seed).into_iter().map(|it| it / (key_dim as f32).sqrt()).collect()
                };
                let queries = small(n * n_key_heads * key_dim, 1);
                let keys = small(n * n_key_heads * key_dim, 2);
                let values = normal(n * n_value_heads * value_dim, 3);
                let unit = |it: f32| 1.0 / (1.0 + it.exp());
                let decays: Vec<f32> = normal(n * n_value_heads, 4).into_iter().map(unit).collect();
                let betas: Vec<f32> = normal(n * n_value_heads, 5).into_iter().map(unit).collect();
                let before = normal(shape.n_state(), 6);
                let part = |from: usize, to: usize| DeltaInputs {
                    queries: &queries[from * n_key_heads * key_dim..to * n_key_heads * key_dim],
                    keys: &keys[from * n_key_heads * key_dim..to * n_key_heads * key_dim],
                    values: &values[from * n_value_heads * value_dim..to * n_value_heads * value_dim],
                    decays: &decays[from * n_value_heads..to * n_value_heads],
                    betas: &betas[from * n_value_heads..to * n_value_heads],
                };
                let mut state = before.clone();
                let mut out = vec![f32::NAN; values.len()];
                gated_delta(&cpu, shape, part(0, n), &mut state, &mut out).unwrap();

                let mut expected: Vec<f64> = before.iter().map(|&it| it.into()).collect();
                let mut outputs = vec![0.0; values.len()];
                for token in 0..n {
                    for head in 0..n_value_heads {
                        let key_head = head / (n_value_heads / n_key_heads);
                        let at = (token * n_key_heads + key_head) * key_dim;
                        let of_head = token * n_value_heads + head;
                        for row in 0..value_dim {
                            let first = (head * value_dim + row) * key_dim;
                            let held = &mut expected[first..first + key_dim];
                            let mut sum = 0.0;
                            for (held, key) in held.iter_mut().zip(&keys[at..]) {
                                *held *= f64::from(decays[of_head]);
                                sum += *held * f64::from(*key);
                            }
                            let value = f64::from(values[of_head * value_dim + row]);
                            let delta = (value - sum) * f64::from(betas[of_head]);
                            let mut sum = 0.0;
                            for ((held, key), query) in held.iter_mut().zip(&keys[at..]).zip(&queries[at..]) {
                                *held += f64::from(*key) * delta;
                                sum += *held * f64::from(*query);
                            }
                            outputs[of_head * value_dim + row] = sum;
                        }
                    }
                }
                assert_close(&out, &outputs, 2e-6, &format!("{} {shape:?}", cpu.path()));
                assert_close(&state, &expected, 2e-6, &format!("{} {shape:?}", cpu.path()));

                let mut divided = before;
                let mut parts = vec![f32::NAN; values.len()];
                let (first, second) = parts.split_at_mut(3 * n_value_heads * value_dim);
                gated_delta(&cpu, shape, part(0, 3), &mut divided, first).unwrap();
                gated_delta(&cpu, shape, part(3, n), &mut divided, second).unwrap();
                assert_eq!((parts, divided), (out, state));
            }
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let cpu = cpus().pop().unwrap();
        let shape = DeltaShape { n_key_heads: 1, n_value_heads: 1, key_dim: 16, value_dim: 1 };
        let inputs =
            DeltaInputs { queries: &[0.0; 16], keys: &[0.0; 16], values: &[0.0], decays: &[1.0], betas: &[] };
        let mut state = [0.0; 16];
        assert!(matches!(
            gated_delta(&cpu, shape, inputs, &mut state, &mut [0.0]),
            Err(KernelError::Length { what: "betas", expected: 1, got: 0 })
        ));
        let odd = DeltaShape { key_dim: 8, ..shape };
        assert!(matches!(
            gated_delta(&cpu, odd, inputs, &mut state, &mut [0.0]),
            Err(KernelError::DeltaShape)
        ));
    }
}
