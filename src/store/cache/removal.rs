//! What a removal deletes from the cache: [`Removal`], which is planned first and then carried out.
//!
//! Only what lies in a repository's own folder is deleted, and shared blobs that no repository links to any more. A link
//! is deleted and never followed, wherever it leads. Names go before the bytes behind them, so a removal that is killed
//! leaves blobs without a name, which the next [`HubCache::litter`] finds, and never a name without its blob.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{CachedRepository, HubCache, entries, files_below, is_real_folder};
use crate::error::{StoreError, io_error};

/// Paths to delete, in this order.
#[derive(Debug, Default)]
pub(crate) struct Removal {
    pub(crate) n_bytes: u64,
    paths: Vec<PathBuf>,
    /// Shared blobs that may have no links after it.
    shared: BTreeSet<PathBuf>,
    /// The commits of snapshots that nothing names.
    pub(crate) detached: Vec<String>,
}

impl CachedRepository {
    /// Deletes the whole repository. If its folder is a link, only the link is deleted.
    pub(crate) fn removal(&self) -> Removal {
        if !is_real_folder(&self.path) {
            return Removal { paths: vec![self.path.clone()], ..Removal::default() };
        }
        let files = files_below(&self.path);
        let mut removal = Removal { n_bytes: plain_bytes(&files), ..Removal::default() };
        removal.paths.extend(["refs", "snapshots"].map(|it| self.path.join(it)));
        removal.paths.push(self.path.clone());
        self.add_shared(&mut removal, &files.into_iter().collect());
        removal
    }

    /// Deletes one snapshot with the refs that name it and the blobs that no other snapshot links to; the whole
    /// repository if there is no other snapshot.
    pub(crate) fn removal_of(&self, commit: &str) -> Result<Removal, StoreError> {
        let others: Vec<_> = self.commits()?.into_iter().filter(|it| it != commit).collect();
        if others.is_empty() {
            return Ok(self.removal());
        }
        let kept: BTreeSet<_> = others.iter().flat_map(|it| self.blobs_of(it)).collect();
        let blobs: BTreeSet<_> = self.blobs_of(commit).difference(&kept).cloned().collect();
        let refs = self.refs().into_iter().filter(|(_, it)| it == commit);
        let mut removal = Removal::default();
        removal.paths.extend(refs.map(|(name, _)| self.path.join("refs").join(name)));
        removal.paths.push(self.snapshot(commit));
        removal.paths.push(self.path.join("trees").join(format!("{commit}.json")));
        removal.paths.extend(blobs.iter().cloned());
        removal.n_bytes = plain_bytes(&removal.paths) + plain_bytes(&files_below(&self.snapshot(commit)));
        self.add_shared(&mut removal, &blobs);
        Ok(removal)
    }

    /// The blobs of this repository that a snapshot's links lead to.
    fn blobs_of(&self, commit: &str) -> BTreeSet<PathBuf> {
        let blobs = self.path.join("blobs");
        let links = files_below(&self.snapshot(commit)).into_iter();
        let names = links.filter_map(|link| {
            let target = fs::read_link(&link).ok()?;
            let name = target.file_name()?;
            // The path as it is written: what a blob itself may link to does not matter here.
            let folder = link.parent()?.join(target.parent()?).canonicalize().ok()?;
            (folder == blobs.canonicalize().ok()?).then(|| blobs.join(name))
        });
        names.collect()
    }

    fn add_shared(&self, removal: &mut Removal, links: &BTreeSet<PathBuf>) {
        let Some(shared) = HubCache::new(&self.root).shared_blobs() else { return };
        removal.n_bytes += shared.freed_bytes(links);
        removal.shared.extend(links.iter().filter_map(|it| shared.target(it)));
    }

