//! Memory for vectors: aligned to cache lines, and in huge pages if large.
//!
//! [`Arena`] holds weights. [`with_scratch`] lends each thread a buffer that is kept between calls, so that hot paths
//! do not allocate.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use memmap2::{MmapMut, MmapRaw};

use crate::KernelError;

/// Memory is mapped in pieces of this size, since one layer's matrices are too small for huge pages.
const SLAB_BYTES: usize = 64 << 20;
/// Larger requests get a mapping of their own.
const LARGE_BYTES: usize = SLAB_BYTES / 4;
/// The alignment of requests: two cache lines, which the hardware fetches as a pair.
const ALIGNMENT: usize = 128;

/// A zeroed range of memory for weights.
#[derive(Debug)]
pub(crate) struct Arena {
    slab: Arc<MmapRaw>,
    start: usize,
    len: usize,
}

/// The mapping that serves small requests, and how much of it is taken. The arenas own it.
#[derive(Debug, Default)]
pub(crate) struct Slabs {
    open: Mutex<(Weak<MmapRaw>, usize)>,
}

impl Slabs {
    pub(crate) fn take(&self, n_bytes: usize) -> Result<Arena, KernelError> {
        if n_bytes > LARGE_BYTES {
            return Ok(Arena { slab: Arc::new(map(n_bytes)?), start: 0, len: n_bytes });
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (slab, start) = match open.0.upgrade() {
            Some(slab) if open.1 + n_bytes <= slab.len() => (slab, open.1),
            _ => (Arc::new(map(SLAB_BYTES)?), 0),
        };
        *open = (Arc::downgrade(&slab), (start + n_bytes).next_multiple_of(ALIGNMENT));
        Ok(Arena { slab, start, len: n_bytes })
    }
}

fn map(n_bytes: usize) -> Result<MmapRaw, KernelError> {
    let map = MmapMut::map_anon(n_bytes).map_err(|source| KernelError::Memory { n_bytes, source })?;
    // Weights are read from front to back once per token; with small pages, page walks take much of that time. This
    // is only advice, so a failure does no harm.
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage);
    Ok(map.into())
}

impl Arena {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Valid for reads of `len` bytes, and for writes by the code that has just taken the arena.
    pub(crate) fn as_mut_ptr(&self) -> *mut u8 {
        self.slab.as_mut_ptr().wrapping_add(self.start)
    }
}

/// One cache line of floats, the unit of scratch memory and of the key-value cache.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [f32; 16]);

thread_local! {
    static SCRATCH: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with `n_floats` floats of this thread's scratch memory, with arbitrary content.
///
/// Nested calls get different memory.
pub(crate) fn with_scratch<T>(n_floats: usize, f: impl FnOnce(&mut [f32]) -> T) -> T {
    let n_lines = n_floats.div_ceil(16);
    let mut lines = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    if lines.len() < n_lines {
        lines.resize(n_lines, Line([0.0; 16]));
    }
    // SAFETY: `lines` holds at least `n_floats` initialized floats, and `Line` is `repr(C)`.
    let floats = unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast::<f32>(), n_floats) };
    let out = f(floats);
    SCRATCH.with_borrow_mut(|kept| kept.push(lines));
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]

    use super::*;

    #[test]
    fn scratch_is_aligned_kept_and_not_shared_by_nested_calls() {
        let first = with_scratch(1_000, |outer| {
            outer.fill(1.0);
            with_scratch(500, |inner| inner.fill(2.0));
            assert!(outer.iter().all(|&it| it == 1.0));
            assert!(outer.as_ptr().addr().is_multiple_of(64));
            outer.as_ptr()
        });
        assert_eq!(first, with_scratch(1_000, |again| again.as_ptr()));
    }

    #[test]
    fn arenas_are_zeroed_aligned_and_do_not_overlap() {
        let slabs = Slabs::default();
        let arenas: Vec<Arena> =
            [0, 1, 5_000_000, 300, 40_000_000, 16_000_000, 16_000_000, 16_000_000, 16_000_000, 7]
                .into_iter()
                .map(|n_bytes| slabs.take(n_bytes).unwrap())
                .collect();
        for (i, arena) in arenas.iter().enumerate() {
            assert!(arena.as_mut_ptr().addr().is_multiple_of(ALIGNMENT));
            // SAFETY: there is no other reference to the arena.
            let bytes = unsafe { std::slice::from_raw_parts_mut(arena.as_mut_ptr(), arena.len()) };
            assert!(bytes.iter().all(|&it| it == 0), "arena {i}");
            bytes.fill(1);
        }
    }
}
