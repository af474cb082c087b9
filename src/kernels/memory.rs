//! Memory that vectors like: aligned to cache lines, in huge pages where it is large.
//!
//! [`Arena`] holds what lives as long as a model; [`with_scratch`] lends a thread its own buffer, which
//! is kept between calls so that the hot path does not allocate.

use std::cell::RefCell;

use memmap2::MmapMut;

use crate::KernelError;

/// A zeroed allocation for weights, aligned to a page.
#[derive(Debug)]
pub(crate) struct Arena {
    map: MmapMut,
    len: usize,
}

impl Arena {
    pub(crate) fn zeroed(n_bytes: usize) -> Result<Arena, KernelError> {
        let map =
            MmapMut::map_anon(n_bytes.max(1)).map_err(|source| KernelError::Memory { n_bytes, source })?;
        // Weights are read front to back once per token: with 4 KiB pages, half of the time goes into
        // page walks. Advice only, so a refusal does no harm.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Arena { map, len: n_bytes })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_ptr(&self) -> *const u8 {
        self.map.as_ptr()
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.map.as_mut_ptr()
    }
}

/// One cache line of floats, the unit of scratch memory and of the key-value cache.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [f32; 16]);

thread_local! {
    static SCRATCH: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Lends `n_floats` floats of this thread's scratch memory, with whatever was in them.
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
    fn an_arena_is_zeroed_and_aligned_also_when_empty() {
        for n_bytes in [0, 1, 5_000_000] {
            let arena = Arena::zeroed(n_bytes).unwrap();
            assert_eq!(arena.len(), n_bytes);
            assert!(arena.as_ptr().addr().is_multiple_of(64));
            assert!(arena.map.iter().all(|&it| it == 0));
        }
    }
}
