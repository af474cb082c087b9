//! The message that the model is given for what the person said: first the files, then the words.
//!
//! The words come last, since small models forget a question that is followed by a long file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use super::block::Block;

/// A file that the person pointed at, as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// Its name for the model.
    pub(super) name: String,
    /// Its text, or why there is none.
    pub(super) text: Result<String, String>,
}

/// The message. `files` are those of the links, in their order; a link without a file stays a name.
pub(super) fn prompt(blocks: &[Block], files: &[Shown], cwd: &Path) -> String {
    let mut prompt = String::new();
    let embedded = blocks.iter().filter_map(|it| match it {
        Block::Resource { uri, text } => Some(Shown { name: name(uri, cwd), text: Ok(text.clone()) }),
        Block::Text(_) | Block::Link { .. } => None,
    });
    for file in embedded.chain(files.iter().cloned()) {
        match file.text {
            Ok(text) => {
                let fence = fence(&text);
                let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
                let _ = write!(prompt, "`{}`:\n{fence}\n{text}{end}{fence}\n\n", file.name);
            }
            Err(why) => {
                let _ = write!(prompt, "`{}` cannot be read: {why}\n\n", file.name);
            }
        }
    }
    prompt + words(blocks, cwd).trim()
}

/// What the person wrote, with names where something was pointed at.
pub(super) fn words(blocks: &[Block], cwd: &Path) -> String {
    let words = blocks.iter().map(|it| match it {
        Block::Text(text) => text.clone(),
        Block::Link { uri, name: given } => match file(uri) {
            Some(_) => format!("`{}`", name(uri, cwd)),
            None => format!("`{given}`"),
        },
        Block::Resource { uri, .. } => format!("`{}`", name(uri, cwd)),
    });
    let mut text = String::new();
    for word in words {
        // Some clients send a mention within a sentence as a block of its own, others a list of blocks.
        let is_joined =
            text.is_empty() || text.ends_with(char::is_whitespace) || word.starts_with(char::is_whitespace);
        if !is_joined {
            text.push(' ');
        }
        text.push_str(&word);
    }
    text
}

/// The file that a URI names; `None` for what is not a file of this machine.
pub(super) fn file(uri: &str) -> Option<PathBuf> {
    let rest = uri.strip_prefix("file://").map_or_else(|| uri.strip_prefix('/').map(|_| uri), Some)?;
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let path = path.strip_prefix("localhost").unwrap_or(path);
    let path =
        if uri.starts_with('/') { path.into() } else { percent_decode_str(path).decode_utf8().ok()? };
    path.starts_with('/').then(|| PathBuf::from(path.as_ref()))
}

/// The name of a resource for the model: the path within the session's folder, or else the file's name, so that the
/// model does not see where a person keeps the project. A part of a file keeps the lines that the URI tells.
pub(super) fn name(uri: &str, cwd: &Path) -> String {
    let Some(path) = file(uri) else { return uri.to_owned() };
    let within = path.strip_prefix(cwd).ok().filter(|it| !it.as_os_str().is_empty());
    let name = within.map(Path::to_owned).or_else(|| path.file_name().map(PathBuf::from)).unwrap_or(path);
    let lines = uri.split_once('#').map(|(_, lines)| format!("#{lines}")).unwrap_or_default();
    format!("{}{lines}", name.display())
}

/// A fence that the text does not contain.
fn fence(text: &str) -> String {
    let begins = text.lines().map(str::trim_start);
    let longest = begins.map(|it| it.len() - it.trim_start_matches('`').len()).max();
    "`".repeat(longest.map_or(3, |it| (it + 1).max(3)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(uri: &str) -> Block {
        Block::Link { uri: uri.to_owned(), name: "x".to_owned() }
    }

    #[test]
    fn the_files_come_before_the_words() {
        let blocks = [
            Block::Text("What does".into()),
            link("file:///code/src/a%20b.rs"),
            Block::Text("do with".into()),
            Block::Resource { uri: "file:///code/c.rs#L2:3".into(), text: "let c;".into() },
            Block::Text("?".into()),
        ];
        let files = [Shown { name: "src/a b.rs".into(), text: Ok("```\n".into()) }];
        let expected = "`c.rs#L2:3`:\n```\nlet c;\n```\n\n`src/a b.rs`:\n````\n```\n````\n\n\
                        What does `src/a b.rs` do with `c.rs#L2:3` ?";
        assert_eq!(prompt(&blocks, &files, Path::new("/code")), expected);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_said_to_be_there() {
        let files = [Shown { name: "a.rs".into(), text: Err("it is gone".into()) }];
        let prompt =
            prompt(&[link("file:///code/a.rs"), Block::Text("why?".into())], &files, Path::new("/code"));
        assert_eq!(prompt, "`a.rs` cannot be read: it is gone\n\n`a.rs` why?");
    }

    #[test]
    fn only_files_of_this_machine_are_files() {
        for (uri, path) in [
            ("file:///a%20b/c.rs", Some("/a b/c.rs")),
            ("file:///a/c.rs#L1-4", Some("/a/c.rs")),
            ("file://localhost/a", Some("/a")),
            ("/a b%20", Some("/a b%20")),
            ("file://host/a", None),
            ("https://docs.rs/a", None),
            ("zed:///agent/thread/1", None),
            ("a.rs", None),
            ("file:///%ff", None),
            ("", None),
        ] {
            assert_eq!(file(uri), path.map(PathBuf::from), "{uri}");
        }
    }

    #[test]
    fn a_name_does_not_tell_where_the_project_is() {
        let cwd = Path::new("/people/me/code");
        for (uri, expected) in [
            ("file:///people/me/code/src/a.rs", "src/a.rs"),
            ("file:///people/me/notes.md", "notes.md"),
            ("file:///people/me/code", "code"),
            ("https://docs.rs/a", "https://docs.rs/a"),
        ] {
            assert_eq!(name(uri, cwd), expected);
        }
    }
}
