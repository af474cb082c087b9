//! Comparing a model's files with the hashes that they must have: [`Verdict`].

use std::path::{Path, PathBuf};

use super::Store;
use super::installed::Installed;
use crate::digest::sha256_file;
use crate::error::StoreError;
use crate::manifest::FileRecord;
use crate::progress::{Progress, Reporter, Stage};

/// What became of the comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The number of files that are as they must be.
    pub n_right: usize,
    pub faults: Vec<Fault>,
    /// Files of which nothing says what they must be.
    pub unknown: Vec<String>,
}

/// A file that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    pub kind: FaultKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    Missing,
    /// The file has other bytes than it must have.
    Changed {
        expected: String,
        got: String,
    },
}

impl Store {
    /// Hashes every file of a model. A file must have the hash in the manifest, and in the hub's cache the one that its
    /// blob is named for, also if another program put it there.
    pub fn verify(&self, name: &str, progress: &mut dyn FnMut(Progress)) -> Result<Verdict, StoreError> {
        let installed = self.installed(name)?;
        let records = match &installed.manifest {
            Some(manifest) => manifest.files.clone(),
            None => Vec::new(),
        };
        let files = self.files_of(&installed);
        if records.is_empty() && files.iter().all(|it| it.blob.is_none()) {
            return Err(StoreError::NoManifest { folder: installed.path });
        }
        let total = records.iter().map(|it| it.n_bytes).sum();
        let mut check =
            Check { reporter: Reporter::new(progress), before: 0, total, verdict: Verdict::default() };
        for record in &records {
            check.record(&installed.path.join(&record.name), record)?;
        }
        for file in files.into_iter().filter(|it| records.iter().all(|record| record.name != it.name)) {
            check.blob(file)?;
        }
        Ok(check.verdict)
    }

    /// The files of a model in the hub's cache, with the names of their blobs.
    #[cfg(feature = "hub")]
    fn files_of(&self, installed: &Installed) -> Vec<NamedFile> {
        let Some((repository, commit)) = crate::cache::snapshot_of(&installed.path) else {
            return Vec::new();
        };
        let files = self.cache.repository(&repository).files(&commit).into_iter();
        files
            .map(|name| {
                let path = installed.path.join(&name);
                let target = std::fs::read_link(&path).ok();
                let blob = target.and_then(|it| Some(it.file_name()?.to_str()?.to_owned()));
                NamedFile { name, path, blob }
            })
            .collect()
    }

    #[cfg(not(feature = "hub"))]
    fn files_of(&self, _: &Installed) -> Vec<NamedFile> {
        Vec::new()
    }
}

struct NamedFile {
    name: String,
    #[cfg_attr(not(feature = "hub"), expect(dead_code, reason = "only the cache has blobs"))]
    path: PathBuf,
    blob: Option<String>,
}

struct Check<'a> {
    reporter: Reporter<'a>,
    /// The bytes of the files before this one, and of all.
    before: u64,
    total: u64,
    verdict: Verdict,
}

impl Check<'_> {
    fn record(&mut self, path: &Path, record: &FileRecord) -> Result<(), StoreError> {
        if !path.is_file() {
            self.fault(&record.name, FaultKind::Missing);
            return Ok(());
        }
        let (reporter, before, total) = (&mut self.reporter, self.before, self.total);
        let (got, n_bytes) =
            sha256_file(path, &mut |done| reporter.report(Stage::Verify, before + done, Some(total)))?;
        self.before += n_bytes;
        if got == record.sha256 {
            self.verdict.n_right += 1;
        } else {
            self.fault(&record.name, FaultKind::Changed { expected: record.sha256.clone(), got });
        }
        Ok(())
    }

    #[cfg(feature = "hub")]
    fn blob(&mut self, file: NamedFile) -> Result<(), StoreError> {
        let Some(hash) = file.blob.and_then(|it| crate::cache::BlobHash::of_name(&it)) else {
            self.verdict.unknown.push(file.name);
            return Ok(());
        };
        if !file.path.is_file() {
            self.fault(&file.name, FaultKind::Missing);
            return Ok(());
        }
        match hash.check(&file.path, &file.name, &mut |done| self.reporter.report(Stage::Verify, done, None))
        {
            Ok(()) => self.verdict.n_right += 1,
            Err(StoreError::HashMismatch { expected, got, .. }) => {
                self.fault(&file.name, FaultKind::Changed { expected, got });
            }
            Err(err) => return Err(err),
        }
        Ok(())
    }

    #[cfg(not(feature = "hub"))]
    fn blob(&mut self, file: NamedFile) -> Result<(), StoreError> {
        self.verdict.unknown.push(file.name);
        Ok(())
    }

    fn fault(&mut self, file: &str, kind: FaultKind) {
        self.verdict.faults.push(Fault { file: file.to_owned(), kind });
    }
}
