//! Where a person edited lately, in all documents, the latest last.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::document::moved;

/// The most places that are remembered.
const MAX_PLACES: usize = 16;
/// An edit this near to the last one, in bytes, belongs to it.
const SAME_PLACE: usize = 200;

/// The places of recent edits.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    places: Vec<(PathBuf, Range<usize>)>,
}

impl Recent {
    /// Notes that `range` of a document was replaced by `n_new` bytes.
    pub(crate) fn edited(&mut self, path: &Path, range: &Range<usize>, n_new: usize) {
        let mut place = range.start..range.start + n_new;
        self.places.retain_mut(|(other, at)| {
            if other != path {
                return true;
            }
            let is_near = at.start <= range.end + SAME_PLACE && range.start <= at.end + SAME_PLACE;
            if is_near {
                let end = if at.end > range.end { at.end - range.len() + n_new } else { place.end };
                place = place.start.min(at.start)..place.end.max(end);
                return false;
            }
            match moved(at, range, n_new) {
                Some(now) => {
                    *at = now;
                    true
                }
                None => false,
            }
        });
        self.places.push((path.to_owned(), place));
        if self.places.len() > MAX_PLACES {
            self.places.remove(0);
        }
    }

    pub(crate) fn closed(&mut self, path: &Path) {
        self.places.retain(|(it, _)| it != path);
    }

    /// The places, the latest first.
    pub(crate) fn latest(&self) -> impl Iterator<Item = (&Path, &Range<usize>)> {
        self.places.iter().rev().map(|(path, range)| (path.as_path(), range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_near_each_other_are_one_place_and_places_move_with_edits_before_them() {
        let mut recent = Recent::default();
        let path = Path::new("a");
        recent.edited(path, &(1_000..1_000), 1);
        recent.edited(path, &(1_001..1_001), 1);
        recent.edited(path, &(10..12), 5);
        let latest: Vec<_> = recent.latest().map(|(_, range)| range.clone()).collect();
        assert_eq!(latest, [10..15, 1_003..1_005]);
        recent.closed(path);
        assert_eq!(recent.latest().count(), 0);
    }
}
