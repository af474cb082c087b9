//! The items of one inline completion: [`Items`] gathers them, and sends each as it comes if the client wants that.

use std::sync::{Mutex, PoisonError};

use gen_lsp_types::{Command, InlineCompletionItem, InsertText, ProgressToken};
use runabout_rpc::RequestContext;
use serde_json::json;

use super::at_cursor::Place;
use super::commands;
use super::session::Session;

/// The items of one request.
pub(super) struct Items<'a> {
    session: &'a Session,
    place: &'a Place,
    /// Where the items go one by one; otherwise they are the request's result.
    progress: Option<(ProgressToken, &'a RequestContext)>,
    /// Whether the first text is the rest of one that was offered before.
    is_continuing: bool,
    /// With their numbers.
    gathered: Mutex<Vec<(usize, String)>>,
}

impl<'a> Items<'a> {
    pub(super) fn new(
        session: &'a Session,
        place: &'a Place,
        progress: Option<(ProgressToken, &'a RequestContext)>,
        is_continuing: bool,
    ) -> Self {
        Self { session, place, progress, is_continuing, gathered: Mutex::default() }
    }

    /// Adds a text, unless it is blank or there is the same already. A smaller number comes first in the result.
    pub(super) async fn add(&self, number: usize, text: &str) {
        {
            let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
            if text.trim().is_empty() || gathered.iter().any(|it| it.1 == text) {
                return;
            }
            gathered.push((number, text.to_owned()));
        }
        if let Some((token, request)) = &self.progress {
            let params = json!({"token": token, "value": {"items": [self.item(text)]}});
            // Fails when the connection has ended.
            let _ = request.notify("$/progress", &params).await;
        }
    }

    /// The items for the request's result.
    pub(super) fn into_vec(self) -> Vec<InlineCompletionItem> {
        if self.progress.is_some() {
            return Vec::new();
        }
        let mut gathered = std::mem::take(&mut *self.gathered.lock().unwrap_or_else(PoisonError::into_inner));
        gathered.sort_by_key(|it| it.0);
        gathered.iter().map(|(_, text)| self.item(text)).collect()
    }

    /// An item with this text, which the client can name from now on.
    fn item(&self, text: &str) -> InlineCompletionItem {
        let insert_text = format!("{}{text}", self.place.begun);
        let id = self.session.offers().add(&self.place.uri, &insert_text, self.is_continuing);
        let Place { uri, version, start, .. } = self.place;
        self.session.documents().mark(uri, *version, id, *start);
        InlineCompletionItem {
            insert_text: InsertText::String(insert_text),
            filter_text: None,
            range: Some(self.place.range),
            command: Some(Command {
                title: "Accept the suggestion".to_owned(),
                command: commands::ACCEPT.to_owned(),
                arguments: Some(vec![json!(id)]),
                ..Command::default()
            }),
        }
    }
}
