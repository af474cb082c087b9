//! Which folders the tools may use: [`Roots`].
//!
//! Agents start their servers in their project's folder, but some in `/` or in the user's home folder, which must never
//! be opened to a model by accident. So without `--root` a folder counts only if it is known to be a project.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use runabout_files::Options;

use super::failure::Failure;
use crate::front_end::FrontEnd;

/// What a project's folder contains.
const MARKERS: [&str; 16] = [
    ".git",
    ".hg",
    ".jj",
    ".svn",
    "Cargo.toml",
    "package.json",
    "pyproject.toml",
    "setup.py",
    "go.mod",
    "CMakeLists.txt",
    "Makefile",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "Gemfile",
    "composer.json",
];

/// The folders that tools may use.
#[derive(Debug)]
pub(super) struct Roots {
    folders: Vec<PathBuf>,
    /// Opened by the first call that needs them.
    opened: OnceLock<Result<Arc<runabout_files::Roots>, Failure>>,
}

impl Roots {
    /// The folders that the command line names, or else the one that the front end was started for, if it can be told.
    pub(super) fn of(front: &FrontEnd) -> Self {
        let home = std::env::home_dir();
        Self::choose(&front.roots, front.project.clone(), front.folder.clone(), home.as_deref())
    }

    fn choose(
        named: &[PathBuf],
        project: Option<PathBuf>,
        current: Option<PathBuf>,
        home: Option<&Path>,
    ) -> Self {
        if !named.is_empty() {
            return Self::new(named.to_vec());
        }
        let home = home.and_then(|it| it.canonicalize().ok());
        let is_narrow = |it: &PathBuf| it.parent().is_some() && Some(it) != home.as_ref();
        let folder = |it: PathBuf| it.canonicalize().ok().filter(|it| it.is_dir()).filter(is_narrow);
        let project = project.filter(|it| it.is_absolute()).and_then(folder);
        let current = || current.and_then(folder).filter(|it| is_in_project(it, home.as_deref()));
        Self::new(project.or_else(current).into_iter().collect())
    }

    fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders, opened: OnceLock::new() }
    }

    pub(super) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The folders, opened for guarded access. Fails if there is none, or one cannot be opened. May block for a moment.
    pub(super) fn open(&self) -> Result<Arc<runabout_files::Roots>, Failure> {
        if self.folders.is_empty() {
            return Err(Failure::new(
                "no folder is open to the tools\nhint: start the server with `--root DIR`, or in a project's folder",
            ));
        }
        let open = || {
            let roots = runabout_files::Roots::open(&self.folders, Options::default());
            roots.map(Arc::new).map_err(Failure::from)
        };
        self.opened.get_or_init(open).clone()
    }
}

/// Whether a folder, or one above it but below the home folder, is a project's.
fn is_in_project(folder: &Path, home: Option<&Path>) -> bool {
    folder
        .ancestors()
        .take_while(|it| it.parent().is_some() && Some(*it) != home)
        .any(|it| MARKERS.iter().any(|marker| it.join(marker).exists()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A home folder with a project `code/app` in it and a folder `notes` that is none.
    fn home() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("code/app/src")).unwrap();
        std::fs::create_dir_all(home.path().join("notes")).unwrap();
        std::fs::write(home.path().join("code/app/Cargo.toml"), "").unwrap();
        // Some keep their settings in a repository, which does not make all of their files a project.
        std::fs::create_dir(home.path().join(".git")).unwrap();
        home
    }

    fn chosen(home: &Path, named: &[&str], project: Option<&str>, current: &str) -> Vec<PathBuf> {
        let named: Vec<_> = named.iter().map(|it| home.join(it)).collect();
        let project = project.map(|it| home.join(it));
        Roots::choose(&named, project, Some(home.join(current)), Some(home)).folders
    }

    #[test]
    fn the_command_line_decides_then_the_agents_project_then_the_current_folder() {
        let home = home();
        let path = home.path().canonicalize().unwrap();
        assert_eq!(
            chosen(&path, &["notes", "code"], Some("code/app"), "code"),
            [path.join("notes"), path.join("code")]
        );
        assert_eq!(chosen(&path, &[], Some("notes"), "code/app"), [path.join("notes")]);
        assert_eq!(chosen(&path, &[], None, "code/app/src"), [path.join("code/app/src")]);
    }

    #[test]
    fn a_folder_that_is_no_project_is_not_opened() {
        let home = home();
        let path = home.path().canonicalize().unwrap();
        for current in ["notes", "code", "missing", ""] {
            assert!(chosen(&path, &[], None, current).is_empty(), "{current}");
        }
    }

    #[test]
    fn the_home_folder_and_the_whole_disk_are_opened_only_by_name() {
        let home = home();
        let path = home.path().canonicalize().unwrap();
        std::fs::write(path.join("package.json"), "{}").unwrap();
        assert!(chosen(&path, &[], Some(""), "notes").is_empty());
        assert!(chosen(&path, &[], Some("/"), "/").is_empty());
        assert_eq!(chosen(&path, &[""], None, "/"), [path.join("")]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_the_home_folder_is_the_home_folder() {
        let home = home();
        let path = home.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(&path, path.join("notes/link")).unwrap();
        assert!(chosen(&path, &[], Some("notes/link"), "notes").is_empty());
    }
}
