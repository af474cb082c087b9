//! Finds the largest of many numbers, to choose tokens from logits: [`argmax`] and [`top_k`].
//!
//! One pass over the logits at the speed of the cache; only candidates are handled one by one.

use crate::Cpu;
use crate::simd::{Kernel, LANES, Simd};

/// Candidates collected beyond `k` before they are reduced to the best `k`.
const SLACK: usize = 256;

/// The index of the largest value, the first one of equals; `None` if all are NaN or there are none.
pub fn argmax(cpu: &Cpu, values: &[f32]) -> Option<usize> {
    let mut found = None;
    cpu.run(Argmax { values, found: &mut found });
    found
}

/// The `k` largest values above negative infinity with their indices, largest first, and lower indices first among
/// equals. Fewer if there are not that many.
pub fn top_k(cpu: &Cpu, values: &[f32], k: usize) -> Vec<(usize, f32)> {
    let mut best = Vec::with_capacity(k.min(values.len()) + SLACK + LANES);
    cpu.run(TopK { values, k, best: &mut best });
    best.sort_unstable_by(greater_first);
    best.truncate(k);
    best
}

fn greater_first(a: &(usize, f32), b: &(usize, f32)) -> std::cmp::Ordering {
    b.1.partial_cmp(&a.1).unwrap_or(std::cmp::Ordering::Equal).then(a.0.cmp(&b.0))
}

struct Argmax<'a> {
    values: &'a [f32],
    found: &'a mut Option<usize>,
}

impl Kernel for Argmax<'_> {
    #[inline(always)]
    #[allow(clippy::float_cmp, reason = "one of the values is the greatest, bit by bit")]
    fn run<S: Simd>(self, simd: S) {
        let lowest = simd.splat(f32::NEG_INFINITY);
        let mut greatest = [lowest; 4];
        let groups = self.values.chunks_exact(4 * LANES);
        let mut rest = f32::NEG_INFINITY;
        for value in groups.remainder() {
            rest = if *value > rest { *value } else { rest };
        }
        for group in groups {
            for (greatest, vector) in greatest.iter_mut().zip(group.chunks_exact(LANES)) {
                // SAFETY: sixteen values.
                *greatest = simd.max(unsafe { simd.load(vector.as_ptr()) }, *greatest);
            }
        }
        let greatest = simd.max(simd.max(greatest[0], greatest[1]), simd.max(greatest[2], greatest[3]));
        let greatest = rest.max(simd.reduce_max(greatest));
        let bound = simd.splat(greatest);
        for (i, vector) in self.values.chunks(LANES).enumerate() {
            // SAFETY: as many values as the chunk has.
            let lanes = unsafe { simd.load_first(vector.as_ptr(), vector.len()) };
            if simd.greater_mask(bound, lanes) != u16::MAX
                && let Some(at) = vector.iter().position(|&it| it == greatest)
            {
                *self.found = Some(i * LANES + at);
                return;
            }
        }
    }
}

struct TopK<'a> {
    values: &'a [f32],
    k: usize,
    best: &'a mut Vec<(usize, f32)>,
}

impl Kernel for TopK<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let TopK { values, k, best } = self;
        if k == 0 {
            return;
        }
        let mut threshold = f32::NEG_INFINITY;
        for (i, vector) in values.chunks(LANES).enumerate() {
            // SAFETY: as many values as the chunk has.
            let lanes = unsafe { simd.load_first(vector.as_ptr(), vector.len()) };
            if simd.greater_mask(lanes, simd.splat(threshold)) == 0 {
                continue;
            }
            let candidates = vector.iter().enumerate().filter(|(_, it)| **it > threshold);
            best.extend(candidates.map(|(at, &it)| (i * LANES + at, it)));
            if best.len() >= k.saturating_add(SLACK) {
                let (_, least, _) = best.select_nth_unstable_by(k - 1, greater_first);
                threshold = least.1;
                best.truncate(k);
            }
        }
    }
}
