//! The newest completion of each document: who takes whose place, and what of the older one is still good.
//!
//! An editor asks at every key. If what was typed is what the older completion said, the newer one goes on with
//! it: with its sequence in the engine while that runs, with its text once it has ended. Otherwise the older
//! one is told to end. Knows requests and text; what goes on in the engine is the engine's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runabout_api::CompleteParams;
use runabout_engine::{FinishReason, JobId, Supersede};
use tokio::sync::Notify;

/// Texts of so many documents are remembered after their end,
const MAX_DOCUMENTS: usize = 64;
/// as long as what was asked for them has no more bytes than this, all together.
const MAX_BYTES: usize = 16 << 20;

/// The newest completions by document.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    newest: HashMap<String, Arc<Completion>>,
    n_taken: u64,
}

/// One completion of a document.
#[derive(Debug)]
struct Completion {
    request: CompleteParams,
    /// Counts up with each completion.
    order: u64,
    superseded: Notify,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
enum Progress {
    /// The engine does not know of it yet.
    Preparing,
    Running(JobId),
    /// It came to an end of its own.
    Said(Said),
    /// It was ended, and is of no use to a newer one.
    Gone,
}

/// A text that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) reason: FinishReason,
}

/// What a newer completion goes on with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Follow {
    /// The engine decides whether it can; it ends the older one in any case.
    Running(Supersede),
    /// All there is to say.
    Said(Said),
    /// Nothing of the kind.
    Nothing,
}

/// A completion's place as the newest of its document.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    documents: &'a Documents,
    completion: Arc<Completion>,
    /// The one before, as long as it has not been dealt with.
    older: Option<Arc<Completion>>,
}

impl Documents {
    /// Makes this the newest completion of its document, if it names one. An older one of which nothing can be
    /// of use is told to end.
    pub(crate) fn take(&self, request: &CompleteParams) -> Option<Place<'_>> {
        let document = request.document.clone()?;
        let mut table = self.table();
        table.n_taken += 1;
        let completion = Arc::new(Completion {
            request: request.clone(),
            order: table.n_taken,
            superseded: Notify::new(),
            progress: Mutex::new(Progress::Preparing),
        });
        let older = table.newest.insert(document, Arc::clone(&completion));
        table.forget_oldest();
        let older = older.filter(|it| {
            let is_of_use = it.typed_in(request).is_some() && !matches!(*it.progress(), Progress::Preparing);
            if !is_of_use {
                it.superseded.notify_one();
            }
            is_of_use
        });
        Some(Place { documents: self, completion, older })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No code can panic in the middle of a change to the table.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Texts are forgotten beyond a number and a size; what runs is not.
    fn forget_oldest(&mut self) {
        while self.newest.len() > MAX_DOCUMENTS
            || self.newest.values().map(|it| it.n_bytes()).sum::<usize>() > MAX_BYTES
        {
            let said = self.newest.iter().filter(|(_, it)| matches!(*it.progress(), Progress::Said(_)));
            let oldest = said.min_by_key(|(_, it)| it.order).map(|(document, _)| document.clone());
            let Some(document) = oldest else { return };
            self.newest.remove(&document);
        }
    }
}

