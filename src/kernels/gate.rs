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