    /// What nothing needs: unfinished downloads, snapshots that have neither a ref nor `is_kept`, blobs without links to
    /// them, and refs without a snapshot. The whole repository if nothing of it is needed.
    fn litter(&self, is_kept: impl Fn(&str) -> bool, removal: &mut Removal) -> Result<(), StoreError> {
        // A model that is being fetched has blobs before it has links to them.
        let Some(_lock) = self.try_lock()? else { return Ok(()) };
        let commits: BTreeSet<_> = self.commits()?.into_iter().collect();
        let blobs = entries(&self.path.join("blobs"))?;
        let refs = self.refs();
        let is_named = |commit: &String| refs.iter().any(|it| it.1 == *commit) || is_kept(commit);
        // What another program is fetching may get its name later.
        let is_busy = blobs.iter().any(|it| self.is_in_use(it));
        let (kept, detached): (BTreeSet<_>, BTreeSet<_>) =
            commits.into_iter().partition(|it| is_busy || is_named(it));
        removal.detached.extend(detached.iter().cloned());
        if kept.is_empty() && !detached.is_empty() {
            let whole = self.removal();
            removal.n_bytes += whole.n_bytes;
            removal.paths.extend(whole.paths);
            removal.shared.extend(whole.shared);
            return Ok(());
        }
        let linked: BTreeSet<_> = kept.iter().flat_map(|it| self.blobs_of(it)).collect();
        let refs = refs.into_iter().filter(|(_, commit)| !kept.contains(commit));
        removal.paths.extend(refs.map(|(name, _)| self.path.join("refs").join(name)));
        for commit in &detached {
            let list = self.path.join("trees").join(format!("{commit}.json"));
            removal.n_bytes += plain_bytes(&files_below(&self.snapshot(commit))) + plain_bytes([&list]);
            removal.paths.extend([self.snapshot(commit), list]);
        }
        let is_lock = |it: &PathBuf| it.file_name().is_some_and(|it| it == "lock");
        let scratch = entries(&self.scratch())?.into_iter().filter(|it| !is_lock(it));
        let mut idle: BTreeSet<PathBuf> = scratch.collect();
        for blob in blobs {
            if !linked.contains(&blob) && !self.is_in_use(&blob) {
                idle.insert(blob);
            }
        }
        removal.n_bytes +=
            plain_bytes(&idle) + idle.iter().map(|it| plain_bytes(&files_below(it))).sum::<u64>();
        removal.paths.extend(idle.iter().cloned());
        self.add_shared(removal, &idle);
        Ok(())
    }

    /// Whether another program is making this blob, or its unfinished form `ETAG.incomplete` or `ETAG.ID.incomplete`.
    fn is_in_use(&self, blob: &Path) -> bool {
        let name = blob.file_name().unwrap_or_default().to_string_lossy();
        self.is_blob_locked(name.split('.').next().unwrap_or_default())
    }
}

impl HubCache {
    /// What nothing needs in any repository, and shared blobs that no repository links to. `is_kept` names commits that are
    /// needed though no ref leads to them.
    pub(crate) fn litter(
        &self,
        is_kept: impl Fn(&CachedRepository, &str) -> bool,
    ) -> Result<Removal, StoreError> {
        let mut removal = Removal::default();
        for repository in self.repositories()?.iter().filter(|it| is_real_folder(&it.path)) {
            repository.litter(|commit| is_kept(repository, commit), &mut removal)?;
        }
        if let Some(shared) = self.shared_blobs() {
            let idle = shared.unreferenced();
            removal.n_bytes += plain_bytes(&idle);
            removal.shared.extend(idle);
        }
        Ok(removal)
    }
}

impl Removal {
    /// The paths, for showing them to the user before.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().chain(&self.shared).map(PathBuf::as_path)
    }

    pub(crate) fn run(&self, cache: &HubCache) -> Result<(), StoreError> {
        for path in &self.paths {
            delete(path)?;
        }
        if let Some(store) = cache.shared_blobs() {
            for blob in &self.shared {
                store.sweep(blob)?;
            }
        }
        Ok(())
    }
}

/// Deletes a file, a link or a folder, if it is there; links in it are not followed.
fn delete(path: &Path) -> Result<(), StoreError> {
    let result = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(err) => Err(err),
    };
    match result {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove", path)(err)),
        _ => Ok(()),
    }
}

/// The size of the files among these paths; links count nothing.
fn plain_bytes<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> u64 {
    let sizes = paths.into_iter().filter_map(|it| it.symlink_metadata().ok()).filter(fs::Metadata::is_file);
    sizes.map(|it| it.len()).sum()
}