impl Completion {
    /// What was typed between this request and a newer one, if that is all that changed.
    fn typed_in<'a>(&self, newer: &'a CompleteParams) -> Option<&'a str> {
        let typed = newer.prefix.strip_prefix(&self.request.prefix)?;
        // Tokens and their probabilities cannot be told apart at the place where the typing ended.
        let is_plain = newer.n == 1 && newer.logprobs.is_none() && !newer.return_tokens;
        let as_older = CompleteParams {
            prefix: self.request.prefix.clone(),
            time_budget_ms: self.request.time_budget_ms,
            stream: self.request.stream,
            ..newer.clone()
        };
        (is_plain && as_older == self.request).then_some(typed)
    }

    /// Of the texts that it holds.
    fn n_bytes(&self) -> usize {
        let CompleteParams { prefix, suffix, path, language, document, context, stop, .. } = &self.request;
        let optional: usize = [suffix, path, language, document].into_iter().flatten().map(String::len).sum();
        let context: usize = context.iter().map(|it| it.path.len() + it.text.len()).sum();
        let said = match &*self.progress() {
            Progress::Said(said) => said.text.len(),
            Progress::Preparing | Progress::Running(_) | Progress::Gone => 0,
        };
        prefix.len() + optional + context + stop.iter().map(String::len).sum::<usize>() + said
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Resolves when a newer completion has come that has no use for this one.
    pub(crate) async fn superseded(&self) {
        self.completion.superseded.notified().await;
    }

    /// What there is to go on with. To be followed by [`Place::runs`] or [`Place::ended`].
    pub(crate) fn follow(&self) -> Follow {
        let Some(older) = &self.older else { return Follow::Nothing };
        let Some(typed) = older.typed_in(&self.completion.request) else { return Follow::Nothing };
        match &*older.progress() {
            Progress::Running(job) => Follow::Running(Supersede { job: *job, typed: typed.to_owned() }),
            Progress::Said(said) => match said.text.strip_prefix(typed) {
                // A text that was typed to its end has no more to say.
                None | Some("") => Follow::Nothing,
                Some(rest) => Follow::Said(Said { text: rest.to_owned(), reason: said.reason }),
            },
            Progress::Preparing | Progress::Gone => Follow::Nothing,
        }
    }

    /// The engine has it now, and with it the end of the older one.
    pub(crate) fn runs(&mut self, job: JobId) {
        *self.completion.progress() = Progress::Running(job);
        self.older = None;
    }

    /// Remembers the text, if it came to an end of its own.
    pub(crate) fn ended(&mut self, text: &str, reason: FinishReason) {
        let is_whole = matches!(
            reason,
            FinishReason::Eos | FinishReason::Length | FinishReason::Stop { .. } | FinishReason::Rule { .. }
        );
        if is_whole {
            *self.completion.progress() = Progress::Said(Said { text: text.to_owned(), reason });
        }
        self.older = None;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // It never got as far as the engine, which would have ended the older one.
        if let Some(older) = self.older.take() {
            older.superseded.notify_one();
        }
        let is_remembered = matches!(*self.completion.progress(), Progress::Said(_));
        if is_remembered {
            return;
        }
        *self.completion.progress() = Progress::Gone;
        let mut table = self.documents.table();
        let document = self.completion.request.document.as_deref().unwrap_or_default();
        if table.newest.get(document).is_some_and(|it| Arc::ptr_eq(it, &self.completion)) {
            table.newest.remove(document);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn request(prefix: &str) -> CompleteParams {
        CompleteParams { document: Some("file:///a".to_owned()), ..CompleteParams::new(prefix) }
    }

    fn is_told_to_end(place: &Place<'_>) -> bool {
        let future = pin!(place.superseded());
        future.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    fn said(text: &str) -> Said {
        Said { text: text.to_owned(), reason: FinishReason::Eos }
    }

    #[test]
    fn without_a_document_there_is_no_place_to_take() {
        assert!(Documents::default().take(&CompleteParams::new("x")).is_none());
    }

    #[test]
    fn a_running_completion_is_left_to_the_engine_when_somebody_types_on() {
        let documents = Documents::default();
        let mut older = documents.take(&request("let x")).unwrap();
        older.runs(JobId(7));
        let mut newer = documents.take(&request("let x = 1")).unwrap();
        assert!(!is_told_to_end(&older));
        let supersede = Supersede { job: JobId(7), typed: " = 1".to_owned() };
        assert_eq!(newer.follow(), Follow::Running(supersede));
        newer.runs(JobId(8));
        drop(newer);
        assert!(!is_told_to_end(&older), "the engine has ended it");
    }

    #[test]
    fn one_that_gives_up_before_the_engine_has_it_still_ends_the_older_one() {
        let documents = Documents::default();
        let mut older = documents.take(&request("let x")).unwrap();
        older.runs(JobId(7));
        drop(documents.take(&request("let x = 1")).unwrap());
        assert!(is_told_to_end(&older));
    }

    #[test]
    fn one_that_is_of_no_use_is_told_to_end() {
        let no_use: [CompleteParams; 5] = [
            request("other"),
            CompleteParams { suffix: Some("}".to_owned()), ..request("let x = 1") },
            CompleteParams { max_tokens: 5, ..request("let x = 1") },
            CompleteParams { n: 2, ..request("let x = 1") },
            CompleteParams { return_tokens: true, ..request("let x = 1") },
        ];
        for newer in no_use {
            let documents = Documents::default();
            let mut older = documents.take(&request("let x")).unwrap();
            older.runs(JobId(7));
            let newer = documents.take(&newer).unwrap();
            assert!(is_told_to_end(&older));
            assert_eq!(newer.follow(), Follow::Nothing);
        }
        // Not in the engine yet.
        let documents = Documents::default();
        let older = documents.take(&request("let x")).unwrap();
        let _newer = documents.take(&request("let x = 1")).unwrap();
        assert!(is_told_to_end(&older));
    }

    #[test]
    fn a_text_that_has_ended_is_typed_through_key_by_key() {
        let documents = Documents::default();
        let mut place = documents.take(&request("let x")).unwrap();
        place.ended(" = 1;", FinishReason::Eos);
        drop(place);
        for (prefix, rest) in [("let x =", " 1;"), ("let x = ", "1;"), ("let x = 1", ";")] {
            let mut place = documents.take(&request(prefix)).unwrap();
            assert_eq!(place.follow(), Follow::Said(said(rest)));
            place.ended(rest, FinishReason::Eos);
        }
        // Typed to its end, or something else.
        assert_eq!(documents.take(&request("let x = 1;")).unwrap().follow(), Follow::Nothing);
    }

    #[test]
    fn a_text_that_was_cut_off_is_not_remembered() {
        let documents = Documents::default();
        for reason in [FinishReason::Cancelled, FinishReason::Superseded, FinishReason::Budget] {
            let mut place = documents.take(&request("let x")).unwrap();
            place.ended(" = 1;", reason);
            drop(place);
            assert_eq!(documents.take(&request("let x =")).unwrap().follow(), Follow::Nothing);
        }
        assert!(documents.table().newest.is_empty());
    }

    #[test]
    fn only_so_many_texts_of_so_many_bytes_are_remembered() {
        let documents = Documents::default();
        for idx in 0..3 * MAX_DOCUMENTS {
            let request = CompleteParams { document: Some(idx.to_string()), ..request("x") };
            documents.take(&request).unwrap().ended("y", FinishReason::Eos);
        }
        assert!(documents.table().newest.len() <= MAX_DOCUMENTS);
        let large = "x".repeat(MAX_BYTES / 4);
        for idx in 0..8 {
            let request = CompleteParams { document: Some(format!("large {idx}")), ..request(&large) };
            documents.take(&request).unwrap().ended("y", FinishReason::Eos);
        }
        assert!(documents.table().newest.values().map(|it| it.n_bytes()).sum::<usize>() <= MAX_BYTES);
        let newest = CompleteParams { document: Some((3 * MAX_DOCUMENTS - 1).to_string()), ..request("x") };
        assert_eq!(
            documents.take(&newest).unwrap().follow(),
            Follow::Nothing,
            "the large ones came after it"
        );
        let newest = CompleteParams { document: Some("large 7".to_owned()), ..request(&large) };
        assert_eq!(documents.take(&newest).unwrap().follow(), Follow::Said(said("y")));
    }
}
