//! Sizes, times and removal of files and folders.

use std::fs::{self, File};
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::error::{StoreError, io_error};

/// The size and the modification time of a file, in nanoseconds.
pub(super) fn stamp(path: &Path) -> Result<(u64, u64), StoreError> {
    let metadata = fs::metadata(path).map_err(io_error("read", path))?;
    let modified = metadata.modified().map_err(io_error("read", path))?;
    let since_epoch = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok((metadata.len(), u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)))
}

/// Creates a folder and those that it is in, unless they are there.
pub(super) fn create(folder: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(folder).map_err(io_error("create", folder))
}

/// Deletes a folder if it exists.
pub(super) fn clear(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove", folder)(err)),
        _ => Ok(()),
    }
}

/// Makes a rename durable: that takes a sync of the folder that contains the name.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|it| it.sync_all()).map_err(io_error("write", folder))
}

/// The size of all files in a folder; symbolic links are not followed.
pub(super) fn folder_bytes(folder: &Path) -> Result<u64, StoreError> {
    let mut n_bytes = 0;
    for entry in fs::read_dir(folder).map_err(io_error("read", folder))? {
        let entry = entry.map_err(io_error("read", folder))?;
        let metadata = entry.metadata().map_err(io_error("read", folder))?;
        n_bytes += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(n_bytes)
}
