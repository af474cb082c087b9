//! The files of a tool call: which ones its paths name, and what is in them.

use std::fmt::Write as _;
use std::sync::Arc;

use runabout_files::{Change, FileError, FilePath, Roots, Snapshot};
use schemars::JsonSchema;
use serde::Serialize;

use super::failure::Failure;
use super::tool::Call;

/// The files that a call names.
pub(super) struct Chosen {
    pub(super) files: Vec<Snapshot>,
    pub(super) left_out: Vec<LeftOut>,
}

/// A file that was named and is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct LeftOut {
    pub(super) path: String,
    /// A short name of the reason, such as `not_found`, `binary` or `secret`.
    pub(super) reason: String,
    pub(super) message: String,
}

impl From<FileError> for LeftOut {
    fn from(error: FileError) -> Self {
        Self { reason: error.problem.name().to_owned(), message: error.to_string(), path: error.path }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::new(error.to_string())
    }
}

/// Finds and reads the files that `paths` name. Fails if there is none.
pub(super) async fn choose(call: &Call, paths: Vec<String>) -> Result<Chosen, Failure> {
    if paths.is_empty() {
        return Err(Failure::argument("paths", "must name at least one file"));
    }
    let chosen = with_roots(call, move |roots| {
        let found = roots.find(&paths)?;
        let mut left_out: Vec<LeftOut> = found.left_out.into_iter().map(LeftOut::from).collect();
        let mut files = Vec::new();
        for path in found.files {
            match roots.read(&path) {
                Ok(snapshot) => files.push(snapshot),
                Err(error) => left_out.push(error.into()),
            }
        }
        Ok(Chosen { files, left_out })
    })
    .await?;
    if chosen.files.is_empty() {
        let why: Vec<_> = chosen.left_out.iter().map(|it| it.message.as_str()).collect();
        return Err(Failure::new(format!("no file can be used: {}", why.join("; "))));
    }
    Ok(chosen)
}

/// Reads one file.
pub(super) async fn read(call: &Call, path: String) -> Result<Snapshot, Failure> {
    with_roots(call, move |roots| Ok(roots.read(&roots.locate(&path)?)?)).await
}

/// The place of a file that is to be made, from the root of another one.
pub(super) async fn beside(call: &Call, other: FilePath, relative: String) -> Result<FilePath, Failure> {
    with_roots(call, move |roots| {
        let root = roots.paths().nth(other.root_idx()).map(|it| it.join(&relative));
        let path = root.map_or(relative, |it| it.to_string_lossy().into_owned());
        Ok(roots.locate(&path)?)
    })
    .await
}

/// Writes all changes, or none.
pub(super) async fn apply(call: &Call, changes: Vec<Change>) -> Result<(), Failure> {
    with_roots(call, move |roots| {
        roots.apply(&changes).map_err(|error| {
            let mut message = error.to_string();
            for file in error.left_changed {
                let _ = write!(message, "; and this file was changed and could not be restored: {file}");
            }
            Failure::new(message)
        })
    })
    .await
}

/// Does what may block on another thread.
async fn with_roots<T: Send + 'static>(
    call: &Call,
    work: impl FnOnce(&Roots) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let roots: Arc<Roots> = call.session.roots.open()?;
    let done = tokio::task::spawn_blocking(move || work(&roots)).await;
    done.unwrap_or_else(|error| Err(Failure::new(format!("the files could not be used: {error}"))))
}
