//! The folders that the client works in, and the path of a document as the model sees it.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// A folder of the client's workspace.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Folder {
    pub(super) uri: String,
}

/// The workspace's folders.
#[derive(Clone, Debug, Default)]
pub(super) struct Workspace {
    /// Each ends with `/`.
    roots: Vec<String>,
    /// Those of them that are on this machine.
    local: Vec<PathBuf>,
}

impl Workspace {
    pub(super) fn of(folders: &[Folder]) -> Self {
        let mut workspace = Self::default();
        workspace.change(folders, &[]);
        workspace
    }

    pub(super) fn change(&mut self, added: &[Folder], removed: &[Folder]) {
        let gone: Vec<String> = removed.iter().filter_map(root).collect();
        self.roots.retain(|it| !gone.contains(it));
        self.roots.extend(added.iter().filter_map(root));
        let gone: Vec<PathBuf> = removed.iter().map(|it| file(&it.uri)).collect();
        self.local.retain(|it| !gone.contains(it));
        self.local.extend(added.iter().map(|it| file(&it.uri)).filter(|it| it.is_absolute()));
    }

    /// The folders that are on this machine.
    pub(super) fn local_folders(&self) -> &[PathBuf] {
        &self.local
    }

    /// The path of a document in its folder, or else its file's name; `None` for one that has no file's name. So the
    /// model never sees where a person keeps the project.
    pub(super) fn path_of(&self, uri: &str) -> Option<String> {
        let path = path(uri)?;
        let within =
            self.roots.iter().filter_map(|it| path.strip_prefix(it.as_str())).min_by_key(|it| it.len());
        let name = within.or_else(|| path.rsplit('/').next()).filter(|it| !it.is_empty())?;
        Some(name.to_owned())
    }
}

/// The file that a URI names. A document that is none, such as one in another place, has a relative path.
pub(super) fn file(uri: &str) -> PathBuf {
    path(uri).filter(|_| uri.starts_with("file:")).map_or_else(|| uri.into(), PathBuf::from)
}

fn root(folder: &Folder) -> Option<String> {
    let path = path(&folder.uri)?;
    Some(if path.ends_with('/') { path } else { path + "/" })
}

/// The decoded path of a URI. Untitled documents have none.
fn path(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once(':')?;
    if scheme == "untitled" {
        return None;
    }
    let rest = rest.split(['?', '#']).next()?;
    let path = match rest.strip_prefix("//") {
        // Behind the host.
        Some(rest) => &rest[rest.find('/')?..],
        None => rest,
    };
    Some(percent_decode_str(path).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(uri: &str) -> Folder {
        Folder { uri: uri.to_owned() }
    }

    #[test]
    fn a_path_is_that_within_its_folder_or_a_name() {
        let mut workspace =
            Workspace::of(&[folder("file:///code/me/a%20b"), folder("file:///code/me/a%20b/c/")]);
        let path = |it: &Workspace, uri: &str| it.path_of(uri).unwrap_or_else(|| "none".to_owned());
        assert_eq!(path(&workspace, "file:///code/me/a%20b/src/x.rs"), "src/x.rs");
        assert_eq!(path(&workspace, "file:///code/me/a%20b/c/x.rs"), "x.rs", "the innermost folder");
        assert_eq!(path(&workspace, "file:///code/you/x.rs"), "x.rs");
        assert_eq!(path(&workspace, "vscode-notebook-cell:/code/me/n.ipynb#W0"), "n.ipynb");
        assert_eq!(path(&workspace, "untitled:Untitled-1"), "none");
        for uri in ["", "x", "file://host", "file:///"] {
            assert_eq!(path(&workspace, uri), "none", "{uri}");
        }
        workspace.change(&[], &[folder("file:///code/me/a%20b")]);
        assert_eq!(path(&workspace, "file:///code/me/a%20b/src/x.rs"), "x.rs");
    }

    #[test]
    fn only_files_of_this_machine_have_a_place_on_it() {
        assert_eq!(file("file:///a%20b/x.rs"), PathBuf::from("/a b/x.rs"));
        for elsewhere in ["untitled:Untitled-1", "vscode-remote://host/a/x.rs", "git:/a/x.rs"] {
            assert!(!file(elsewhere).is_absolute(), "{elsewhere}");
        }
        let mut workspace = Workspace::of(&[folder("file:///a"), folder("vscode-remote://host/b")]);
        assert_eq!(workspace.local_folders(), [PathBuf::from("/a")]);
        workspace.change(&[folder("file:///c")], &[folder("file:///a")]);
        assert_eq!(workspace.local_folders(), [PathBuf::from("/c")]);
    }
}
