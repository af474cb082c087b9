//! `textDocument/completion`: the suggestion as an entry of the client's pop-up list, for clients without inline
//! completion.

use std::sync::Arc;

use gen_lsp_types::InsertText;
use runabout_rpc::{ErrorObjectOwned, Params, RequestContext};
use serde_json::{Value, json};

use super::documents::Asker;
use super::incoming::{self, InlineCompletion, InlineContext};
use super::session::Session;
use super::suggest::{prepare, suggest};

/// The kind of an entry in LSP that is plain text.
const KIND_TEXT: u32 = 1;
/// The label of an entry is not longer than this, in characters.
const MAX_LABEL: usize = 60;

pub(super) async fn answer(
    params: Params<'static>,
    session: Arc<Session>,
    request: RequestContext,
) -> Result<Value, ErrorObjectOwned> {
    let incoming::AtPosition { text_document, position } = incoming::read(&params)?;
    let context = InlineContext::default();
    let params = InlineCompletion { text_document, position, context, partial_result_token: None };
    let offered = match prepare(params, Asker::List, &session) {
        Ok(asked) => suggest(asked, &session, &request, None).await,
        Err(nothing) => Err(nothing),
    };
    let items: Vec<Value> = match offered {
        Ok(offered) => offered.items.into_iter().filter_map(entry).collect(),
        Err(nothing) => {
            tracing::debug!(reason = ?nothing.reason, message = nothing.message, "no entry for the list");
            Vec::new()
        }
    };
    // Incomplete, so that the client asks again when more is typed.
    Ok(json!({"isIncomplete": true, "items": items}))
}

/// An entry that inserts the item's text. Its range is empty, so no client hides it for not being what was typed.
fn entry(item: gen_lsp_types::InlineCompletionItem) -> Option<Value> {
    let InsertText::String(text) = item.insert_text else { return None };
    let first_line = text.trim_start().lines().next()?;
    let label: String = first_line.chars().take(MAX_LABEL).collect();
    Some(json!({
        "label": label,
        "kind": KIND_TEXT,
        "detail": "runabout",
        "documentation": text,
        "textEdit": {"range": item.range?, "newText": text},
        "command": item.command,
    }))
}
