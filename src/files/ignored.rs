//! What ignore files exclude: [`Ignored`], one for each directory on the way down.
//!
//! The rules are ripgrep's and git's, from the crate `ignore`, but the files are read here, through the directory's
//! handle: the crate would open them by name, and wait for ever for one that is a FIFO.

use std::os::fd::BorrowedFd;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::{AtFlags, statat};

use crate::read::read_bytes;

/// The files, the one that counts more last.
const NAMES: [&str; 2] = [".gitignore", ".ignore"];
/// A longer one is no ignore file.
const MAX_BYTES: u64 = 1 << 18;

/// The rules of a directory.
pub(crate) struct Ignored {
    rules: Vec<Gitignore>,
    /// The length of the directory's path, with the `/` at its end.
    n_prefix: usize,
}

impl Ignored {
    /// Reads the ignore files of a directory whose path from the root is `path`. One that cannot be read says nothing.
    pub(crate) fn of(directory: BorrowedFd<'_>, path: &str) -> Self {
        let rules = NAMES.iter().filter_map(|name| rules(directory, name)).collect();
        Self { rules, n_prefix: if path.is_empty() { 0 } else { path.len() + 1 } }
    }
}

fn rules(directory: BorrowedFd<'_>, name: &str) -> Option<Gitignore> {
    let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let (bytes, _) = read_bytes(directory, name, &stat, MAX_BYTES).ok()?;
    let mut builder = GitignoreBuilder::new(".");
    for line in String::from_utf8_lossy(&bytes).lines() {
        // A line that is no pattern excludes nothing, as in git.
        let _ = builder.add_line(None, line);
    }
    builder.build().ok()
}

/// Whether a path from the root is excluded by the rules of the directories on the way to it, of which the innermost
/// that has one for it decides.
pub(crate) fn is_ignored(levels: &[Ignored], path: &str, is_directory: bool) -> bool {
    for level in levels.iter().rev() {
        let below = Path::new(path.get(level.n_prefix..).unwrap_or_default());
        for rules in level.rules.iter().rev() {
            let decision = rules.matched(below, is_directory);
            if !decision.is_none() {
                return decision.is_ignore();
            }
        }
    }
    false
}
