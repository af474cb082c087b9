//! Writes a set of changes, all or none: [`Roots::apply`].

use crate::error::{FileError, Problem};
use crate::path::FilePath;
use crate::read::{Hash, Snapshot, hash, permissions, read_bytes};
use crate::root::Links;
use crate::roots::Roots;
use crate::stage::{Place, Staged};

/// A file's new content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    path: FilePath,
    text: String,
    /// The content that it is made for; `None` if there must be no such file.
    before: Option<Hash>,
}

impl Change {
    /// Replaces the text of a file that is still as it was read.
    pub fn edit(snapshot: &Snapshot, text: String) -> Self {
        Self { path: snapshot.path.clone(), text, before: Some(snapshot.hash) }
    }

    /// Makes a file where there is none, and the directories that it needs.
    pub fn create(path: FilePath, text: String) -> Self {
        Self { path, text, before: None }
    }

    pub fn path(&self) -> &FilePath {
        &self.path
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Why a set of changes was not applied. Unless `left_changed` has some, all files are as they were.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct ApplyError {
    /// The first file that could not be written.
    pub error: FileError,
    /// Files that were written and could not be taken back, with the reason.
    pub left_changed: Vec<FileError>,
}

impl Roots {
    /// Writes all changes, or none.
    ///
    /// First everything is checked and written beside its place, then each file is exchanged with its new content. If one
    /// turns out to have changed since its snapshot, the ones before it are exchanged back. Permissions are kept; access
    /// lists and extended attributes are not. Nothing is written through links, not even those inside the roots, nor to
    /// write-protected files. On a file system that cannot exchange files, a change by someone else within the moment
    /// between the last look and the renaming goes unseen. If this process is killed in between, some files are changed
    /// and some are not, but each is whole; hidden files that end in `.runabout` may be left, with what they replaced.
    pub fn apply(&self, changes: &[Change]) -> Result<(), ApplyError> {
        let not_applied = |error| ApplyError { error, left_changed: Vec::new() };
        let mut places: Vec<(usize, String)> = Vec::new();
        let mut staged = Vec::new();
        for change in changes {
            let at = |problem: Problem| not_applied(problem.at(change.path.shown()));
            let place = (change.path.root_idx, change.path.relative.clone());
            if places.contains(&place) {
                return Err(at(Problem::Twice));
            }
            places.push(place);
            staged.push((self.stage(change).map_err(at)?, change.path.shown()));
        }
        for idx in 0..staged.len() {
            let (file, path) = &mut staged[idx];
            if let Err(problem) = file.commit() {
                let error = problem.at(*path);
                let mut left_changed = Vec::new();
                for (file, path) in staged[..=idx].iter_mut().rev() {
                    if let Err(problem) = file.take_back() {
                        left_changed.push(problem.at(*path));
                    }
                }
                return Err(ApplyError { error, left_changed });
            }
        }
        for (file, _) in staged {
            file.keep();
        }
        Ok(())
    }

    fn stage(&self, change: &Change) -> Result<Staged, Problem> {
        let limit_bytes = self.options().max_file_bytes;
        let n_bytes = change.text.len() as u64;
        if n_bytes > limit_bytes {
            return Err(Problem::TooLarge { n_bytes, limit_bytes });
        }
        let reached = self.reach(&change.path, Links::Refuse)?;
        if reached.name.is_empty() {
            return Err(Problem::Directory);
        }
        let replaces = match (&change.before, &reached.stat) {
            (None, None) => None,
            (None, Some(_)) => return Err(Problem::Exists),
            (Some(_), None) => return Err(Problem::Changed),
            (Some(before), Some(stat)) => {
                let read = read_bytes(reached.directory(), &reached.name, stat, limit_bytes);
                let (bytes, stat) = match read {
                    Err(Problem::TooLarge { .. }) => return Err(Problem::Changed),
                    other => other?,
                };
                if hash(&bytes) != *before {
                    return Err(Problem::Changed);
                }
                if permissions(&stat) & 0o222 == 0 {
                    return Err(Problem::WriteProtected);
                }
                Some((stat, bytes))
            }
        };
        let place = Place {
            directory: reached.directory(),
            missing: &reached.missing,
            name: &reached.name,
            replaces,
            limit_bytes,
        };
        Staged::write(place, change.text.as_bytes())
    }
}
