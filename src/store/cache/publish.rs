//! Puts complete files into the cache: blobs, then the snapshot that links to them, then the ref that names it.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{CachedRepository, HubCache};
use crate::error::{StoreError, io_error};

/// Tells programs that make backups that a folder can be had again, as the specification of `CACHEDIR.TAG` says.
const CACHE_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This folder has copies of files of the model hub.\n";

impl CachedRepository {
    /// Creates the folders in which everything else is made.
    pub(crate) fn prepare(&self) -> Result<(), StoreError> {
        // Without `snapshots`, Python takes the repository for damaged.
        for folder in [self.path.join("snapshots"), self.path.join("blobs"), self.scratch()] {
            fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
        }
        HubCache::new(&self.root).tag();
        Ok(())
    }

    /// Gives a complete file its name among the blobs. A blob of that name is replaced.
    pub(crate) fn publish_blob(&self, complete: &Path, name: &str) -> Result<(), StoreError> {
        let blob = self.blob(name);
        fs::rename(complete, &blob).map_err(io_error("create", &blob))
    }

    /// Makes the snapshot of a commit, given the path of each file and the name of its blob. Files that the snapshot has
    /// already are kept if they lead to the same bytes.
    pub(crate) fn publish_snapshot(
        &self,
        commit: &str,
        files: &[(String, String)],
    ) -> Result<PathBuf, StoreError> {
        sync(&self.path.join("blobs"))?;
        let snapshot = self.snapshot(commit);
        // As deep as the snapshot, so that relative links lead to the same place from both.
        let staging = tempfile::Builder::new()
            .prefix("snapshot-")
            .tempdir_in(self.scratch())
            .map_err(io_error("create", &self.scratch()))?;
        for (file, blob) in files {
            let link = staging.path().join(file);
            if let Some(folder) = link.parent() {
                fs::create_dir_all(folder).map_err(io_error("create", folder))?;
            }
            self.link(&link, file, blob)?;
        }
        let made = staging.keep();
        // Folders of temporary files are private, and a cache may be shared by several users.
        open_to_others(&made, &self.path)?;
        match fs::rename(&made, &snapshot) {
            Ok(()) => {}
            Err(err) if matches!(err.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {
                self.merge(&made, &snapshot, files)?;
                fs::remove_dir_all(&made).map_err(io_error("remove", &made))?;
            }
            Err(err) => {
                let _ = fs::remove_dir_all(&made);
                return Err(io_error("create", &snapshot)(err));
            }
        }
        sync(&self.path.join("snapshots"))?;
        Ok(snapshot)
    }

    /// Notes that a branch or tag is this commit.
    pub(crate) fn publish_ref(&self, revision: &str, commit: &str) -> Result<(), StoreError> {
        if revision == commit || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.path.join("refs").join(revision);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io_error("create", folder))?;
        }
        // Without a newline at the end, which Python would take for a part of the commit.
        let mut file = tempfile::NamedTempFile::new_in(self.scratch()).map_err(io_error("create", &path))?;
        std::io::Write::write_all(&mut file, commit.as_bytes()).map_err(io_error("write", &path))?;
        open_to_others(file.path(), &self.path)?;
        file.persist(&path).map_err(|err| io_error("create", &path)(err.error))?;
        Ok(())
    }

    /// Moves files into a snapshot that exists.
    fn merge(&self, made: &Path, snapshot: &Path, files: &[(String, String)]) -> Result<(), StoreError> {
        for (file, blob) in files {
            let (from, to) = (made.join(file), snapshot.join(file));
            let target = |it: &Path| fs::canonicalize(it).ok();
            if target(&to).is_some() && target(&to) == target(&self.blob(blob)) {
                continue;
            }
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).map_err(io_error("create", folder))?;
            }
            fs::rename(&from, &to).map_err(io_error("create", &to))?;
        }
        Ok(())
    }

    /// Makes a link to a blob; the file itself where the file system has no links, as Python does.
    fn link(&self, link: &Path, file: &str, blob: &str) -> Result<(), StoreError> {
        let up = "../".repeat(2 + file.matches('/').count());
        match symlink(format!("{up}blobs/{blob}"), link) {
            Err(err) if matches!(err.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
                fs::rename(self.blob(blob), link).map_err(io_error("create", link))
            }
            other => other.map_err(io_error("create", link)),
        }
    }
}

impl HubCache {
    /// Marks the folder as a cache, if that is possible.
    fn tag(&self) {
        let path = self.root.join("CACHEDIR.TAG");
        if let Ok(mut file) = File::create_new(&path) {
            let _ = std::io::Write::write_all(&mut file, CACHE_TAG.as_bytes());
        }
    }
}

/// Gives a file or folder that was made for this user alone the rights that `like` has.
fn open_to_others(path: &Path, like: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(like).map_err(io_error("read", like))?.permissions().mode();
    let is_file = path.is_file();
    let mode = if is_file { mode & 0o666 } else { mode & 0o7777 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(io_error("change", path))
}

/// Makes what was renamed in a folder durable.
fn sync(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|it| it.sync_all()).map_err(io_error("write", folder))
}
