//! What an import leads to, and the arithmetic of paths that all languages share.

use std::path::{Component, Path, PathBuf};

/// The most candidates of a file, whatever its imports look like.
pub(super) const MAX_WANTED: usize = 200;
/// A path with more names leads to no file of a project. Each name more would be tried in many places.
pub(super) const MAX_NAMES: usize = 32;

/// Something to read because it is imported.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wanted {
    /// The first of these files that exists.
    FirstOf(Vec<PathBuf>),
    /// The files of a folder with an extension.
    Folder { path: PathBuf, extension: &'static str },
}

/// `folder` and the folders above it, up to `root`.
pub(super) fn up_to<'p>(folder: &'p Path, root: &'p Path) -> impl Iterator<Item = &'p Path> {
    folder.ancestors().take_while(move |it| it.starts_with(root))
}

/// The path without `.` and `..`, as far as its text allows.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            it => out.push(it),
        }
    }
    out
}

/// The text between the first pair of quotes of a kind, at or after the beginning.
pub(super) fn quoted(text: &str) -> Option<&str> {
    let start = text.find(['"', '\''])?;
    let quote = text[start..].chars().next()?;
    let rest = &text[start + 1..];
    Some(&rest[..rest.find(quote)?])
}
