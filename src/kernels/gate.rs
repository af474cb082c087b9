//! Activations that are not fused with a product: [`gated`] and [`activated`].

use crate::error::{expect_len, product};
use crate::math::{activate, sigmoid};
use crate::packed::SendPtr;
use crate::simd::{Kernel, LANES, Simd};
use crate::{Activation, Cpu, KernelError};

/// Values per job: about ten microseconds.
const VALUES_PER_JOB: usize = 8 * 1024;

/// How a gate is applied to a value `up`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gating {
    /// `activation(gate) * up`.
    Activation(Activation),
    /// `g / (1 + exp(-slope * g)) * (u + 1)`, where `g` is the gate, at most `limit`, and `u` is `up`, between `-limit`
    /// and `limit` (gpt-oss).
    Clamped { limit: f32, slope: f32 },
}

/// Writes the gated values for rows of `[gate, up]`, `n` values each.
pub fn gated(cpu: &Cpu, gating: Gating, x: &[f32], n: usize, out: &mut [f32]) -> Result<(), KernelError> {
    if n == 0 {
        return Err(KernelError::Zero { what: "gates" });
    }
    let n_rows = out.len() / n;
    expect_len("out", n_rows * n, out.len())?;
    expect_len("x", product("x", &[2, n_rows, n])?, x.len())?;
    let to = SendPtr(out.as_mut_ptr());
    cpu.pool().for_each(n_rows, |row| {
        let (gate, up) = x[2 * row * n..2 * (row + 1) * n].split_at(n);
        // SAFETY: the rows do not overlap, and each job has one.
        let out = unsafe { std::slice::from_raw_parts_mut(to.get().add(row * n), n) };
        cpu.run(Gated { gating, gate, up, out });
    });
    Ok(())
}

/// Replaces each value by `activation` of it.
pub fn activated(cpu: &Cpu, activation: Activation, x: &mut [f32]) {
    let n = x.len();
    let at = SendPtr(x.as_mut_ptr());
    cpu.pool().for_each(n.div_ceil(VALUES_PER_JOB), |job| {
        let first = job * VALUES_PER_JOB;
        // SAFETY: the jobs' values do not overlap.
        let out =
            unsafe { std::slice::from_raw_parts_mut(at.get().add(first), VALUES_PER_JOB.min(n - first)) };
        cpu.run(InPlace { activation, values: out });
    });
}

struct Gated<'a> {
    gating: Gating,
    gate: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Gated<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { gating, gate, up, out } = self;
        for (i, out) in out.chunks_mut(LANES).enumerate() {
            let (at, n) = (i * LANES, out.len());
            // SAFETY: `n` values are left in each.
            unsafe {
                let gate = simd.load_first(gate.as_ptr().add(at), n);
                let up = simd.load_first(up.as_ptr().add(at), n);
                let value = match gating {
                    Gating::Activation(activation) => simd.mul(activate(simd, activation, gate), up),
                    Gating::Clamped { limit, slope } => {
                        let (low, high) = (simd.splat(-limit), simd.splat(limit));
                        let gate = simd.min(gate, high);
                        let up = simd.max(simd.min(up, high), low);
                        let gate = simd.mul(gate, sigmoid(simd, simd.mul(gate, simd.splat(slope))));
                        simd.mul_add(gate, up, gate)
                    }
                };
                simd.store_first(out.as_mut_ptr(), value, n);
            }
        }
    }
}

struct InPlace<'a> {
    activation: Activation,
    values: &'a mut [f32],
}

impl Kernel for InPlace<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for values in self.values.chunks_mut(LANES) {
            // SAFETY: as many values as the chunk has.
            unsafe {
                let value = simd.load_first(values.as_ptr(), values.len());
                simd.store_first(values.as_mut_ptr(), activate(simd, self.activation, value), values.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{assert_close, cpus, normal};

    const SILU: Gating = Gating::Activation(Activation::Silu);

    #[test]
    fn gates_agree_with_double_precision() {
        for cpu in cpus() {
            for (n_rows, n) in [(1, 1), (3, 17), (2, 896), (70, 65)] {
                let x = normal(n_rows * 2 * n, 1);
                let mut out = vec![f32::NAN; n_rows * n];
                gated(&cpu, SILU, &x, n, &mut out).unwrap();
                let silu = |it: f64| it / (1.0 + (-it).exp());
                let expected: Vec<f64> = x
                    .chunks(2 * n)
                    .flat_map(|row| (0..n).map(move |i| silu(row[i].into()) * f64::from(row[n + i])))
                    .collect();
                assert_close(&out, &expected, 5e-7, &format!("{} {n_rows} x {n}", cpu.path()));

                gated(&cpu, Gating::Clamped { limit: 0.5, slope: 1.702 }, &x, n, &mut out).unwrap();
                let clamped = |gate: f64, up: f64| {
                    let gate = gate.min(0.5);
                    gate / (1.0 + (-f64::from(1.702_f32) * gate).exp()) * (up.clamp(-0.5, 0.5) + 1.0)
                };
                let expected: Vec<f64> = x
                    .chunks(2 * n)
                    .flat_map(|row| (0..n).map(move |i| clamped(row[i].into(), row[n + i].into())))
                    .collect();
                assert_close(&out, &expected, 5e-7, &format!("clamped, {} {n_rows} x {n}", cpu.path()));

                let mut alone = x.clone();
                activated(&cpu, Activation::Silu, &mut alone);
                let expected: Vec<f64> = x.iter().map(|&it| silu(it.into())).collect();
                assert_close(&alone, &expected, 5e-7, &format!("{} {n_rows} x {n}", cpu.path()));
            }
        }
    }

    #[test]
    fn rows_that_are_not_whole_are_refused() {
        let cpu = cpus().pop().unwrap();
        let refused = gated(&cpu, SILU, &[0.0; 6], 2, &mut [0.0; 4]);
        assert!(matches!(refused, Err(KernelError::Length { what: "x", expected: 8, got: 6 })));
        assert!(gated(&cpu, SILU, &[], 0, &mut []).is_err());
    }
}
