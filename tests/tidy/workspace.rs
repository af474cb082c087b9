//! What is checked: the packages of the workspace as cargo sees them, and the files of the repository as git does.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The workspace that this test was built from.
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    /// All files that git does not ignore, sorted by path.
    pub(crate) files: Vec<File>,
}

/// A package of the workspace.
pub(crate) struct Package {
    /// The name of its folder in `src`.
    pub(crate) folder: String,
    /// The folders in `src` of the packages it depends on, for its tests and its build script too.
    pub(crate) depends_on: BTreeSet<String>,
    /// The files its targets start at: library, programs, tests, examples and build script.
    pub(crate) roots: Vec<String>,
}

/// A file of the repository.
pub(crate) struct File {
    /// Relative to the root of the repository.
    pub(crate) path: String,
    /// The content; bytes that are not UTF-8 are replaced.
    pub(crate) text: String,
}

impl Workspace {
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
        Self { packages: packages(&root), files: files(&root) }
    }

    /// The text of the file at `path`, if there is one.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        let found = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        Some(&self.files[found].text)
    }
}

fn packages(root: &Path) -> Vec<Package> {
    let metadata = output(
        Command::new(env!("CARGO"))
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(root),
    );
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let from_root = |path: &Value| {
        let path = Path::new(path.as_str().unwrap()).canonicalize().unwrap();
        path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()
    };
    let folder =
        |path: &Value| Path::new(path.as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned();

    list(&metadata["packages"])
        .iter()
        .map(|package| Package {
            folder: from_root(&package["manifest_path"])
                .strip_prefix("src/")
                .and_then(|path| path.strip_suffix("/Cargo.toml"))
                .unwrap()
                .to_owned(),
            depends_on: list(&package["dependencies"])
                .iter()
                .filter(|dependency| !dependency["path"].is_null())
                .map(|dependency| folder(&dependency["path"]))
                .collect(),
            roots: list(&package["targets"]).iter().map(|target| from_root(&target["src_path"])).collect(),
        })
        .collect()
}

fn files(root: &Path) -> Vec<File> {
    // New files that are not committed yet are checked too.
    let listed = output(
        Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root),
    );
    let paths: BTreeSet<&str> = listed.split_terminator('\0').collect();
    paths
        .into_iter()
        .filter_map(|path| {
            // Git also lists files that are deleted but still in its index.
            let bytes = std::fs::read(root.join(path)).ok()?;
            Some(File { path: path.to_owned(), text: String::from_utf8_lossy(&bytes).into_owned() })
        })
        .collect()
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    assert!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
