//! Folders and files on the disk: what they weigh, when they changed, and how they go.

use std::fs::{self, File};
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::error::{StoreError, io_error};

/// Size and time of change.
pub(super) fn stamp(path: &Path) -> Result<(u64, u64), StoreError> {
    let metadata = fs::metadata(path).map_err(io_error("read", path))?;
    let modified = metadata.modified().map_err(io_error("read", path))?;
    let since_epoch = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok((metadata.len(), u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)))
}

/// Deletes a folder of ours, if it is there.
pub(super) fn clear(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove", folder)(err)),
        _ => Ok(()),
    }
}

/// A rename is durable once the folder that holds the name is.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|it| it.sync_all()).map_err(io_error("write", folder))
}

/// All files in a folder, not following links.
pub(super) fn folder_bytes(folder: &Path) -> Result<u64, StoreError> {
    let mut n_bytes = 0;
    for entry in fs::read_dir(folder).map_err(io_error("read", folder))? {
        let entry = entry.map_err(io_error("read", folder))?;
        let metadata = entry.metadata().map_err(io_error("read", folder))?;
        n_bytes += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(n_bytes)
}
