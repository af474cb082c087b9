//! One allowed directory, and how a file is reached from its handle: [`Root::reach`].
//!
//! A path is followed one name at a time, each opened relative to the directory before it and never through a link.
//! Links are read and followed by this code alone, so it always knows the real names of where it is, and `..` in a
//! link's target goes back to a handle that it already holds. So there is no moment between a check and its use.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use rustix::io::Errno;

use crate::error::Problem;
use crate::path::join;

/// As many as Linux follows.
const MAX_LINKS: usize = 40;

/// How directories are opened.
pub(crate) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Whether links inside the root are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    Refuse,
}

/// An allowed directory.
#[derive(Debug)]
pub(crate) struct Root {
    /// As the caller named it, made absolute.
    pub(crate) given: PathBuf,
    /// Where it was when it was opened, without links.
    pub(crate) resolved: PathBuf,
    directory: OwnedFd,
}

/// Where a path leads: the last directory, and a name in it that was not a link.
#[derive(Debug)]
pub(crate) struct Reached<'r> {
    root: &'r Root,
    /// The directories below the root that lead to it, with their names.
    parents: Vec<(String, OwnedFd)>,
    /// Directories that do not exist yet, below the last one that does.
    pub(crate) missing: Vec<String>,
    /// The last name; empty for the root itself.
    pub(crate) name: String,
    /// What has that name; `None` if nothing has.
    pub(crate) stat: Option<Stat>,
}

impl Root {
    /// Opens a directory, which may be a link: it is resolved here, once.
    pub(crate) fn open(path: &Path) -> Result<Self, Problem> {
        let given = std::path::absolute(path)?;
        let resolved = given.canonicalize()?;
        let directory = openat(CWD, &resolved, DIRECTORY, Mode::empty())?;
        Ok(Self { given, resolved, directory })
    }

    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Follows the names of a relative path without `..`. A last name that does not exist is no error here.
    pub(crate) fn reach(&self, relative: &str, links: Links) -> Result<Reached<'_>, Problem> {
        let mut reached =
            Reached { root: self, parents: Vec::new(), missing: Vec::new(), name: String::new(), stat: None };
        let mut names: VecDeque<String> = split(relative).collect();
        let mut n_links = 0;
        while let Some(name) = names.pop_front() {
            if name == ".." {
                // Only the target of a link contains it.
                reached.parents.pop().ok_or(Problem::LinkOut)?;
                continue;
            }
            let directory = reached.directory();
            let is_last = names.is_empty();
            if !is_last {
                match openat(directory, &*name, DIRECTORY, Mode::empty()) {
                    Ok(opened) => {
                        reached.parents.push((name, opened));
                        continue;
                    }
                    Err(Errno::NOENT) => {
                        reached.missing.push(name);
                        reached.name = names.pop_back().unwrap_or_default();
                        reached.missing.extend(names);
                        if reached.missing.iter().any(|it| it == "..") || reached.name == ".." {
                            return Err(Problem::NotFound);
                        }
                        return Ok(reached);
                    }
                    Err(Errno::LOOP | Errno::NOTDIR | Errno::MLINK) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let stat = match statat(directory, &*name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) if is_last => {
                    reached.name = name;
                    return Ok(reached);
                }
                Err(error) => return Err(error.into()),
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink if links == Links::Refuse => return Err(Problem::ThroughLink),
                FileType::Symlink => {
                    n_links += 1;
                    if n_links > MAX_LINKS {
                        return Err(Problem::TooManyLinks);
                    }
                    let target = readlinkat(directory, &*name, Vec::new()).map_err(|errno| match errno {
                        Errno::INVAL => Problem::Changed,
                        other => other.into(),
                    })?;
                    let target = target.into_string().map_err(|_| Problem::InvalidPath)?;
                    if target.starts_with('/') {
                        return Err(Problem::LinkOut);
                    }
                    for name in split(&target).collect::<Vec<_>>().into_iter().rev() {
                        names.push_front(name);
                    }
                }
                _ if is_last => {
                    reached.name = name;
                    reached.stat = Some(stat);
                    return Ok(reached);
                }
                // It was no directory a moment ago.
                FileType::Directory => return Err(Problem::Changed),
                _ => return Err(Problem::NotADirectory),
            }
        }
        // The path is the root itself, or a link's target ended with `..`.
        Ok(reached)
    }
}

impl Reached<'_> {
    /// The last directory.
    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.parents.last().map_or(self.root.directory(), |(_, it)| it.as_fd())
    }

    /// The real path from the root, without links.
    pub(crate) fn real(&self) -> String {
        let names = self.parents.iter().map(|(name, _)| name).chain(&self.missing).chain([&self.name]);
        names.filter(|it| !it.is_empty()).fold(String::new(), |path, name| join(&path, name))
    }

    /// Goes down into an opened directory.
    pub(crate) fn enter(&mut self, name: String, directory: OwnedFd) {
        self.parents.push((name, directory));
    }
}

/// The names in a path; `.` and empty ones mean nothing.
fn split(path: &str) -> impl Iterator<Item = String> {
    path.split('/').filter(|it| !it.is_empty() && *it != ".").map(str::to_owned)
}

/// What kind of file it is, unless it is a regular one.
pub(crate) fn check_regular(stat: &Stat) -> Result<(), Problem> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => return Err(Problem::Directory),
        FileType::Symlink => return Err(Problem::Changed),
        FileType::Fifo => "FIFO",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        FileType::Unknown => "file of an unknown kind",
    };
    Err(Problem::Special { kind })
}
