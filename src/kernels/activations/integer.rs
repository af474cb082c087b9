//! Input rows as integers: normalized, rounded and arranged in panels, in one pass.
//!
//! The 32 columns of a chunk share one f32 scale per row. Values are rounded to nearest even, to one byte or to two
//! signed bytes: `x = scale * (256 * high + low)`. For products of pairs of 16 bits, 16 bits are stored in either case.
//! Beside the scale is the scaled sum of the *rounded* values, which a weight's bias is multiplied by. Centred
//! weights have no biases; for them there is the initial value of each sum of products.
//!
//! A NaN or an infinity makes the scale NaN, and thereby all results of its row.

use crate::memory::with_scratch;
use crate::norm::inverse_rms;
use crate::packed::{CHUNK, SendPtr};
use crate::simd::{Kernel, LANES, Simd};
use crate::{Cpu, Norm};

/// Below this number of rows, the calling thread does the work alone.
const ROWS_FOR_THREADS: usize = 16;
/// A chunk with only smaller values counts as zero, since the inverse of its scale would be infinite.
const SMALLEST: f32 = 1e-30;

/// The middle of centred weights, as used by `IntegerPanels::starts`.
pub(crate) const CENTRE: u32 = 128;

/// Input rows in panels of `width`; the last panel's missing rows are zero.
#[derive(Clone, Copy)]
pub(crate) struct IntegerPanels {
    pub(crate) width: usize,
    pub(crate) n_rows: usize,
    pub(crate) n_chunks: usize,
    /// Bytes per value.
    n_bytes: usize,
    pub(crate) is_wide: bool,
    /// Panel after panel, `[n_chunks][width][n_bytes][32]` each, the high bytes first; or `[n_chunks][width][32]` in
    /// 16 bits, in the order of `Simd::store_i16_pairs`.
    values: SendPtr<i8>,
    /// Panel after panel, `[n_chunks / 16][width][16]` each, rounded up: a vector holds the scales of sixteen chunks
    /// of a row.
    scales: SendPtr<f32>,
    /// Arranged like the scales.
    sums: SendPtr<f32>,
    /// Arranged like the scales.
    starts: SendPtr<i32>,
}

impl IntegerPanels {
    pub(crate) fn n_panels(&self) -> usize {
        self.n_rows.div_ceil(self.width)
    }

    /// The values of a panel, starting at chunk `chunk`.
    pub(crate) fn values(&self, panel: usize, chunk: usize) -> *mut i8 {
        self.values.get().wrapping_add(self.record(panel, chunk) * self.n_bytes * CHUNK)
    }

    /// The first row's scales of sixteen chunks, starting at `chunk`, a multiple of sixteen.
    pub(crate) fn scales(&self, panel: usize, chunk: usize) -> *mut f32 {
        self.scales.get().wrapping_add(self.vector(panel, chunk))
    }

    /// The sums of the rounded values, times the scale. Arranged like the scales.
    pub(crate) fn sums(&self, panel: usize, chunk: usize) -> *mut f32 {
        self.sums.get().wrapping_add(self.vector(panel, chunk))
    }

    /// The sums of the rounded values, times `-CENTRE`. Arranged like the scales.
    pub(crate) fn starts(&self, panel: usize, chunk: usize) -> *mut i32 {
        self.starts.get().wrapping_add(self.vector(panel, chunk))
    }

    fn record(&self, panel: usize, chunk: usize) -> usize {
        debug_assert!(panel < self.n_panels() && chunk <= self.n_chunks);
        (panel * self.n_chunks + chunk) * self.width
    }

    fn vector(&self, panel: usize, chunk: usize) -> usize {
        debug_assert!(panel < self.n_panels() && chunk <= self.n_chunks && chunk.is_multiple_of(LANES));
        (panel * self.n_chunks.div_ceil(LANES) + chunk / LANES) * self.width * LANES
    }
}

