//! Folders for work that is not finished: [`Scratch`].

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{StoreError, io_error};

/// A folder for work that is not finished, deleted with its contents when it is dropped. A process that is killed leaves
/// its folder, and the next one deletes it.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    /// Shows other processes that this one is at work.
    _lock: File,
}

impl Scratch {
    /// Makes a folder in `parent` whose name begins with `prefix`, and deletes those of processes that were killed.
    pub fn make(parent: &Path, prefix: &str) -> Result<Self, StoreError> {
        sweep(parent, prefix);
        let folder = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(parent)
            .map_err(io_error("create a folder in", parent))?;
        let lock = File::open(folder.path()).map_err(io_error("open", folder.path()))?;
        // On file systems without locks, nothing is swept either.
        let _ = lock.try_lock();
        Ok(Self { folder, _lock: lock })
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Moves the folder to `place`, where it stays.
    pub fn publish(self, place: &Path) -> Result<(), StoreError> {
        fs::rename(self.path(), place).map_err(io_error("create", place))?;
        let _: PathBuf = self.folder.keep();
        Ok(())
    }
}

/// Deletes the folders of processes that were killed. Their locks ended with them.
fn sweep(parent: &Path, prefix: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_scratch = entry.file_name().to_string_lossy().starts_with(prefix)
            && entry.file_type().is_ok_and(|it| it.is_dir());
        if is_scratch && File::open(entry.path()).is_ok_and(|it| it.try_lock().is_ok()) {
            // A folder that cannot be deleted does no harm.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
