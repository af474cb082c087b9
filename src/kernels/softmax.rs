//! Sums of exponentials, which turn logits into probabilities: [`exp_sums`].

use crate::Cpu;
use crate::math::exp;
use crate::simd::{Kernel, LANES, Simd};

/// The number of values in each sum of [`exp_sums`].
pub const EXP_SUMS_CHUNK: usize = 1024;

/// `exp((x - shift) * scale)` summed over each chunk of [`EXP_SUMS_CHUNK`] values, the last of which may be shorter.
///
/// With the maximum as `shift`, nothing overflows. A NaN makes its chunk's sum NaN.
pub fn exp_sums(cpu: &Cpu, values: &[f32], shift: f32, scale: f32) -> Vec<f32> {
    let mut sums = vec![0.0; values.len().div_ceil(EXP_SUMS_CHUNK)];
    cpu.run(ExpSums { values, shift, scale, sums: &mut sums });
    sums
}

struct ExpSums<'a> {
    values: &'a [f32],
    shift: f32,
    scale: f32,
    sums: &'a mut [f32],
}

impl Kernel for ExpSums<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (shift, scale) = (simd.splat(self.shift), simd.splat(self.scale));
        for (chunk, sum) in self.values.chunks(EXP_SUMS_CHUNK).zip(self.sums) {
            let mut total = simd.zero();
            let vectors = chunk.chunks_exact(LANES);
            let rest = vectors.remainder();
            for vector in vectors {
                // SAFETY: sixteen values.
                let x = unsafe { simd.load(vector.as_ptr()) };
                total = simd.add(total, exp(simd, simd.mul(simd.sub(x, shift), scale)));
            }
            // SAFETY: as many values as there are.
            let x = unsafe { simd.load_first(rest.as_ptr(), rest.len()) };
            let last = exp(simd, simd.mul(simd.sub(x, shift), scale));
            *sum = simd.reduce_add(simd.add(total, simd.keep(last, 0, rest.len(), simd.zero())));
        }
    }
}
