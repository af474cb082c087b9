//! `textDocument/completion`: the suggestion as an entry of the client's pop-up list, for clients without inline
//! completion.

use std::sync::Arc;

use gen_lsp_types::{InlineCompletionItem, InsertText};
use runabout_rpc::{ErrorObjectOwned, Params, RequestContext};
use serde_json::{Value, json};

use super::documents::Asker;
use super::incoming::{self, InlineCompletion, InlineContext};
use super::positions::Encoding;
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
    let encoding = session.agreement().map(|it| it.encoding).unwrap_or_default();
    let mut word = String::new();
    session.settings_known().await;
    let offered = match prepare(params, Asker::List, &session) {
        Ok(asked) => {
            asked.place.word().clone_into(&mut word);
            suggest(asked, &session, &request, None).await
        }
        Err(nothing) => Err(nothing),
    };
    let items: Vec<Value> = match offered {
        Ok(offered) => offered.items.into_iter().filter_map(|it| entry(it, &word, encoding)).collect(),
        Err(nothing) => {
            tracing::debug!(reason = ?nothing.reason, message = nothing.message, "no entry for the list");
            Vec::new()
        }
    };
    // Incomplete, so that the client asks again when more is typed.
    Ok(json!({"isIncomplete": true, "items": items}))
}

/// An entry that inserts the item's text. It begins with `word`, the one that is being typed, since clients hide what
/// does not.
fn entry(item: InlineCompletionItem, word: &str, encoding: Encoding) -> Option<Value> {
    let InsertText::String(text) = item.insert_text else { return None };
    let mut range = item.range?;
    range.start.character = range.start.character.saturating_sub(encoding.n_units(word));
    let text = format!("{word}{text}");
    let first_line = text.trim_start().lines().next()?;
    let label: String = first_line.chars().take(MAX_LABEL).collect();
    Some(json!({
        "label": label,
        "kind": KIND_TEXT,
        "detail": "runabout",
        "documentation": text,
        "filterText": text,
        "textEdit": {"range": range, "newText": text},
        "command": item.command,
    }))
}
