//! Memory that can grow, in its own mapping, which returns to the system when dropped: [`Pages`].
//!
//! Keys and values take buffers of a hundred kilobytes and more, which are allocated and freed in any order. An
//! allocator's heap keeps freed memory between allocations, so a worker's memory stays near its maximum: 100 MB above
//! what it uses, with glibc and smollm2-135m. Growing remaps memory instead of copying it, if the system can.

use std::io;

use memmap2::MmapMut;

use crate::KernelError;
use crate::memory::Line;

/// Mappings of at least this size ask for huge pages; smaller ones would hardly contain a whole aligned one.
#[cfg(target_os = "linux")]
const HUGE_BYTES: usize = 4 << 20;

/// Lines of memory, initially zero. There is no mapping without lines.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    map: Option<MmapMut>,
    n_lines: usize,
}

impl Pages {
    pub(crate) fn len(&self) -> usize {
        self.n_lines
    }

    pub(crate) fn lines(&self) -> &[Line] {
        let Some(map) = &self.map else { return &[] };
        // SAFETY: the mapping has this length and is page-aligned; any bits are a valid `Line`.
        unsafe { std::slice::from_raw_parts(map.as_ptr().cast(), self.n_lines) }
    }

    pub(crate) fn lines_mut(&mut self) -> &mut [Line] {
        let Some(map) = &mut self.map else { return &mut [] };
        // SAFETY: as above, and the mapping is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(map.as_mut_ptr().cast(), self.n_lines) }
    }

    /// Frees all but the first `n_lines`.
    pub(crate) fn shrink(&mut self, n_lines: usize) -> Result<(), KernelError> {
        if n_lines >= self.n_lines {
            return Ok(());
        }
        let n_bytes = n_lines * size_of::<Line>();
        if let Some(map) = self.map.as_mut().filter(|_| n_bytes > 0) {
            resize(map, n_bytes).map_err(|source| KernelError::Memory { n_bytes, source })?;
        } else {
            self.map = None;
        }
        self.n_lines = n_lines;
        Ok(())
    }

    /// Grows to at least `n_lines`. Existing content stays; new lines are zero or have earlier content.
    pub(crate) fn grow(&mut self, n_lines: usize) -> Result<(), KernelError> {
        if n_lines <= self.n_lines {
            return Ok(());
        }
        let n_bytes = n_lines.saturating_mul(size_of::<Line>());
        let memory = |source: io::Error| KernelError::Memory { n_bytes, source };
        let map = match &mut self.map {
            Some(map) => {
                resize(map, n_bytes).map_err(memory)?;
                map
            }
            None => self.map.insert(MmapMut::map_anon(n_bytes).map_err(memory)?),
        };
        prepare(map, self.n_lines * size_of::<Line>());
        self.n_lines = n_lines;
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn resize(map: &mut MmapMut, n_bytes: usize) -> io::Result<()> {
    // SAFETY: the mapping is borrowed alone, so no pointer into it is left.
    unsafe { map.remap(n_bytes, memmap2::RemapOptions::new().may_move(true)) }
}

#[cfg(not(target_os = "linux"))]
fn resize(map: &mut MmapMut, n_bytes: usize) -> io::Result<()> {
    let mut other = MmapMut::map_anon(n_bytes)?;
    let n_kept = map.len().min(n_bytes);
    other[..n_kept].copy_from_slice(&map[..n_kept]);
    *map = other;
    Ok(())
}

/// Maps the pages from byte `start` on, which are about to be written, at once instead of by page faults.
#[cfg(target_os = "linux")]
fn prepare(map: &MmapMut, start: usize) {
    // This is only advice; a system that ignores it maps the pages one by one.
    if map.len() >= HUGE_BYTES {
        let _ = map.advise(memmap2::Advice::HugePage);
    }
    let _ = map.advise_range(memmap2::Advice::PopulateWrite, start, map.len() - start);
}

#[cfg(not(target_os = "linux"))]
fn prepare(_: &MmapMut, _: usize) {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]

    use super::*;

    #[test]
    fn what_is_there_stays_and_what_is_new_is_zero() {
        let mut pages = Pages::default();
        assert!(pages.lines().is_empty() && pages.lines_mut().is_empty());
        let mut n_before = 0;
        // Within a page, beyond it, up to huge pages, and beyond those.
        for n_lines in [1, 3, 64, 65, 1_000, 70_000, 69_999, 200_000] {
            pages.grow(n_lines).unwrap();
            assert_eq!(pages.len(), n_lines.max(n_before));
            assert!(pages.lines().as_ptr().addr().is_multiple_of(align_of::<Line>()));
            for (i, line) in pages.lines_mut().iter_mut().enumerate() {
                let expected = if i < n_before { i as f32 } else { 0.0 };
                assert_eq!(line.0, [expected; 16], "line {i} of {n_lines}");
                line.0 = [i as f32; 16];
            }
            n_before = pages.len();
        }
    }

    #[test]
    fn what_is_given_back_is_gone() {
        let mut pages = Pages::default();
        pages.grow(1_000).unwrap();
        pages.lines_mut().iter_mut().for_each(|it| it.0 = [1.0; 16]);
        for (n_lines, n_kept) in [(2_000, 1_000), (130, 130), (129, 129), (0, 0)] {
            pages.shrink(n_lines).unwrap();
            assert_eq!((pages.len(), pages.lines().len()), (n_kept, n_kept));
            assert!(pages.lines().iter().all(|it| it.0 == [1.0; 16]));
        }
        pages.grow(130).unwrap();
        assert!(pages.lines().iter().all(|it| it.0 == [0.0; 16]));
    }

    #[test]
    fn what_no_machine_has_is_refused() {
        let mut pages = Pages::default();
        pages.grow(10).unwrap();
        pages.lines_mut()[9].0 = [3.0; 16];
        assert!(matches!(pages.grow(usize::MAX), Err(KernelError::Memory { .. })));
        pages.grow(20).unwrap();
        assert_eq!((pages.lines()[9].0[0], pages.lines()[19].0[0]), (3.0, 0.0));
    }
}
