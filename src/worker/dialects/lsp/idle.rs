//! What the worker does while the person pauses, so that the next suggestion comes sooner.
//!
//! [`warm`] computes the prompt at the place of the last change into the cache, unless a suggestion was asked for there.
//! [`ahead`] completes the text behind a suggestion that is offered, as if it had been accepted. Both are background
//! work, which gives way to what is asked for. [`warm_whole`] makes up for a completion that could not wait.

use std::sync::Arc;
use std::time::Duration;

use runabout_assist::{Completion, Priority, Update, Warm};
use tokio::time::timeout;

use super::at_cursor::Place;
use super::documents::Turn;
use super::session::Session;

/// How long nothing must change before a prompt is computed in advance.
const PAUSE: Duration = Duration::from_millis(300);
/// How long a suggestion must have been offered before what follows it is computed.
const OFFERED: Duration = Duration::from_millis(150);

/// Warms the cache at each pause, until the engine has died.
pub(super) async fn warm(session: &Session) {
    let mut changes = session.watch_changes();
    let at_each_pause = async {
        while changes.changed().await.is_ok() {
            while let Ok(Ok(())) = timeout(PAUSE, changes.changed()).await {}
            let uri = changes.borrow_and_update().clone();
            let mut newer = changes.clone();
            tokio::select! {
                () = warm_at(&uri, session) => {}
                // The loop sees this change too.
                _ = newer.changed() => {}
            }
        }
    };
    tokio::select! {
        () = at_each_pause => {}
        () = session.engine_died() => {}
    }
}

/// Computes the prompt at the place of the document's last change.
async fn warm_at(uri: &str, session: &Session) {
    let settings = session.settings();
    let size = session.window_size();
    let completion = {
        let documents = session.documents();
        let Some(open) = documents.get(uri).filter(|it| !it.was_asked_since_change()) else { return };
        if !settings.suggests_in(&open.document.language) {
            return;
        }
        let encoding = session.agreement().map(|it| it.encoding).unwrap_or_default();
        let Some(cursor) = open.document.likely_cursor(size.prefix_bytes()) else { return };
        let place = Place::at(uri.to_owned(), &open.document, cursor, None, encoding, size);
        let context = place.context(&settings, &mut session.project(), size);
        place.completion(context, &settings, &session.workspace(), Priority::Background)
    };
    warm_prompt(completion, session).await;
}

async fn warm_prompt(completion: Completion, session: &Session) {
    // Warming is worth no error.
    let Ok(mut run) = session.client.assistant.warm(Warm::Completion(completion)) else { return };
    while let Some(Ok(update)) = run.next().await {
        if let Update::Done(outcome) = update {
            session.computed_prompt(&outcome);
        }
    }
}

/// Computes the whole prompt of a completion that was made from the text near the cursor alone, until the next change or
/// the next request for the document. What is computed by then is of use to the next completion there.
pub(super) fn warm_whole(session: Arc<Session>, mut completion: Completion, mut turn: Turn) {
    completion.generation.priority = Priority::Background;
    let mut changes = session.watch_changes();
    tokio::spawn(async move {
        tokio::select! {
            () = warm_prompt(completion, &session) => {}
            _ = changes.changed() => {}
            () = turn.superseded() => {}
        }
    });
}

/// Completes the text behind a suggestion, unless another suggestion is asked for at once.
pub(super) fn ahead(session: Arc<Session>, mut completion: Completion, text: &str, mut turn: Turn) {
    completion.prefix.push_str(text);
    completion.generation.priority = Priority::Background;
    tokio::spawn(async move {
        if timeout(OFFERED, turn.superseded()).await.is_ok() {
            return;
        }
        // It is worth no error. If it is asked for before it is done, the request takes it over.
        let Ok(mut run) = session.client.assistant.complete_ahead(completion) else { return };
        while let Some(Ok(_)) = run.next().await {}
    });
}
