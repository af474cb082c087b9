//! A text that is being suggested in a document: [`Suggestion`] is what is known about it, [`follow`] follows its run.
//!
//! At each keystroke editors cancel one request and send the next. If what was typed is what the older request was
//! about to suggest, its run is worth continuing; so a run goes on for a moment after its request has ended, see
//! [`linger`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runabout_assist::{Completion, Error, JobError, Outcome, Run, Update};
use tokio::sync::Notify;

use super::offers::OfferId;

/// How long a run goes on after its request has ended. Editors send the next request within milliseconds; tests, on a
/// busy machine, may take longer.
const LINGER: Duration = Duration::from_millis(if cfg!(test) { 30_000 } else { 250 });

/// A text that is or was being suggested at a place.
#[derive(Debug)]
pub(super) struct Suggestion {
    completion: Completion,
    /// As far as it is generated.
    text: Mutex<String>,
    /// How sure the model is of its first line so far.
    confidence: Mutex<Option<f64>>,
    /// Its first offer to the client, or that of the text of which this is the rest.
    offer: Mutex<Option<OfferId>>,
    abandoned: Notify,
}

impl Suggestion {
    pub(super) fn of(completion: Completion) -> Arc<Self> {
        Arc::new(Self {
            completion,
            text: Mutex::default(),
            confidence: Mutex::default(),
            offer: Mutex::default(),
            abandoned: Notify::new(),
        })
    }

    /// Whether `newer` may turn out to differ only in typed text that this suggestion contains.
    pub(super) fn may_contain(&self, newer: &Completion) -> bool {
        let text = self.text();
        self.typed_since(newer).is_some_and(|typed| text.starts_with(typed) || typed.starts_with(&*text))
    }

    /// Whether `newer` differs only in typed text that this suggestion contains.
    pub(super) fn contains(&self, newer: &Completion) -> bool {
        self.typed_since(newer).is_some_and(|typed| self.text().starts_with(typed))
    }

    /// What was typed since, if nothing else has changed.
    fn typed_since<'a>(&self, newer: &'a Completion) -> Option<&'a str> {
        let typed = newer.prefix.strip_prefix(&self.completion.prefix)?;
        let is_the_same =
            newer.form == self.completion.form && newer.generation == self.completion.generation;
        is_the_same.then_some(typed)
    }

    /// Makes this the rest of a suggestion of which the beginning was typed.
    pub(super) fn continue_from(&self, before: &Self) {
        *lock(&self.offer) = before.offer();
        // The rest of a text may come without a confidence of its own; then that of the text counts.
        *lock(&self.confidence) = before.confidence();
    }

    pub(super) fn confidence(&self) -> Option<f64> {
        *lock(&self.confidence)
    }

    /// Whether the model is sure enough of it to offer it unasked. The only place where the threshold is compared.
    pub(super) fn suffices(&self, min_confidence: f64) -> bool {
        self.confidence().is_none_or(|it| it >= min_confidence)
    }

    pub(super) fn offer(&self) -> Option<OfferId> {
        *lock(&self.offer)
    }

    /// Records an offer of it, if it is the first.
    pub(super) fn was_offered_as(&self, offer: OfferId) {
        lock(&self.offer).get_or_insert(offer);
    }

    /// The whole lines of the text so far, without the last line end; `None` if its first line has not ended.
    pub(super) fn lines(&self) -> Option<String> {
        let text = self.text();
        let (lines, _) = text.rsplit_once('\n')?;
        (!lines.trim().is_empty()).then(|| lines.trim_end_matches('\r').to_owned())
    }

    /// Ends its run if that goes on without a request.
    pub(super) fn abandon(&self) {
        self.abandoned.notify_one();
    }

    fn grow(&self, text: &str, confidence: Option<f64>) {
        self.text().push_str(text);
        let mut known = lock(&self.confidence);
        *known = confidence.or(*known);
    }

    fn text(&self) -> MutexGuard<'_, String> {
        lock(&self.text)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code can panic in the middle of a change to what the mutexes here hold.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Follows a run until there is more text, or to its outcome. The future can be dropped, and the run followed again.
pub(super) async fn follow(run: &mut Run, suggestion: &Suggestion) -> Result<Option<Outcome>, Error> {
    loop {
        match run.next().await.unwrap_or(Err(JobError::ShuttingDown.into()))? {
            Update::Prefill { .. } | Update::Reasoning { .. } => {}
            Update::Text { text, confidence, .. } => {
                suggestion.grow(&text, confidence);
                return Ok(None);
            }
            Update::Done(outcome) => return Ok(Some(outcome)),
        }
    }
}

/// Lets a run go on for a moment without its request, so that a newer request can continue it.
pub(super) fn linger(mut run: Run, suggestion: Arc<Suggestion>) {
    tokio::spawn(async move {
        tokio::select! {
            () = async { while let Ok(None) = follow(&mut run, &suggestion).await {} } => {}
            () = suggestion.abandoned.notified() => {}
            () = tokio::time::sleep(LINGER) => {}
        }
    });
}
