//! The folders that the client works in, and the path of a document as the model sees it.

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
}

impl Workspace {
    pub(super) fn of(folders: &[Folder]) -> Self {
        let mut workspace = Self::default();
        workspace.change(folders, &[]);
        workspace
    }

    pub(super) fn change(&mut self, added: &[Folder], removed: &[Folder]) {
        let removed: Vec<String> = removed.iter().filter_map(root).collect();
        self.roots.retain(|it| !removed.contains(it));
        self.roots.extend(added.iter().filter_map(root));
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
}
