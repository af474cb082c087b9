//! Paths as callers write them, and the name of a file under a root: [`FilePath`].

use std::path::{Component, Path};

use crate::error::Problem;

/// A file under one of the roots: its name, not a promise that it exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath {
    pub(crate) root_idx: usize,
    pub(crate) relative: String,
    pub(crate) shown: String,
}

impl FilePath {
    /// Which of the roots it is under, counted from 0 in the order in which they were opened.
    pub fn root_idx(&self) -> usize {
        self.root_idx
    }

    /// The path from the root, with `/` between the names.
    pub fn relative(&self) -> &str {
        &self.relative
    }

    /// The path that tells it from all other files: from the root if there is only one, else absolute.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The last name of the path.
    pub fn file_name(&self) -> &str {
        self.relative.rsplit('/').next().unwrap_or_default()
    }
}

/// The names in a relative path, joined with `/`; empty for the directory itself. `..` is refused, since its meaning
/// depends on links.
pub(crate) fn normalized(path: &Path) -> Result<String, Problem> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_str().ok_or(Problem::InvalidPath)?),
            Component::CurDir => {}
            Component::ParentDir => return Err(Problem::ParentName),
            Component::RootDir | Component::Prefix(_) => return Err(Problem::Outside),
        }
    }
    let joined = names.join("/");
    if joined.contains('\0') { Err(Problem::InvalidPath) } else { Ok(joined) }
}

/// One name appended to a relative path.
pub(crate) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
