//! The items of one inline completion: [`Items`] gathers them, and sends them before the result if the client wants that.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gen_lsp_types::{Command, InlineCompletionItem, InsertText, ProgressToken};
use runabout_rpc::RequestContext;
use serde_json::json;
use tokio::time::Instant;

use super::at_cursor::Place;
use super::commands;
use super::offers::OfferId;
use super::session::Session;
use super::suggestion::Suggestion;

/// A growing item is sent at most this often.
const INTERVAL: Duration = Duration::from_millis(100);

/// The items of one request.
pub(super) struct Items<'a> {
    session: &'a Session,
    place: &'a Place,
    /// What the first text belongs to.
    suggestion: &'a Suggestion,
    progress: Option<Progress<'a>>,
    /// Whether items are sent one by one, so that the result has none.
    one_by_one: bool,
    gathered: Mutex<Vec<Gathered>>,
    /// What was sent of the first text while it grew.
    growing: Mutex<Option<Growing>>,
}

/// Where items go before the result.
pub(super) struct Progress<'a> {
    pub(super) token: ProgressToken,
    pub(super) request: &'a RequestContext,
}

struct Gathered {
    number: usize,
    text: String,
    item: InlineCompletionItem,
}

struct Growing {
    offer: OfferId,
    n_bytes: usize,
    sent: Instant,
}

impl<'a> Items<'a> {
    pub(super) fn new(
        session: &'a Session,
        place: &'a Place,
        suggestion: &'a Suggestion,
        progress: Option<Progress<'a>>,
        one_by_one: bool,
    ) -> Self {
        let one_by_one = one_by_one && progress.is_some();
        let (gathered, growing) = (Mutex::default(), Mutex::default());
        Self { session, place, suggestion, progress, one_by_one, gathered, growing }
    }

    /// Sends the whole lines of the first text so far, if there are more than before.
    pub(super) async fn grow(&self) {
        let Some(lines) = self.suggestion.lines() else { return };
        let item = {
            let mut growing = lock(&self.growing);
            let now = Instant::now();
            let is_due = |it: &Growing| lines.len() > it.n_bytes && now.duration_since(it.sent) >= INTERVAL;
            if !growing.as_ref().is_none_or(is_due) {
                return;
            }
            let offer = growing.as_ref().map(|it| it.offer);
            let (offer, item) = self.item(&lines, offer, self.suggestion.offer());
            self.suggestion.was_offered_as(offer);
            *growing = Some(Growing { offer, n_bytes: lines.len(), sent: now });
            item
        };
        self.send(&item).await;
    }

    /// Adds a text, unless it is blank or there is the same already. A smaller number comes first in the result.
    pub(super) async fn add(&self, number: usize, text: &str) {
        let item = {
            let mut gathered = lock(&self.gathered);
            if text.trim().is_empty() || gathered.iter().any(|it| it.text == text) {
                return;
            }
            let item = if number == 0 {
                let offer = lock(&self.growing).as_ref().map(|it| it.offer);
                let (offer, item) = self.item(text, offer, self.suggestion.offer());
                self.suggestion.was_offered_as(offer);
                item
            } else {
                self.item(text, None, None).1
            };
            gathered.push(Gathered { number, text: text.to_owned(), item: item.clone() });
            item
        };
        if self.one_by_one {
            self.send(&item).await;
        }
    }

    /// The items for the request's result.
    pub(super) fn into_vec(self) -> Vec<InlineCompletionItem> {
        if self.one_by_one {
            return Vec::new();
        }
        let mut gathered = std::mem::take(&mut *lock(&self.gathered));
        gathered.sort_by_key(|it| it.number);
        gathered.into_iter().map(|it| it.item).collect()
    }

    async fn send(&self, item: &InlineCompletionItem) {
        if let Some(Progress { token, request }) = &self.progress {
            let params = json!({"token": token, "value": {"items": [item]}});
            // Fails when the connection has ended.
            let _ = request.notify("$/progress", &params).await;
        }
    }

    /// An item with this text, and the offer by which the client can name it from now on: `offer`, which has grown, or
    /// a new one, which may be the rest of an `earlier` one.
    fn item(
        &self,
        text: &str,
        offer: Option<OfferId>,
        earlier: Option<OfferId>,
    ) -> (OfferId, InlineCompletionItem) {
        let insert_text = format!("{}{text}", self.place.begun);
        let Place { uri, version, start, .. } = self.place;
        let mut offers = self.session.offers();
        let id = if let Some(id) = offer {
            offers.grown(id, &insert_text);
            id
        } else {
            offers.add(uri, &insert_text, earlier)
        };
        drop(offers);
        if offer.is_none() {
            self.session.documents().mark(uri, *version, id, *start);
        }
        let item = InlineCompletionItem {
            insert_text: InsertText::String(insert_text),
            filter_text: None,
            range: Some(self.place.range),
            command: Some(Command {
                title: "Accept the suggestion".to_owned(),
                command: commands::ACCEPT.to_owned(),
                arguments: Some(vec![json!(id)]),
                ..Command::default()
            }),
        };
        (id, item)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code can panic in the middle of a change to what the mutexes here hold.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
