//! Input rows as whole numbers: normalized, rounded, and put into panels, in one pass.
//!
//! Each row's 32 columns of a chunk share one scale, an f32; their values are rounded to nearest even in
//! one byte, or in two of which each is signed: `x = scale * (256 * high + low)`. With the scale goes the
//! scaled sum of the *rounded* values, which a weight's bias multiplies. Weights that are centred need no
//! biases: with them goes what a sum of products must start with.
//!
//! What is not a number, or infinite, makes that sum or the scale not a number, and so all results of its row.

use super::inverse_rms;
use crate::memory::with_scratch;
use crate::packed::{CHUNK, SendPtr};
use crate::simd::{Kernel, LANES, Simd};
use crate::{Cpu, Norm};

/// Rows below which the calling thread does the work alone.
const ROWS_FOR_THREADS: usize = 16;
/// Chunks whose values are all smaller are taken for zero: one over their scale would be infinite.
const SMALLEST: f32 = 1e-30;

/// Input rows in panels of `width`; the last panel's missing rows are zero.
#[derive(Clone, Copy)]
pub(crate) struct WholePanels {
    pub(crate) width: usize,
    pub(crate) n_rows: usize,
    pub(crate) n_chunks: usize,
    /// The bits of centred weights: instead of a sum, there is `-2^(bits - 1)` times its whole number, an i32.
    pub(crate) centred_bits: Option<usize>,
    n_planes: usize,
    /// Panel after panel, `[n_chunks][width][n_planes][32]` each; the high plane comes first.
    values: SendPtr<i8>,
    /// Panel after panel, `[n_chunks][width]` each.
    scales: SendPtr<f32>,
    /// Like the scales.
    sums: SendPtr<f32>,
}

impl WholePanels {
    pub(crate) fn n_panels(&self) -> usize {
        self.n_rows.div_ceil(self.width)
    }

    /// The values of a panel from chunk `chunk` on.
    pub(crate) fn values(&self, panel: usize, chunk: usize) -> *mut i8 {
        self.values.get().wrapping_add(self.record(panel, chunk) * self.n_planes * CHUNK)
    }

    pub(crate) fn scales(&self, panel: usize, chunk: usize) -> *mut f32 {
        self.scales.get().wrapping_add(self.record(panel, chunk))
    }

    pub(crate) fn sums(&self, panel: usize, chunk: usize) -> *mut f32 {
        self.sums.get().wrapping_add(self.record(panel, chunk))
    }

    fn record(&self, panel: usize, chunk: usize) -> usize {
        debug_assert!(panel < self.n_panels() && chunk <= self.n_chunks);
        (panel * self.n_chunks + chunk) * self.width
    }
}

/// Lends `f` the rows of `x`, whose `n_cols` columns are whole chunks, in panels of `width` and `PLANES` bytes.
pub(crate) fn with_whole_panels<const PLANES: usize, T>(
    cpu: &Cpu,
    x: &[f32],
    n_cols: usize,
    norm: Option<Norm>,
    width: usize,
    centred_bits: Option<usize>,
    f: impl FnOnce(WholePanels) -> T,
) -> T {
    let n_rows = x.len() / n_cols;
    let n_chunks = n_cols / CHUNK;
    let n_panels = n_rows.div_ceil(width);
    let n_records = n_panels * width * n_chunks;
    let n_value_floats = n_records * PLANES * CHUNK / size_of::<f32>();
    with_scratch(n_value_floats + 2 * n_records, |scratch| {
        let (values, rest) = scratch.split_at_mut(n_value_floats);
        let (scales, sums) = rest.split_at_mut(n_records);
        let panels = WholePanels {
            width,
            n_rows,
            n_chunks,
            centred_bits,
            n_planes: PLANES,
            values: SendPtr(values.as_mut_ptr().cast()),
            scales: SendPtr(scales.as_mut_ptr()),
            sums: SendPtr(sums.as_mut_ptr()),
        };
        let fill = |panel: usize| cpu.run(Fill::<PLANES> { x, n_cols, norm, panels, panel });
        if n_rows < ROWS_FOR_THREADS {
            (0..n_panels).for_each(fill);
        } else {
            cpu.pool().for_each(n_panels, fill);
        }
        f(panels)
    })
}

