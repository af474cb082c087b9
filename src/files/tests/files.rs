//! Tests of the guarded access to files, on real files in a temporary directory.
#![allow(clippy::unwrap_used)]

#[path = "files/diffs.rs"]
mod diffs;
#[path = "files/finding.rs"]
mod finding;
#[path = "files/hostile.rs"]
mod hostile;
#[path = "files/writing.rs"]
mod writing;

use std::fs;
use std::path::{Path, PathBuf};

use runabout_files::{Options, Problem, Roots};
use tempfile::TempDir;

/// A directory `root`, which is allowed, beside a directory `outside`, which is not.
pub(crate) struct Folders {
    pub(crate) all: TempDir,
    pub(crate) roots: Roots,
}

impl Folders {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let all = tempfile::tempdir().unwrap();
        fs::create_dir(all.path().join("root")).unwrap();
        fs::create_dir(all.path().join("outside")).unwrap();
        fs::write(all.path().join("outside/secret.txt"), OUTSIDE).unwrap();
        let roots = Roots::open(&[all.path().join("root")], options).unwrap();
        Self { all, roots }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.all.path().join("root").join(relative)
    }

    pub(crate) fn outside(&self) -> PathBuf {
        self.all.path().join("outside")
    }

    pub(crate) fn write(&self, relative: &str, text: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn text(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap()
    }

    /// The text of a file, or what is wrong with it.
    pub(crate) fn read(&self, path: &str) -> Result<String, Problem> {
        let read = self.roots.locate(path).and_then(|it| self.roots.read(&it));
        read.map(|it| it.text).map_err(|it| it.problem)
    }

    /// The paths that patterns find.
    pub(crate) fn find(&self, patterns: &[&str]) -> Vec<String> {
        let patterns: Vec<String> = patterns.iter().map(|it| (*it).to_owned()).collect();
        let found = self.roots.find(&patterns).unwrap();
        found.files.iter().map(|it| it.relative().to_owned()).collect()
    }

    /// The names of everything in the directory `root`, hidden files too.
    pub(crate) fn names(&self) -> Vec<String> {
        names(&self.path(""))
    }
}

pub(crate) const OUTSIDE: &str = "outside of the root";

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
