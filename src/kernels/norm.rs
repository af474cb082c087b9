//! Root-mean-square norms of rows: [`rms_norm`].
//!
//! A norm before a product is fused with it ([`crate::Input`]); this function is for other norms.

use crate::error::expect_len;
use crate::packed::SendPtr;
use crate::simd::{Kernel, LANES, Simd};
use crate::{Cpu, KernelError};

/// `x / sqrt(mean(x^2) + eps) * weight`.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    pub weight: &'a [f32],
    pub eps: f32,
}

/// Values per job: about ten microseconds.
const VALUES_PER_JOB: usize = 16 * 1024;

/// Normalizes each row of `x`, as long as the norm's weight, into `out`.
pub fn rms_norm(cpu: &Cpu, x: &[f32], norm: Norm, out: &mut [f32]) -> Result<(), KernelError> {
    let n_cols = norm.weight.len();
    if n_cols == 0 {
        return Err(KernelError::Zero { what: "norm weight" });
    }
    let n_rows = x.len() / n_cols;
    expect_len("x", n_rows * n_cols, x.len())?;
    expect_len("out", x.len(), out.len())?;
    let to = SendPtr(out.as_mut_ptr());
    let rows_per_job = (VALUES_PER_JOB / n_cols).max(1);
    cpu.pool().for_each(n_rows.div_ceil(rows_per_job), |job| {
        let first = job * rows_per_job;
        cpu.run(Rows { x, norm, first, end: (first + rows_per_job).min(n_rows), to });
    });
    Ok(())
}

struct Rows<'a> {
    x: &'a [f32],
    norm: Norm<'a>,
    first: usize,
    end: usize,
    to: SendPtr<f32>,
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let n_cols = self.norm.weight.len();
        let rows = self.x.chunks_exact(n_cols).enumerate().take(self.end).skip(self.first);
        for (r, row) in rows {
            let inverse = inverse_rms(simd, row, self.norm.eps);
            // SAFETY: `out` is as long as `x`, and this job alone has row `r`.
            unsafe { copy_row(simd, row, Some(self.norm.weight), inverse, self.to.get().add(r * n_cols)) };
        }
    }
}

/// One over the root mean square of `row`; finite for an empty row.
#[inline(always)]
pub(crate) fn inverse_rms<S: Simd>(simd: S, row: &[f32], eps: f32) -> f32 {
    let mut squares = [simd.zero(); 4];
    let steps = row.chunks_exact(4 * LANES);
    let rest = steps.remainder();
    for step in steps {
        for (square, vector) in squares.iter_mut().zip(step.chunks_exact(LANES)) {
            // SAFETY: sixteen values.
            let v = unsafe { simd.load(vector.as_ptr()) };
            *square = simd.mul_add(v, v, *square);
        }
    }
    for (square, vector) in squares.iter_mut().zip(rest.chunks(LANES)) {
        // SAFETY: as many values as the chunk has.
        let v = unsafe { simd.load_first(vector.as_ptr(), vector.len()) };
        *square = simd.mul_add(v, v, *square);
    }
    let squares = simd.add(simd.add(squares[0], squares[1]), simd.add(squares[2], squares[3]));
    let sum = simd.reduce_add(squares);
    1.0 / (sum / row.len().max(1) as f32 + eps).sqrt()
}

/// Writes `row * inverse * weight` to `to`, contiguously.
///
/// # Safety
/// `weight` is as long as `row`; as many values at `to` are writable.
#[inline(always)]
pub(crate) unsafe fn copy_row<S: Simd>(
    simd: S,
    row: &[f32],
    weight: Option<&[f32]>,
    inverse: f32,
    to: *mut f32,
) {
    let factor = simd.splat(inverse);
    let mut at = 0;
    while at < row.len() {
        let n = (row.len() - at).min(LANES);
        // SAFETY: `n` values are left in each.
        unsafe {
            let mut v = simd.load_first(row.as_ptr().add(at), n);
            if let Some(weight) = weight {
                v = simd.mul(simd.mul(v, factor), simd.load_first(weight.as_ptr().add(at), n));
            }
            simd.store_first(to.add(at), v, n);
        }
        at += n;
    }
}
