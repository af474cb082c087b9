//! The entry point of this crate: [`Roots`], the directories that a person allowed.

use std::path::{Path, PathBuf};

use crate::error::{FileError, Problem};
use crate::guards::check_names;
use crate::path::{FilePath, normalized};
use crate::read::{Snapshot, into_text, read_bytes};
use crate::root::{Links, Reached, Root};

/// What may be read, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The largest file that is read or written, in bytes.
    pub max_file_bytes: u64,
    /// The most files that one call of [`Roots::find`] finds.
    pub max_files: usize,
    /// The most files and directories that one call of [`Roots::find`] looks at.
    pub max_entries: usize,
    /// Whether files may be used that usually hold secrets: environment files, private keys, credentials.
    pub allow_secrets: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_file_bytes: 1 << 20, max_files: 200, max_entries: 100_000, allow_secrets: false }
    }
}

/// The directories under which files may be found, read and written. Outside them there is nothing.
#[derive(Debug)]
pub struct Roots {
    pub(crate) roots: Vec<Root>,
    pub(crate) options: Options,
}

impl Roots {
    /// Opens the directories. One that is a link is resolved now; what the link becomes later does not matter. With no
    /// directory at all, every path is outside.
    pub fn open(paths: &[PathBuf], options: Options) -> Result<Self, FileError> {
        let open = |path: &PathBuf| Root::open(path).map_err(|it| it.at(path.display().to_string()));
        Ok(Self { roots: paths.iter().map(open).collect::<Result<_, _>>()?, options })
    }

    /// The directories, as they were named, made absolute.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.roots.iter().map(|it| it.given.as_path())
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The file that a path names: an absolute path under a root, or one from a root. A relative path belongs to the
    /// first root in which it exists, and to the first root if it exists in none. Nothing is read.
    pub fn locate(&self, path: &str) -> Result<FilePath, FileError> {
        self.locate_unchecked(path)
            .and_then(|it| if it.relative.is_empty() { Err(Problem::Directory) } else { Ok(it) })
            .map_err(|it| it.at(path))
    }

    /// Like [`locate`](Self::locate), also for a root itself.
    pub(crate) fn locate_unchecked(&self, path: &str) -> Result<FilePath, Problem> {
        if path.is_empty() || path.contains('\0') {
            return Err(Problem::InvalidPath);
        }
        let given = Path::new(path);
        if given.is_absolute() {
            return self.locate_absolute(given);
        }
        let relative = normalized(given)?;
        let exists = |root: &&Root| {
            root.reach(&relative, Links::Follow).is_ok_and(|it| it.stat.is_some() || it.name.is_empty())
        };
        let first = self.roots.first().ok_or(Problem::Outside)?;
        let root =
            if self.roots.len() == 1 { first } else { self.roots.iter().find(exists).unwrap_or(first) };
        let root_idx = self.roots.iter().position(|it| std::ptr::eq(it, root)).unwrap_or(0);
        Ok(self.file_path(root_idx, relative))
    }

    fn locate_absolute(&self, path: &Path) -> Result<FilePath, Problem> {
        // Of nested roots, the innermost.
        let under = |(idx, root): (usize, &Root)| {
            let rest = path.strip_prefix(&root.given).or_else(|_| path.strip_prefix(&root.resolved)).ok()?;
            Some((idx, rest.to_owned()))
        };
        let found = self.roots.iter().enumerate().filter_map(under);
        let (root_idx, rest) =
            found.min_by_key(|(_, rest)| rest.as_os_str().len()).ok_or(Problem::Outside)?;
        Ok(self.file_path(root_idx, normalized(&rest)?))
    }

    pub(crate) fn file_path(&self, root_idx: usize, relative: String) -> FilePath {
        let shown = match &self.roots[..] {
            [_] => relative.clone(),
            roots => roots[root_idx].given.join(&relative).display().to_string(),
        };
        FilePath { root_idx, relative, shown }
    }

    /// Reads a whole text file.
    pub fn read(&self, path: &FilePath) -> Result<Snapshot, FileError> {
        self.read_unnamed(path).map_err(|it| it.at(path.shown()))
    }

    fn read_unnamed(&self, path: &FilePath) -> Result<Snapshot, Problem> {
        let reached = self.reach(path, Links::Follow)?;
        let Some(stat) = reached.stat else {
            return Err(if reached.name.is_empty() { Problem::Directory } else { Problem::NotFound });
        };
        let limit_bytes = self.options.max_file_bytes;
        let (bytes, stat) = read_bytes(reached.directory(), &reached.name, &stat, limit_bytes)?;
        let text = into_text(bytes, self.options.allow_secrets)?;
        Ok(Snapshot::new(path.clone(), text, &stat))
    }

    /// Goes to where a file is, or is to be, and checks its names: the ones in the path, and the real ones.
    pub(crate) fn reach(&self, path: &FilePath, links: Links) -> Result<Reached<'_>, Problem> {
        let root = self.roots.get(path.root_idx).ok_or(Problem::Outside)?;
        check_names(&path.relative, self.options.allow_secrets)?;
        let reached = root.reach(&path.relative, links)?;
        check_names(&reached.real(), self.options.allow_secrets)?;
        Ok(reached)
    }
}
