//! Keeps the client's documents: opened, changed, closed; and the folders of its workspace.

use std::sync::Arc;
use std::time::Instant;

use runabout_rpc::{ErrorObjectOwned, Params};
use serde::Deserialize;

use super::document::{Change, Document};
use super::incoming::{self, AboutDocument, DidChange, DidOpen};
use super::session::Session;
use super::workspace::Folder;

pub(super) fn did_open(params: &Params<'_>, session: &Arc<Session>) -> Result<(), ErrorObjectOwned> {
    let DidOpen { text_document: it } = incoming::read(params)?;
    session.documents().open(it.uri.clone(), Document::new(&it.text, it.language_id, it.version));
    session.touched(it.uri);
    Ok(())
}

pub(super) fn did_change(params: &Params<'_>, session: &Arc<Session>) -> Result<(), ErrorObjectOwned> {
    let DidChange { text_document, content_changes } = incoming::read(params)?;
    let changes: Vec<Change> = content_changes.into_iter().map(Change::from).collect();
    let encoding = session.agreement().map(|it| it.encoding).unwrap_or_default();
    session.documents().change(&text_document.uri, text_document.version, &changes, encoding);
    session.rhythm().changed(Instant::now());
    session.touched(text_document.uri);
    Ok(())
}

/// `textDocument/didFocus`: the client shows another document now.
pub(super) fn did_focus(params: &Params<'_>, session: &Arc<Session>) -> Result<(), ErrorObjectOwned> {
    let AboutDocument { text_document } = incoming::read(params)?;
    session.touched(text_document.uri);
    Ok(())
}

pub(super) fn did_close(params: &Params<'_>, session: &Arc<Session>) -> Result<(), ErrorObjectOwned> {
    let AboutDocument { text_document } = incoming::read(params)?;
    session.documents().close(&text_document.uri);
    Ok(())
}

pub(super) fn did_change_folders(
    params: &Params<'_>,
    session: &Arc<Session>,
) -> Result<(), ErrorObjectOwned> {
    #[derive(Deserialize)]
    struct DidChangeFolders {
        event: Event,
    }
    #[derive(Deserialize)]
    struct Event {
        added: Vec<Folder>,
        removed: Vec<Folder>,
    }
    let DidChangeFolders { event } = incoming::read(params)?;
    session.workspace().change(&event.added, &event.removed);
    Ok(())
}