/// Writes one panel.
struct Fill<'a, const PLANES: usize> {
    x: &'a [f32],
    n_cols: usize,
    norm: Option<Norm<'a>>,
    panels: WholePanels,
    panel: usize,
}

impl<const PLANES: usize> Kernel for Fill<'_, PLANES> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Fill { x, n_cols, norm, panels, panel } = self;
        for r in 0..panels.width {
            let first = (panel * panels.width + r) * n_cols;
            let row = x.get(first..first + n_cols).unwrap_or(&[]);
            let inverse = simd.splat(norm.map_or(1.0, |it| inverse_rms(simd, row, it.eps)));
            for chunk in 0..panels.n_chunks {
                let scale_to = panels.scales(panel, chunk).wrapping_add(r);
                let sum_to = panels.sums(panel, chunk).wrapping_add(r);
                let to = panels.values(panel, chunk).wrapping_add(r * PLANES * CHUNK);
                // SAFETY: row `r` of the panel is its own; the row and the norm's weight have all chunks, or the
                // row is missing and its values stay whatever they are.
                unsafe {
                    let (scale, sum) = if row.is_empty() {
                        (0.0, 0.0)
                    } else {
                        let mut values = [simd.zero(); 2];
                        for (half, value) in values.iter_mut().enumerate() {
                            let at = chunk * CHUNK + half * LANES;
                            *value = simd.load(row.as_ptr().add(at));
                            if let Some(norm) = norm {
                                let weight = simd.load(norm.weight.as_ptr().add(at));
                                *value = simd.mul(simd.mul(*value, inverse), weight);
                            }
                        }
                        round::<S, PLANES>(simd, values, to)
                    };
                    if let Some(bits) = panels.centred_bits {
                        // The scale takes over what is not a number.
                        *scale_to = scale + 0.0 * sum;
                        *sum_to.cast::<i32>() = -(sum as i32) << (bits - 1);
                    } else {
                        *scale_to = scale;
                        *sum_to = scale * sum;
                    }
                }
            }
        }
    }
}

/// Rounds the 32 values of a chunk to `to`; their scale, and the sum of the whole numbers.
///
/// # Safety
/// `PLANES` times 32 bytes at `to` are writable.
#[inline(always)]
unsafe fn round<S: Simd, const PLANES: usize>(simd: S, values: [S::V; 2], to: *mut i8) -> (f32, f32) {
    // With two bytes, the greatest that both can hold: `127 * 256 + 127`.
    let greatest = if PLANES == 1 { 127.0 } else { 32_639.0 };
    let mut size = simd.zero();
    for value in values {
        size = simd.max(simd.max(value, simd.sub(simd.zero(), value)), size);
    }
    let size = simd.reduce_max(size);
    let (scale, inverse) = if size > SMALLEST { (size / greatest, greatest / size) } else { (0.0, 0.0) };
    let mut sum = simd.zero();
    for (half, value) in values.into_iter().enumerate() {
        let value = simd.round(simd.mul(value, simd.splat(inverse)));
        sum = simd.add(sum, value);
        // SAFETY: as promised by the caller.
        unsafe {
            if PLANES == 1 {
                simd.store_i8(to.add(half * LANES), value);
            } else {
                // A quarter more, so that what is halfway goes up and leaves -128.
                let high = simd.round(simd.mul_add(value, simd.splat(1.0 / 256.0), simd.splat(0.25 / 256.0)));
                let low = simd.mul_add(high, simd.splat(-256.0), value);
                simd.store_i8(to.add(half * LANES), high);
                simd.store_i8(to.add(CHUNK + half * LANES), low);
            }
        }
    }
    (scale, simd.reduce_add(sum))
}
