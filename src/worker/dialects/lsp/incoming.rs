//! The params of the client's messages, as far as they are used.
//!
//! They are read leniently: what is not used is not looked at, and what some client leaves out or writes otherwise has
//! a default. Positions and ranges are those of [`gen_lsp_types`].

use gen_lsp_types::{Position, ProgressToken, Range};
use runabout_rpc::{ErrorObjectOwned, Params, params};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::document::Change;

/// Reads the params of a message.
pub(super) fn read<T: DeserializeOwned>(params: &Params<'_>) -> Result<T, ErrorObjectOwned> {
    params::parse_lenient(params)
}

#[derive(Debug, Deserialize)]
pub(super) struct DocumentId {
    pub(super) uri: String,
    pub(super) version: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DidOpen {
    pub(super) text_document: OpenedDocument,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OpenedDocument {
    pub(super) uri: String,
    #[serde(default)]
    pub(super) language_id: String,
    pub(super) version: Option<i64>,
    pub(super) text: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DidChange {
    pub(super) text_document: DocumentId,
    pub(super) content_changes: Vec<ContentChange>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ContentChange {
    range: Option<Range>,
    text: String,
}

impl From<ContentChange> for Change {
    fn from(change: ContentChange) -> Self {
        Self { range: change.range, text: change.text }
    }
}

/// The params of the notifications that only name a document.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AboutDocument {
    pub(super) text_document: DocumentId,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AtPosition {
    pub(super) text_document: DocumentId,
    pub(super) position: Position,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InlineCompletion {
    pub(super) text_document: DocumentId,
    pub(super) position: Position,
    #[serde(default)]
    pub(super) context: InlineContext,
    pub(super) partial_result_token: Option<ProgressToken>,
}

/// The argument of the command for the next edit.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NextEdit {
    pub(super) text_document: DocumentId,
    pub(super) position: Position,
    #[serde(default)]
    pub(super) context: InlineContext,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InlineContext {
    /// A number; what is not one counts as absent.
    #[serde(default)]
    pub(super) trigger_kind: Value,
    pub(super) selected_completion_info: Option<SelectedCompletion>,
}

/// The selected entry of the client's pop-up list.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct SelectedCompletion {
    pub(super) range: Range,
    pub(super) text: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AboutItem {
    pub(super) item: ShownItem,
    pub(super) accepted_length: Option<usize>,
}

/// An item as the client got it.
#[derive(Debug, Deserialize)]
pub(super) struct ShownItem {
    pub(super) command: Option<ShownCommand>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ShownCommand {
    #[serde(default)]
    pub(super) arguments: Vec<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ExecuteCommand {
    pub(super) command: String,
    #[serde(default)]
    pub(super) arguments: Vec<Value>,
}
