//! Prepares input rows for a product: normalizes, pads and arranges them in panels.
//!
//! A panel holds up to a register tile of rows, stored column after column, so that a kernel reads one stream for any
//! number of rows. For quantized weights it also has, per row, the sum of each chunk of 32 columns, which the group's
//! bias is multiplied by.

pub(crate) mod integer;

use crate::memory::with_scratch;
use crate::norm::{copy_row, inverse_rms};
use crate::packed::{CHUNK, SendPtr};
use crate::simd::{Kernel, LANES, Simd};
use crate::{Cpu, Norm};

/// Below this number of rows, the calling thread does the work alone.
const ROWS_FOR_THREADS: usize = 8;

/// Input rows in panels of `width`; the last panel's missing rows are zero.
#[derive(Clone, Copy)]
pub(crate) struct Panels {
    pub(crate) width: usize,
    pub(crate) n_rows: usize,
    /// A multiple of 32.
    pub(crate) n_cols: usize,
    /// Panel after panel, `[n_cols][width]` each.
    values: SendPtr<f32>,
    /// Panel after panel, `[n_cols / 32][width]` each.
    sums: SendPtr<f32>,
}

impl Panels {
    pub(crate) fn n_panels(&self) -> usize {
        self.n_rows.div_ceil(self.width)
    }

    pub(crate) fn values(&self, panel: usize) -> *const f32 {
        debug_assert!(panel < self.n_panels());
        self.values.get().wrapping_add(panel * self.n_cols * self.width)
    }

    pub(crate) fn sums(&self, panel: usize) -> *const f32 {
        debug_assert!(panel < self.n_panels());
        self.sums.get().wrapping_add(panel * (self.n_cols / CHUNK) * self.width)
    }
}

/// Calls `f` with the rows of `x`, `[n_rows, n_cols]`, in panels of `width`, padded to `n_padded` columns.
pub(crate) fn with_panels<T>(
    cpu: &Cpu,
    x: &[f32],
    n_cols: usize,
    n_padded: usize,
    norm: Option<Norm>,
    width: usize,
    f: impl FnOnce(Panels) -> T,
) -> T {
    let n_rows = x.len() / n_cols;
    let n_panels = n_rows.div_ceil(width);
    let n_values = n_panels * width * n_padded;
    with_scratch(n_values + n_values / CHUNK, |scratch| {
        let (values, sums) = scratch.split_at_mut(n_values);
        let panels = Panels {
            width,
            n_rows,
            n_cols: n_padded,
            values: SendPtr(values.as_mut_ptr()),
            sums: SendPtr(sums.as_mut_ptr()),
        };
        let fill = |panel: usize| cpu.run(Fill { x, n_cols, norm, panels, panel });
        if n_rows < ROWS_FOR_THREADS {
            (0..n_panels).for_each(fill);
        } else {
            cpu.pool().for_each(n_panels, fill);
        }
        f(panels)
    })
}

/// Writes one panel and its sums.
struct Fill<'a> {
    x: &'a [f32],
    n_cols: usize,
    norm: Option<Norm<'a>>,
    panels: Panels,
    panel: usize,
}

impl Kernel for Fill<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Fill { x, n_cols, norm, panels, panel } = self;
        let width = panels.width;
        let to = panels.values(panel).cast_mut();
        for r in 0..width {
            let row = x.get((panel * width + r) * n_cols..).and_then(|it| it.get(..n_cols)).unwrap_or(&[]);
            // Not a closure, which would be compiled without the caller's instruction set.
            let inverse = if let Some(norm) = norm { inverse_rms(simd, row, norm.eps) } else { 1.0 };
            // SAFETY: row `r` of the panel is its own; the norm's weight was checked to have `n_cols` values.
            unsafe {
                match norm {
                    _ if width == 1 => copy_row(simd, row, norm.map(|it| it.weight), inverse, to),
                    Some(Norm { weight, .. }) => {
                        for (c, (value, weight)) in row.iter().zip(weight).enumerate() {
                            *to.add(c * width + r) = value * inverse * weight;
                        }
                    }
                    None => {
                        for (c, value) in row.iter().enumerate() {
                            *to.add(c * width + r) = *value;
                        }
                    }
                }
                for c in row.len()..panels.n_cols {
                    *to.add(c * width + r) = 0.0;
                }
            }
        }
        // SAFETY: the panel's sums are its own.
        unsafe { sum_chunks(simd, to, width, panels.n_cols / CHUNK, panels.sums(panel).cast_mut()) };
    }
}

/// Writes the sums of each 32 columns.
///
/// # Safety
/// `values` are `[n_chunks * 32][width]`, `sums` `[n_chunks][width]`.
#[inline(always)]
unsafe fn sum_chunks<S: Simd>(simd: S, values: *const f32, width: usize, n_chunks: usize, sums: *mut f32) {
    for chunk in 0..n_chunks {
        // SAFETY: within the panel, guaranteed by the caller.
        unsafe {
            let values = values.add(chunk * CHUNK * width);
            if width == 1 {
                let pair = simd.add(simd.load(values), simd.load(values.add(LANES)));
                *sums.add(chunk) = simd.reduce_add(pair);
            } else {
                for r in 0..width {
                    let mut sum = 0.0;
                    for c in 0..CHUNK {
                        sum += *values.add(c * width + r);
                    }
                    *sums.add(chunk * width + r) = sum;
                }
            }
        }
    }
}
