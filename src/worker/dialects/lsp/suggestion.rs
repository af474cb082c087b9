//! A text that is being suggested in a document: [`Suggestion`] is what is known about it, [`pursue`] follows its run.
//!
//! At each keystroke editors cancel one request and send the next. If what was typed is what the older request was
//! about to suggest, its run is worth continuing; so a run goes on for a moment after its request has ended, see
//! [`linger`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runabout_assist::{Completion, Error, JobError, Outcome, Run, Update};
use tokio::sync::Notify;

/// How long a run goes on after its request has ended. Editors send the next request within milliseconds.
const LINGER: Duration = Duration::from_millis(250);

/// A text that is or was being suggested at a place.
#[derive(Debug)]
pub(super) struct Suggestion {
    completion: Completion,
    /// As far as it is generated.
    text: Mutex<String>,
    /// How sure the model is of it, once that is known.
    confidence: Mutex<Option<f64>>,
    abandoned: Notify,
}

impl Suggestion {
    pub(super) fn of(completion: Completion) -> Arc<Self> {
        Arc::new(Self {
            completion,
            text: Mutex::default(),
            confidence: Mutex::default(),
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

    pub(super) fn confidence(&self) -> Option<f64> {
        *self.confidence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_confidence(&self, confidence: Option<f64>) {
        *self.confidence.lock().unwrap_or_else(PoisonError::into_inner) = confidence;
    }

    /// Ends its run if that goes on without a request.
    pub(super) fn abandon(&self) {
        self.abandoned.notify_one();
    }

    fn text(&self) -> MutexGuard<'_, String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows a run to its outcome. The future can be dropped, and the run pursued again.
pub(super) async fn pursue(run: &mut Run, suggestion: &Suggestion) -> Result<Outcome, Error> {
    loop {
        match run.next().await.unwrap_or(Err(JobError::ShuttingDown.into()))? {
            Update::Prefill { .. } => {}
            Update::Text { text, .. } => suggestion.text().push_str(&text),
            Update::Done(outcome) => return Ok(outcome),
        }
    }
}

/// Lets a run go on for a moment without its request, so that a newer request can continue it.
pub(super) fn linger(mut run: Run, suggestion: Arc<Suggestion>) {
    tokio::spawn(async move {
        tokio::select! {
            _ = pursue(&mut run, &suggestion) => {}
            () = suggestion.abandoned.notified() => {}
            () = tokio::time::sleep(LINGER) => {}
        }
    });
}
