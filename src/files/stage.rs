//! One file's new content on its way to its place: written beside it, exchanged with it, and taken back if need be.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, RenameFlags, Stat, Uid, fchmod, fchown, fstat, fsync, linkat, mkdirat,
    openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use crate::error::Problem;
use crate::read::{Hash, hash, read_bytes};
use crate::root::DIRECTORY;

/// A new file that is not yet at its place. Dropping it removes it.
pub(crate) struct Staged {
    directory: OwnedFd,
    /// Directories that were created for it: the handle of the one above, and the name.
    created: Vec<(OwnedFd, String)>,
    temporary: String,
    name: String,
    /// The content that it replaces; `None` for a new file.
    replaces: Option<(Hash, Vec<u8>)>,
    limit_bytes: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Staged,
    /// It is at its place, and the file that it replaced has the temporary name.
    Exchanged,
    /// It is at its place. The file that it replaced is gone.
    Replaced,
    /// It is at its place, where nothing was.
    Created,
    /// There is no file with the temporary name.
    Done,
}

/// Where a new file goes, and what it replaces.
pub(crate) struct Place<'a> {
    pub(crate) directory: BorrowedFd<'a>,
    /// Directories to create below it.
    pub(crate) missing: &'a [String],
    pub(crate) name: &'a str,
    /// The file at that place, and its content.
    pub(crate) replaces: Option<(Stat, Vec<u8>)>,
    pub(crate) limit_bytes: u64,
}

impl Staged {
    /// Writes a file beside its place, with the permissions of the one that it replaces, down to the disk.
    pub(crate) fn write(place: Place<'_>, bytes: &[u8]) -> Result<Self, Problem> {
        let mut staged = Self {
            directory: place.directory.try_clone_to_owned()?,
            created: Vec::new(),
            temporary: String::new(),
            name: place.name.to_owned(),
            replaces: None,
            limit_bytes: place.limit_bytes,
            state: State::Done,
        };
        for name in place.missing {
            staged.create_directory(name)?;
        }
        // Begins with a dot, so that no tool takes it for a source file.
        let temporary = format!(".{}.{:08x}.runabout", beginning(place.name), fastrand::u32(..));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Without a file to take permissions from, the umask decides.
        let mode = if place.replaces.is_some() { 0o600 } else { 0o666 };
        let file = openat(&staged.directory, &*temporary, flags, Mode::from_raw_mode(mode))?;
        staged.temporary = temporary;
        staged.state = State::Staged;
        let mut file = File::from(file);
        file.write_all(bytes)?;
        if let Some((stat, old)) = place.replaces {
            let own = fstat(&file)?;
            if (own.st_uid, own.st_gid) != (stat.st_uid, stat.st_gid) {
                // Only root may give a file away; then it belongs to who changed it, as with any editor.
                let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
                let _ = fchown(&file, Some(owner), Some(group));
            }
            fchmod(&file, Mode::from_raw_mode(stat.st_mode))?;
            staged.replaces = Some((hash(&old), old));
        }
        fsync(&file)?;
        Ok(staged)
    }

    fn create_directory(&mut self, name: &str) -> Result<(), Problem> {
        match mkdirat(&self.directory, name, Mode::from_raw_mode(0o777)) {
            Ok(()) => self.created.push((self.directory.try_clone()?, name.to_owned())),
            // Made meanwhile, perhaps by another file of the same set.
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        self.directory =
            openat(&self.directory, name, DIRECTORY, Mode::empty()).map_err(|errno| match errno {
                Errno::LOOP | Errno::NOTDIR | Errno::MLINK => Problem::Changed,
                other => other.into(),
            })?;
        Ok(())
    }

    /// Puts the file at its place, if what is there now is what was there when it was staged.
    pub(crate) fn commit(&mut self) -> Result<(), Problem> {
        let directory = self.directory.as_fd();
        let (temporary, name) = (self.temporary.as_str(), self.name.as_str());
        let Some((expected, _)) = &self.replaces else {
            match renameat_with(directory, temporary, directory, name, RenameFlags::NOREPLACE) {
                Ok(()) => {}
                Err(error) if is_unsupported(error) => {
                    linkat(directory, temporary, directory, name, AtFlags::empty())?;
                    unlinkat(directory, temporary, AtFlags::empty())?;
                }
                Err(error) => return Err(error.into()),
            }
            self.state = State::Created;
            return Ok(());
        };
        match renameat_with(directory, temporary, directory, name, RenameFlags::EXCHANGE) {
            Ok(()) => {
                // Only what was really replaced tells whether it had changed: it now has the temporary name.
                self.state = State::Exchanged;
                if content(directory, temporary, self.limit_bytes)? == *expected {
                    return Ok(());
                }
                Err(Problem::Changed)
            }
            Err(error) if is_unsupported(error) => {
                // This file system cannot exchange two files, so a change within these two calls goes unseen.
                if content(directory, name, self.limit_bytes)? != *expected {
                    return Err(Problem::Changed);
                }
                renameat(directory, temporary, directory, name)?;
                self.state = State::Replaced;
                Ok(())
            }
            Err(Errno::NOENT) => Err(Problem::Changed),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts back what was there before the file.
    pub(crate) fn take_back(&mut self) -> Result<(), Problem> {
        let directory = self.directory.as_fd();
        let (temporary, name) = (self.temporary.as_str(), self.name.as_str());
        match self.state {
            State::Staged | State::Done => return Ok(()),
            State::Exchanged => {
                renameat_with(directory, temporary, directory, name, RenameFlags::EXCHANGE)?;
                self.state = State::Staged;
            }
            State::Created => {
                unlinkat(directory, name, AtFlags::empty())?;
                self.state = State::Done;
            }
            State::Replaced => {
                let old = self.replaces.take().map(|(_, bytes)| bytes).unwrap_or_default();
                let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                let place = Place {
                    directory,
                    missing: &[],
                    name,
                    replaces: Some((stat, Vec::new())),
                    limit_bytes: self.limit_bytes,
                };
                let mut before = Staged::write(place, &old)?;
                renameat(directory, &*before.temporary, directory, name)?;
                before.state = State::Done;
                self.state = State::Done;
            }
        }
        Ok(())
    }

    /// Gives up what is needed to take it back.
    pub(crate) fn keep(mut self) {
        self.created.clear();
        if self.state == State::Exchanged {
            let _ = unlinkat(&self.directory, &*self.temporary, AtFlags::empty());
        }
        // Without it, a power cut could still undo the new name. The file is whole in any case.
        let _ = fsync(&self.directory);
        self.state = State::Done;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.state == State::Staged {
            let _ = unlinkat(&self.directory, &*self.temporary, AtFlags::empty());
        }
        // Those that are not empty are needed by others.
        for (above, name) in self.created.drain(..).rev() {
            let _ = unlinkat(above, &*name, AtFlags::REMOVEDIR);
        }
    }
}

/// The hash of what has a name now.
fn content(directory: BorrowedFd<'_>, name: &str, limit_bytes: u64) -> Result<Hash, Problem> {
    let changed = |_| Problem::Changed;
    let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| Problem::Changed)?;
    let (bytes, _) = read_bytes(directory, name, &stat, limit_bytes).map_err(changed)?;
    Ok(hash(&bytes))
}

/// Whether a file system cannot rename in this way.
fn is_unsupported(errno: Errno) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP].contains(&errno)
}

/// As much of a name as leaves room for what is put around it.
fn beginning(name: &str) -> &str {
    let most = 200;
    let end = (0..=most.min(name.len())).rev().find(|it| name.is_char_boundary(*it)).unwrap_or(0);
    &name[..end]
}
