//! The command `runabout.nextEdit`: what will be changed next, near the cursor.
//!
//! Like a suggestion, it is `null` where there is nothing to offer; the reason is in the log and in `runabout.info`.

use std::sync::Arc;

use gen_lsp_types::{Position, Range, TextEdit};
use ropey::Rope;
use runabout_assist::{
    Error, FinishReason, Generation, JobError, NextEdit, NextEditForm, Outcome, Prediction, Priority,
    RecentEdit, Run, State, Update,
};
use runabout_rpc::{CancelledBy, ErrorObject, ErrorObjectOwned, RequestContext, params};
use serde::Serialize;
use serde_json::{Value, json};

use super::at_cursor::Place;
use super::documents::{Asker, Documents, Turn};
use super::incoming;
use super::positions::Encoding;
use super::report::{NextEditReport, OutcomeKind, first_upper};
use super::session::Session;
use super::workspace::Workspace;
use crate::dialects::rounding::rounded;

/// LSP's error for a request that the client has cancelled.
const REQUEST_CANCELLED: i32 = -32800;
/// An answer has the lines around the cursor, and more.
const MAX_TOKENS: u32 = 1024;

/// What is offered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Offered {
    uri: String,
    /// The version of the document that the edits are for.
    version: Option<i64>,
    edits: Vec<TextEdit>,
    /// Where the first edit begins.
    jump_to: Position,
    source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
}

/// A request, with what it needs to begin.
struct Asked {
    uri: String,
    version: Option<i64>,
    next_edit: NextEdit,
    turn: Turn,
    text: Rope,
    /// The index of the document's character at which what the model is given begins.
    start: usize,
    encoding: Encoding,
}

/// Why nothing is offered.
enum Declined {
    /// The client has cancelled the request.
    Cancelled,
    /// One plain sentence for the person.
    Because(String),
}

pub(super) async fn answer(
    arguments: Vec<Value>,
    session: &Arc<Session>,
    request: &RequestContext,
) -> Result<Value, ErrorObjectOwned> {
    let argument = arguments.into_iter().next().unwrap_or_default();
    let argument: incoming::NextEdit = serde_json::from_value(argument)
        .map_err(|it| params::invalid("arguments[0]", format!("`arguments[0]` cannot be read: {it}")))?;
    session.settings_known().await;
    match predict(argument, session, request).await {
        Ok(offered) => {
            session.set_next_edit(NextEditReport { outcome: OutcomeKind::Offered, message: None });
            Ok(json!(offered))
        }
        Err(Declined::Because(message)) => {
            tracing::debug!(message, "no next edit");
            session.set_next_edit(NextEditReport { outcome: OutcomeKind::Nothing, message: Some(message) });
            Ok(Value::Null)
        }
        Err(Declined::Cancelled) => {
            Err(ErrorObject::owned(REQUEST_CANCELLED, "request cancelled", None::<()>))
        }
    }
}

async fn predict(
    argument: incoming::NextEdit,
    session: &Session,
    request: &RequestContext,
) -> Result<Offered, Declined> {
    let Asked { uri, version, next_edit, mut turn, text, start, encoding } = prepare(argument, session)?;
    let (run, reader) = session.client.assistant.next_edit(next_edit)?;
    let outcome = tokio::select! {
        outcome = outcome(run) => outcome?,
        () = turn.superseded() => return Err("A newer request for this document took over.".into()),
        by = request.cancelled() => return Err(match by {
            CancelledBy::CancelRequest => Declined::Cancelled,
            _ => "The editor no longer wants the edit.".into(),
        }),
    };
    let Prediction { edits, form, confidence, reason } = reader.read(&outcome);
    let position = |at: usize| encoding.position_of(&text, (start + at).min(text.len_chars()));
    let edits: Vec<TextEdit> = edits
        .into_iter()
        .map(|it| TextEdit {
            range: Range::new(position(it.range.start), position(it.range.end)),
            new_text: it.text,
        })
        .collect();
    let Some(first) = edits.first() else {
        return Err(match reason {
            FinishReason::LowConfidence => "The model is not sure enough of an edit.".into(),
            FinishReason::Length => "The model's answer was too long.".into(),
            _ if form == Some(NextEditForm::FillInTheMiddle) => {
                "The model can only add to your last edit, and would add nothing.".into()
            }
            _ => "The model would change nothing here.".into(),
        });
    };
    let source = form.map(NextEditForm::name);
    let confidence = confidence.map(rounded);
    Ok(Offered { jump_to: first.range.start, uri, version, edits, source, confidence })
}

