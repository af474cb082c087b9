//! Keeps the client's documents: opened, changed, closed; and the folders of its workspace.

use std::sync::Arc;
use std::time::Instant;

use runabout_rpc::{ErrorObjectOwned, Params};
use serde::Deserialize;

use super::document::{Change, Document};
use super::imports;
use super::incoming::{self, AboutDocument, DidChange, DidOpen, DocumentId};
use super::positions::Encoding;
use super::session::Session;
use super::workspace::{self, Folder};

pub(super) fn did_open(params: &Params<'_>, session: &Arc<Session>) -> Result<(), ErrorObjectOwned> {
    let DidOpen { text_document: it } = incoming::read(params)?;
    session.project().open(&workspace::file(&it.uri), Some(&it.language_id), &it.text);
    session.documents().open(it.uri.clone(), Document::new(&it.text, it.language_id, it.version));
    session.touched(it.uri.clone());
    imports::read(it.uri, session);
    Ok(())
}

pub(super) fn did_change(params: &Params<'_>, session: &Arc<Session>) -> Result<(), ErrorObjectOwned> {
    let DidChange { text_document, content_changes } = incoming::read(params)?;
    let changes: Vec<Change> = content_changes.into_iter().map(Change::from).collect();
    let encoding = session.agreement().map(|it| it.encoding).unwrap_or_default();
    change(&text_document, &changes, encoding, session);
    session.rhythm().changed(Instant::now());
    session.touched(text_document.uri);
    Ok(())
}

fn change(document: &DocumentId, changes: &[Change], encoding: Encoding, session: &Session) {
    let mut documents = session.documents();
    let replaced = documents.change(&document.uri, document.version, changes, encoding);
    let path = workspace::file(&document.uri);
    let mut project = session.project();
    for (change, bytes) in changes.iter().zip(replaced) {
        if let Some(bytes) = bytes {
            // Fails only for a document that is not open.
            project.edit(&path, bytes, &change.text);
        } else {
            let language = documents.get(&document.uri).map(|it| it.document.language.as_str());
            project.open(&path, language, &change.text);
        }
    }
}

/// `textDocument/didSave`: the document may import other files now.
pub(super) fn did_save(params: &Params<'_>, session: &Arc<Session>) -> Result<(), ErrorObjectOwned> {
    let AboutDocument { text_document } = incoming::read(params)?;
    imports::read(text_document.uri, session);
    Ok(())
}

/// `textDocument/didFocus`: the client shows another document now.
pub(super) fn did_focus(params: &Params<'_>, session: &Arc<Session>) -> Result<(), ErrorObjectOwned> {
    let AboutDocument { text_document } = incoming::read(params)?;
    session.touched(text_document.uri.clone());
    imports::read(text_document.uri, session);
    Ok(())
}

pub(super) fn did_close(params: &Params<'_>, session: &Arc<Session>) -> Result<(), ErrorObjectOwned> {
    let AboutDocument { text_document } = incoming::read(params)?;
    session.documents().close(&text_document.uri);
    session.project().close(&workspace::file(&text_document.uri));
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
    let mut workspace = session.workspace();
    workspace.change(&event.added, &event.removed);
    session.project().set_roots(workspace.local_folders().to_vec());
    Ok(())
}
