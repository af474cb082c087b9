//! The client's open documents, and which request of each is the newest: [`Documents`].

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::watch;

use super::document::{Change, Document};
use super::history::{Edit, History};
use super::positions::Encoding;
use super::suggestion::Suggestion;

/// The open documents of one client, by URI.
#[derive(Debug, Default)]
pub(super) struct Documents {
    open: HashMap<String, Open>,
    history: History,
}

/// Which part of the client asks for text. Its newer requests for a document supersede its older ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// The suggestions at the cursor.
    Inline,
    /// The pop-up list.
    List,
    /// The command for the next edit.
    NextEdit,
}

/// An open document and what is being suggested in it.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) document: Document,
    inline: Requests,
    list: Requests,
    next_edit: Requests,
    /// The number of inline completions before the last change.
    n_asked_before_change: u64,
}

/// The requests of one asker for a document.
#[derive(Debug, Default)]
struct Requests {
    /// Their number so far. Each waits for the next one, which supersedes it.
    n_asked: watch::Sender<u64>,
    /// The suggestion that was begun last.
    suggestion: Option<Arc<Suggestion>>,
}

/// A request's place in the order of those of its asker for a document.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    number: u64,
    n_asked: watch::Receiver<u64>,
}

impl Documents {
    pub(super) fn open(&mut self, uri: String, document: Document) {
        let (inline, list, next_edit) = (Requests::default(), Requests::default(), Requests::default());
        let open = Open { document, inline, list, next_edit, n_asked_before_change: 0 };
        self.history.closed(&uri);
        if self.open.insert(uri, open).is_some() {
            tracing::warn!("a document was opened twice; its newer text counts");
        }
    }

    pub(super) fn close(&mut self, uri: &str) {
        self.history.closed(uri);
        if self.open.remove(uri).is_none() {
            tracing::warn!("a document was closed that is not open");
        }
    }

    /// Applies the client's changes, in their order, and returns what each replaced, see [`Document::apply`].
    pub(super) fn change(
        &mut self,
        uri: &str,
        version: Option<i64>,
        changes: &[Change],
        encoding: Encoding,
    ) -> Vec<Option<Range<usize>>> {
        let Some(open) = self.open.get_mut(uri) else {
            tracing::warn!("a document was changed that is not open");
            return Vec::new();
        };
        open.n_asked_before_change = *open.inline.n_asked.borrow();
        let document = &mut open.document;
        if version.zip(document.version).is_some_and(|(new, old)| new <= old) {
            // The text counts: messages arrive in the order in which the client made the changes.
            tracing::warn!(?version, before = ?document.version, "a document's version did not increase");
        }
        document.version = version.or(document.version);
        let applied = changes.iter().map(|change| {
            let before = document.text.clone();
            let replaced = document.apply(change, encoding);
            self.history.changed(uri, &before, &document.text, replaced.clone());
            replaced.map(|it| it.bytes)
        });
        applied.collect()
    }

    /// What was changed in them recently, the latest edit last.
    pub(super) fn recent_edits(&self) -> Vec<Edit> {
        self.history.edits()
    }

    /// The URIs of the open documents.
    pub(super) fn uris(&self) -> Vec<String> {
        self.open.keys().cloned().collect()
    }

    pub(super) fn get(&self, uri: &str) -> Option<&Open> {
        self.open.get(uri)
    }

    /// Remembers where a text was offered in this version of a document. A text for an older version is not shown.
    pub(super) fn mark(&mut self, uri: &str, version: Option<i64>, name: u64, char_idx: usize) {
        if let Some(open) = self.open.get_mut(uri).filter(|it| it.document.version == version) {
            open.document.mark(name, char_idx);
        }
    }

    /// Makes `suggestion` the latest one of a document, and returns the one before.
    pub(super) fn suggest(
        &mut self,
        uri: &str,
        asker: Asker,
        suggestion: &Arc<Suggestion>,
    ) -> Option<Arc<Suggestion>> {
        let open = self.open.get_mut(uri)?;
        let requests = match asker {
            Asker::Inline => &mut open.inline,
            Asker::List => &mut open.list,
            Asker::NextEdit => &mut open.next_edit,
        };
        requests.suggestion.replace(Arc::clone(suggestion))
    }
}

impl Open {
    /// Makes a request the newest of its asker for this document.
    pub(super) fn take_turn(&self, asker: Asker) -> Turn {
        let Requests { n_asked, .. } = match asker {
            Asker::Inline => &self.inline,
            Asker::List => &self.list,
            Asker::NextEdit => &self.next_edit,
        };
        n_asked.send_modify(|it| *it += 1);
        Turn { number: *n_asked.borrow(), n_asked: n_asked.subscribe() }
    }

    /// Whether an inline completion was asked for since the last change.
    pub(super) fn was_asked_since_change(&self) -> bool {
        *self.inline.n_asked.borrow() > self.n_asked_before_change
    }
}

impl Turn {
    /// Resolves when there is a newer request, or the document was closed.
    pub(super) async fn superseded(&mut self) {
        let number = self.number;
        // Fails when the document was closed.
        let _ = self.n_asked.wait_for(|it| *it > number).await;
    }
}