/// Reads the document and makes this the newest request for it. Runs in the order of the client's messages.
fn prepare(argument: incoming::NextEdit, session: &Session) -> Result<Asked, Declined> {
    let incoming::NextEdit { text_document, position, context } = argument;
    let is_invoked = session.is_invoked(&context.trigger_kind);
    let (settings, size) = (session.settings(), session.window_size());
    let encoding = session.agreement().map(|it| it.encoding).unwrap_or_default();
    let documents = session.documents();
    let open = documents.get(&text_document.uri).ok_or("The editor has not opened this document here.")?;
    let turn = open.take_turn(Asker::NextEdit);
    let document = &open.document;
    if text_document.version.is_some() && text_document.version != document.version {
        return Err("The document has another version here.".into());
    }
    if !is_invoked && !settings.suggests_in(&document.language) {
        return Err("Automatic suggestions are switched off here.".into());
    }
    if !matches!(session.client.assistant.model().engine().state(), State::Ready(_)) {
        return Err("The model is not ready.".into());
    }
    let text = document.text.clone();
    let cursor = encoding.char_at(&text, position);
    let place = Place::at(text_document.uri, document, cursor, None, encoding, size);
    let context = place.context(&settings, &mut session.project(), size);
    let start = text.byte_to_char(place.window.bytes.start);
    let workspace = session.workspace();
    let next_edit = NextEdit {
        prefix: place.window.prefix,
        suffix: place.window.suffix,
        path: workspace.path_of(&place.uri),
        language: Some(place.language).filter(|it| !it.is_empty()),
        context,
        edits: recent(&documents, &place.uri, text.char_to_line(start), &workspace),
        form: settings.next_edit_form(),
        generation: Generation::of(MAX_TOKENS, Priority::Interactive),
        min_confidence: if is_invoked { 0.0 } else { settings.min_confidence },
    };
    Ok(Asked { uri: place.uri, version: place.version, next_edit, turn, text, start, encoding })
}

/// The recent edits as the model sees them. Lines of the document `uri` are counted from `first_line` on.
fn recent(documents: &Documents, uri: &str, first_line: usize, workspace: &Workspace) -> Vec<RecentEdit> {
    let path = |uri: &str| workspace.path_of(uri).unwrap_or_else(|| "untitled".to_owned());
    let edits = documents.recent_edits().into_iter().map(|it| {
        let is_own = it.uri == uri;
        RecentEdit {
            path: (!is_own).then(|| path(&it.uri)),
            original: it.original,
            updated: it.updated,
            line: it.line.filter(|_| is_own).and_then(|line| line.checked_sub(first_line)),
        }
    });
    edits.collect()
}

async fn outcome(mut run: Run) -> Result<Outcome, Error> {
    loop {
        match run.next().await.unwrap_or(Err(JobError::ShuttingDown.into()))? {
            Update::Prefill { .. } | Update::Text { .. } | Update::Reasoning { .. } => {}
            Update::Done(outcome) => return Ok(outcome),
        }
    }
}

impl From<&str> for Declined {
    fn from(message: &str) -> Self {
        Self::Because(message.to_owned())
    }
}

impl From<Error> for Declined {
    fn from(error: Error) -> Self {
        Self::Because(first_upper(&error.to_string()))
    }
}
