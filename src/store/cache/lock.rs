//! Locks in the cache: [`CacheLock`].
//!
//! A blob has the file lock that Python takes before it downloads the same blob. A repository has one of our own, since a
//! model's blobs have no links until all are there.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::CachedRepository;
use crate::error::{StoreError, io_error};

/// Holds off other processes until it is dropped. What is in the cache stays correct without it: it prevents two
/// downloads of the same bytes, and that a download in progress is taken for litter.
pub(crate) struct CacheLock {
    _file: Option<File>,
}

impl CachedRepository {
    /// Waits for any other process that is fetching this repository's files with this program.
    pub(crate) fn lock(&self) -> Result<CacheLock, StoreError> {
        wait_for(&self.lock_path()?, &self.id)
    }

    /// `None` if another process is fetching this repository's files with this program.
    pub(super) fn try_lock(&self) -> Result<Option<CacheLock>, StoreError> {
        if !self.scratch().exists() {
            return Ok(Some(CacheLock { _file: None }));
        }
        let path = self.lock_path()?;
        let file = File::create(&path).map_err(io_error("create", &path))?;
        let is_free = !matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        Ok(is_free.then_some(CacheLock { _file: Some(file) }))
    }

    /// Waits for any other process that is making the blob.
    pub(crate) fn lock_blob(&self, name: &str) -> Result<CacheLock, StoreError> {
        let folder = self.blob_locks();
        fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
        wait_for(&folder.join(format!("{name}.lock")), &self.id)
    }

    /// Whether another process is making the blob.
    pub(super) fn is_blob_locked(&self, name: &str) -> bool {
        let Ok(file) = File::open(self.blob_locks().join(format!("{name}.lock"))) else { return false };
        matches!(file.try_lock(), Err(TryLockError::WouldBlock))
    }

    fn lock_path(&self) -> Result<PathBuf, StoreError> {
        let folder = self.scratch();
        fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
        Ok(folder.join("lock"))
    }

    fn blob_locks(&self) -> PathBuf {
        self.root.join(".locks").join(self.path.file_name().unwrap_or_default())
    }
}

fn wait_for(path: &Path, repository: &str) -> Result<CacheLock, StoreError> {
    let file = File::create(path).map_err(io_error("create", path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            tracing::info!(repository, "waiting for another program that is downloading the same files");
            file.lock().map_err(io_error("lock", path))?;
        }
        // Some network file systems have no locks.
        Err(TryLockError::Error(err)) => tracing::debug!(%err, "cannot lock a file of the hub's cache"),
        Ok(()) => {}
    }
    Ok(CacheLock { _file: Some(file) })
}