/// Calls `f` with the rows of `x`, whose `n_cols` columns are whole chunks, in panels of `width`, rounded to `PLANES`
/// bytes; if `is_wide`, they are stored in 16 bits.
pub(crate) fn with_integer_panels<const PLANES: usize, T>(
    cpu: &Cpu,
    x: &[f32],
    n_cols: usize,
    norm: Option<Norm>,
    (width, is_wide): (usize, bool),
    f: impl FnOnce(IntegerPanels) -> T,
) -> T {
    let n_rows = x.len() / n_cols;
    let n_chunks = n_cols / CHUNK;
    let n_panels = n_rows.div_ceil(width);
    let n_records = n_panels * width * n_chunks;
    let n_scales = n_panels * width * n_chunks.next_multiple_of(LANES);
    let n_bytes = if is_wide { 2 } else { PLANES };
    let n_value_floats = (n_records * n_bytes * CHUNK / size_of::<f32>()).next_multiple_of(LANES);
    with_scratch(n_value_floats + 3 * n_scales, |scratch| {
        let (values, rest) = scratch.split_at_mut(n_value_floats);
        let (scales, rest) = rest.split_at_mut(n_scales);
        let (sums, starts) = rest.split_at_mut(n_scales);
        let panels = IntegerPanels {
            width,
            n_rows,
            n_chunks,
            n_bytes,
            is_wide,
            values: SendPtr(values.as_mut_ptr().cast()),
            scales: SendPtr(scales.as_mut_ptr()),
            sums: SendPtr(sums.as_mut_ptr()),
            starts: SendPtr(starts.as_mut_ptr().cast()),
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
    panels: IntegerPanels,
    panel: usize,
}

impl<const PLANES: usize> Kernel for Fill<'_, PLANES> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Fill { x, n_cols, norm, panels, panel } = self;
        for r in 0..panels.width {
            let first = (panel * panels.width + r) * n_cols;
            let row = x.get(first..first + n_cols).unwrap_or(&[]);
            // Not a closure, which would be compiled without the caller's instruction set.
            let inverse = if let Some(norm) = norm { inverse_rms(simd, row, norm.eps) } else { 1.0 };
            let inverse = simd.splat(inverse);
            for first_chunk in (0..panels.n_chunks).step_by(LANES) {
                let n_chunks = LANES.min(panels.n_chunks - first_chunk);
                let at = |chunk: usize| {
                    panels.values(panel, first_chunk + chunk).wrapping_add(r * panels.n_bytes * CHUNK)
                };
                let mut rounded = Rounded { scales: [0.0; LANES], sums: [0.0; LANES] };
                if !row.is_empty() {
                    let mut values = [[simd.zero(); 2]; LANES];
                    for (chunk, values) in values.iter_mut().take(n_chunks).enumerate() {
                        for (half, value) in values.iter_mut().enumerate() {
                            let col = (first_chunk + chunk) * CHUNK + half * LANES;
                            // SAFETY: the row and the norm's weight have all chunks.
                            unsafe {
                                *value = simd.load(row.as_ptr().add(col));
                                if let Some(norm) = norm {
                                    let weight = simd.load(norm.weight.as_ptr().add(col));
                                    *value = simd.mul(simd.mul(*value, inverse), weight);
                                }
                            }
                        }
                    }
                    // SAFETY: row `r` of the panel's chunks is its own.
                    rounded = unsafe { round::<S, PLANES>(simd, &values, n_chunks, panels.is_wide, at) };
                }
                let Rounded { mut scales, mut sums } = rounded;
                let mut starts = [0; LANES];
                for ((scale, sum), start) in scales.iter_mut().zip(&mut sums).zip(&mut starts) {
                    *start = *sum as i32 * -CENTRE.cast_signed();
                    // NaN is represented by the scale.
                    (*scale, *sum) = (*scale + 0.0 * *sum, *scale * *sum);
                }
                // SAFETY: as above. Of a missing row the values stay whatever they are.
                unsafe {
                    let at = r * LANES;
                    panels.scales(panel, first_chunk).add(at).cast::<[f32; LANES]>().write(scales);
                    panels.sums(panel, first_chunk).add(at).cast::<[f32; LANES]>().write(sums);
                    panels.starts(panel, first_chunk).add(at).cast::<[i32; LANES]>().write(starts);
                }
            }
        }
    }
}

/// For each chunk the scale, and the sum of its integers.
struct Rounded {
    scales: [f32; LANES],
    sums: [f32; LANES],
}

/// Rounds the first `n_chunks` chunks of `values`, 32 each, and writes them to `to(chunk)`.
///
/// Processes as many chunks together as a vector has lanes: one by one, each would wait for its maximum and again for
/// its sum.
///
/// # Safety
/// For every chunk, `PLANES` times 32 bytes, or two times if `is_wide`, at `to(chunk)` are writable.
#[inline(always)]
unsafe fn round<S: Simd, const PLANES: usize>(
    simd: S,
    values: &[[S::V; 2]; LANES],
    n_chunks: usize,
    is_wide: bool,
    to: impl Fn(usize) -> *mut i8,
) -> Rounded {
    // With two bytes, the largest value that both can hold: `127 * 256 + 127`.
    let greatest = simd.splat(if PLANES == 1 { 127.0 } else { 32_639.0 });
    let mut sizes = [simd.zero(); LANES];
    for (size, values) in sizes.iter_mut().zip(values).take(n_chunks) {
        for value in *values {
            *size = simd.max(simd.max(value, simd.sub(simd.zero(), value)), *size);
        }
    }
    let sizes = simd.max_each(&sizes);
    let smallest = simd.splat(SMALLEST);
    let mut inverses = [0.0; LANES];
    let mut rounded = Rounded { scales: [0.0; LANES], sums: [0.0; LANES] };
    // SAFETY: sixteen values each.
    unsafe {
        let scales = simd.where_greater(sizes, smallest, simd.div(sizes, greatest));
        simd.store(rounded.scales.as_mut_ptr(), scales);
        let inverse = simd.where_greater(sizes, smallest, simd.div(greatest, sizes));
        simd.store(inverses.as_mut_ptr(), inverse);
    }
    let mut sums = [simd.zero(); LANES];
    for (chunk, ((sum, values), inverse)) in
        sums.iter_mut().zip(values).zip(inverses).take(n_chunks).enumerate()
    {
        let to = to(chunk);
        for (half, value) in values.iter().enumerate() {
            let value = simd.round(simd.mul(*value, simd.splat(inverse)));
            *sum = simd.add(*sum, value);
            // SAFETY: guaranteed by the caller.
            unsafe {
                if is_wide {
                    simd.store_i16_pairs(to.cast::<i16>().add(half * LANES), value);
                } else if PLANES == 1 {
                    simd.store_i8(to.add(half * LANES), value);
                } else {
                    // A quarter more, so that ties round up and -128 does not occur.
                    let quarter = simd.splat(0.25 / 256.0);
                    let high = simd.round(simd.mul_add(value, simd.splat(1.0 / 256.0), quarter));
                    let low = simd.mul_add(high, simd.splat(-256.0), value);
                    simd.store_i8(to.add(half * LANES), high);
                    simd.store_i8(to.add(CHUNK + half * LANES), low);
                }
            }
        }
    }
    // SAFETY: sixteen values.
    unsafe { simd.store(rounded.sums.as_mut_ptr(), simd.add_each(&sums)) };
    rounded
}
