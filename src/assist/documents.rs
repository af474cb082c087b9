//! The newest completion of each document, and what a newer completion can reuse of an older one: [`Documents`].
//!
//! An editor asks for a completion at every keystroke. If the text typed since is what the older completion suggested,
//! the newer one continues it: it takes over the sequence in the engine while that runs, or the finished text.
//! Otherwise the older one is superseded. In the same way it continues one that was begun ahead, for text that had not
//! been typed yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runabout_engine::{Finish, FinishReason, JobId, Likelihood, Supersede};
use tokio::sync::Notify;

use crate::completion::Completion;

/// The number of documents whose last finished completion is kept.
const MAX_DOCUMENTS: usize = 64;
/// The limit for the kept requests and texts, in bytes.
const MAX_BYTES: usize = 16 << 20;

/// The newest completions of one client, by document.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    newest: HashMap<String, Arc<Entry>>,
    /// What will probably be asked for next.
    ahead: HashMap<String, Arc<Entry>>,
    n_registered: u64,
}

/// One completion of a document.
#[derive(Debug)]
struct Entry {
    request: Completion,
    /// Increases with each completion.
    order: u64,
    superseded: Notify,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
enum Progress {
    /// The engine does not have it yet.
    Preparing,
    Running(JobId),
    /// It ended on its own.
    Finished(FinishedText),
    /// It ended early, so a newer completion cannot use it.
    Discarded,
}

/// The whole text of a completion that ended on its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FinishedText {
    pub(crate) text: String,
    pub(crate) likelihood: Likelihood,
    pub(crate) reason: FinishReason,
    /// What its prompt left out; see [`Usage::left_out_tokens`](runabout_engine::Usage::left_out_tokens).
    pub(crate) n_left_out: usize,
}

/// What a newer completion continues.
#[derive(Debug, PartialEq)]
pub(crate) enum Continued {
    /// A running completion. The engine decides whether it can be continued, and ends it in any case.
    Running(Supersede),
    /// The rest of a finished text: nothing is left to compute. Since its beginning was offered, it is not withheld.
    Finished(FinishedText),
    Nothing,
}

/// Marks a completion as the newest of its document, until it is dropped or superseded.
#[derive(Debug)]
pub(crate) struct Newest {
    documents: Arc<Documents>,
    entry: Arc<Entry>,
    /// The previous completion, until it is clear whether this one continues it.
    older: Option<Arc<Entry>>,
}

impl Documents {
    /// Registers a completion as the newest of its document, if it names one. An older one that it cannot continue is
    /// superseded.
    pub(crate) fn register(self: &Arc<Self>, request: &Completion) -> Option<Newest> {
        let document = request.document.clone()?;
        let mut table = self.table();
        let entry = table.new_entry(request);
        let ahead = table.take_ahead(&document, request);
        let older = table.newest.insert(document, Arc::clone(&entry));
        table.forget_oldest();
        let mut of_use = ahead;
        if let Some(older) = older {
            if of_use.is_none() && older.is_of_use(request) {
                of_use = Some(older);
            } else {
                older.superseded.notify_one();
            }
        }
        Some(Newest { documents: Arc::clone(self), entry, older: of_use })
    }

    /// Registers a completion that will probably be asked for next, in place of an earlier one of this kind.
    pub(crate) fn register_ahead(self: &Arc<Self>, request: &Completion) -> Option<Newest> {
        let document = request.document.clone()?;
        let mut table = self.table();
        let entry = table.new_entry(request);
        if let Some(older) = table.ahead.insert(document, Arc::clone(&entry)) {
            older.superseded.notify_one();
        }
        table.forget_oldest();
        Some(Newest { documents: Arc::clone(self), entry, older: None })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No code can panic in the middle of a change to the table.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn new_entry(&mut self, request: &Completion) -> Arc<Entry> {
        self.n_registered += 1;
        Arc::new(Entry {
            request: request.clone(),
            order: self.n_registered,
            superseded: Notify::new(),
            progress: Mutex::new(Progress::Preparing),
        })
    }

    /// The completion begun ahead, if `request` continues it. If `request` shows that it will not be asked for, it is
    /// superseded.
    fn take_ahead(&mut self, document: &str, request: &Completion) -> Option<Arc<Entry>> {
        let ahead = self.ahead.get(document)?;
        if ahead.is_of_use(request) {
            return self.ahead.remove(document);
        }
        if typed_between(request, &ahead.request).is_none() {
            ahead.superseded.notify_one();
            self.ahead.remove(document);
        }
        None
    }

    /// Removes finished texts beyond the limits; running completions stay.
    fn forget_oldest(&mut self) {
        while self.newest.len().max(self.ahead.len()) > MAX_DOCUMENTS
            || self.entries().map(|(_, it)| it.n_bytes()).sum::<usize>() > MAX_BYTES
        {
            let finished = self.entries().filter(|(_, it)| matches!(*it.progress(), Progress::Finished(_)));
            let oldest = finished.min_by_key(|(_, it)| it.order);
            let Some((document, entry)) = oldest.map(|(document, it)| (document.clone(), Arc::clone(it)))
            else {
                return;
            };
            self.remove(&document, &entry);
        }
    }

    fn entries(&self) -> impl Iterator<Item = (&String, &Arc<Entry>)> {
        self.newest.iter().chain(&self.ahead)
    }

    fn remove(&mut self, document: &str, entry: &Arc<Entry>) {
        for table in [&mut self.newest, &mut self.ahead] {
            if table.get(document).is_some_and(|it| Arc::ptr_eq(it, entry)) {
                table.remove(document);
            }
        }
    }
}

/// The text typed between a request and a newer one, if nothing else has changed.
fn typed_between<'a>(older: &Completion, newer: &'a Completion) -> Option<&'a str> {
    let typed = newer.prefix.strip_prefix(&older.prefix)?;
    let mut as_older = newer.clone();
    as_older.prefix.clone_from(&older.prefix);
    as_older.generation.time_budget = older.generation.time_budget;
    as_older.generation.priority = older.generation.priority;
    (as_older == *older).then_some(typed)
}

impl Entry {
    /// The text typed between this request and a newer one, if nothing else has changed.
    fn typed_since<'a>(&self, newer: &'a Completion) -> Option<&'a str> {
        // A continued completion has no tokens or probabilities for the part after the typed text, and a format would
        // hold for that part.
        let generation = &newer.generation;
        let is_plain = newer.n_choices == 1
            && generation.top_logprobs.is_none()
            && generation.format.is_none()
            && !newer.needs_tokens;
        typed_between(&self.request, newer).filter(|_| is_plain)
    }

    /// Whether `newer` may be able to continue it.
    fn is_of_use(&self, newer: &Completion) -> bool {
        self.typed_since(newer).is_some() && !matches!(*self.progress(), Progress::Preparing)
    }

    /// The size of its texts in bytes.
    fn n_bytes(&self) -> usize {
        let finished = match &*self.progress() {
            Progress::Finished(finished) => finished.text.len() + finished.likelihood.n_bytes(),
            Progress::Preparing | Progress::Running(_) | Progress::Discarded => 0,
        };
        self.request.n_bytes() + finished
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Newest {
    /// Resolves when this completion is superseded by one that does not continue it.
    pub(crate) async fn superseded(&self) {
        self.entry.superseded.notified().await;
    }

    /// What this completion can continue. Afterwards [`Newest::started`] or [`Newest::ended`] must be called.
    pub(crate) fn continued(&self) -> Continued {
        let Some(older) = &self.older else { return Continued::Nothing };
        let Some(typed) = older.typed_since(&self.entry.request) else { return Continued::Nothing };
        match &*older.progress() {
            Progress::Running(job) => Continued::Running(Supersede { job: *job, typed: typed.to_owned() }),
            Progress::Finished(finished) => match finished.text.strip_prefix(typed) {
                // If the whole text has been typed, nothing is left to suggest.
                None | Some("") => Continued::Nothing,
                // Asked for again; by now there may be time for the whole prompt.
                Some(_) if typed.is_empty() && finished.n_left_out > 0 => Continued::Nothing,
                Some(rest) => Continued::Finished(FinishedText {
                    text: rest.to_owned(),
                    likelihood: finished.likelihood.after(typed, rest),
                    reason: finished.reason,
                    n_left_out: finished.n_left_out,
                }),
            },
            Progress::Preparing | Progress::Discarded => Continued::Nothing,
        }
    }

    /// Records that the engine has this completion. The engine ends the older one.
    pub(crate) fn started(&mut self, job: JobId) {
        *self.entry.progress() = Progress::Running(job);
        self.older = None;
    }

    /// Keeps the text if it ended on its own and was not withheld.
    pub(crate) fn ended(&mut self, finish: &Finish) {
        let is_whole = matches!(
            finish.reason,
            FinishReason::Eos | FinishReason::Length | FinishReason::Stop { .. } | FinishReason::Rule { .. }
        );
        if is_whole {
            *self.entry.progress() = Progress::Finished(FinishedText {
                text: finish.text.clone(),
                likelihood: finish.likelihood.clone(),
                reason: finish.reason,
                n_left_out: finish.usage.left_out_tokens,
            });
        }
        self.older = None;
    }
}

impl Drop for Newest {
    fn drop(&mut self) {
        // It never reached the engine, so the engine did not end the older one.
        if let Some(older) = self.older.take() {
            older.superseded.notify_one();
        }
        let is_remembered = matches!(*self.entry.progress(), Progress::Finished(_));
        if is_remembered {
            return;
        }
        *self.entry.progress() = Progress::Discarded;
        let document = self.entry.request.document.as_deref().unwrap_or_default();
        self.documents.table().remove(document, &self.entry);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use runabout_engine::{Priority, Timing, Usage};

    use super::*;
    use crate::completion::{AtCursor, Form};
    use crate::generation::Generation;

    fn request(prefix: &str) -> Completion {
        Completion {
            prefix: prefix.to_owned(),
            form: Form::AtCursor(AtCursor::default()),
            path: None,
            document: Some("file:///a".to_owned()),
            n_choices: 1,
            generation: Generation::of(128, Priority::Interactive),
            min_confidence: 0.0,
            needs_tokens: false,
        }
    }

    fn documents() -> Arc<Documents> {
        Arc::default()
    }

    fn is_told_to_end(newest: &Newest) -> bool {
        let future = pin!(newest.superseded());
        future.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    fn finished(text: &str) -> Continued {
        let (likelihood, reason) = (Likelihood::default(), FinishReason::Eos);
        Continued::Finished(FinishedText { text: text.to_owned(), likelihood, reason, n_left_out: 0 })
    }

    fn finish(text: &str, reason: FinishReason) -> Finish {
        Finish {
            reason,
            text: text.to_owned(),
            likelihood: Likelihood::default(),
            tokens: Vec::new(),
            logprobs: Vec::new(),
            usage: Usage::default(),
            is_incomplete: false,
            timing: Timing::default(),
        }
    }

    #[test]
    fn a_completion_that_names_no_document_is_not_registered() {
        assert!(documents().register(&Completion { document: None, ..request("x") }).is_none());
    }

    #[test]
    fn a_running_completion_is_left_to_the_engine_while_its_text_is_typed() {
        let documents = documents();
        let mut older = documents.register(&request("let x")).unwrap();
        older.started(JobId(7));
        let mut newer = documents.register(&request("let x = 1")).unwrap();
        assert!(!is_told_to_end(&older));
        let supersede = Supersede { job: JobId(7), typed: " = 1".to_owned() };
        assert_eq!(newer.continued(), Continued::Running(supersede));
        newer.started(JobId(8));
        drop(newer);
        assert!(!is_told_to_end(&older), "the engine has ended it");
    }

    #[test]
    fn a_completion_dropped_before_the_engine_has_it_still_supersedes_the_older_one() {
        let documents = documents();
        let mut older = documents.register(&request("let x")).unwrap();
        older.started(JobId(7));
        drop(documents.register(&request("let x = 1")).unwrap());
        assert!(is_told_to_end(&older));
    }

    #[test]
    fn a_completion_that_cannot_be_continued_is_superseded() {
        let suffix = AtCursor { suffix: Some("}".to_owned()), ..AtCursor::default() };
        let no_use: [Completion; 6] = [
            request("other"),
            Completion { form: Form::AtCursor(suffix), ..request("let x = 1") },
            Completion { generation: Generation::of(5, Priority::Interactive), ..request("let x = 1") },
            Completion { n_choices: 2, ..request("let x = 1") },
            Completion { needs_tokens: true, ..request("let x = 1") },
            Completion { min_confidence: 0.5, ..request("let x = 1") },
        ];
        for newer in no_use {
            let documents = documents();
            let mut older = documents.register(&request("let x")).unwrap();
            older.started(JobId(7));
            let newer = documents.register(&newer).unwrap();
            assert!(is_told_to_end(&older));
            assert_eq!(newer.continued(), Continued::Nothing);
        }
        // Not in the engine yet.
        let documents = documents();
        let older = documents.register(&request("let x")).unwrap();
        let _newer = documents.register(&request("let x = 1")).unwrap();
        assert!(is_told_to_end(&older));
    }

    #[test]
    fn a_finished_text_is_continued_key_by_key() {
        let documents = documents();
        let mut newest = documents.register(&request("let x")).unwrap();
        newest.ended(&finish(" = 1;", FinishReason::Eos));
        drop(newest);
        for (prefix, rest) in [("let x =", " 1;"), ("let x = ", "1;"), ("let x = 1", ";")] {
            let mut newest = documents.register(&request(prefix)).unwrap();
            assert_eq!(newest.continued(), finished(rest));
            newest.ended(&finish(rest, FinishReason::Eos));
        }
        // Typed completely, or something else typed.
        assert_eq!(documents.register(&request("let x = 1;")).unwrap().continued(), Continued::Nothing);
    }

    #[test]
    fn a_text_of_a_near_prompt_is_continued_when_it_is_typed_but_not_when_it_is_asked_for_again() {
        let documents = documents();
        let mut near = finish(" = 1;", FinishReason::Eos);
        near.usage.left_out_tokens = 9;
        documents.register(&request("let x")).unwrap().ended(&near);
        assert_eq!(documents.register(&request("let x")).unwrap().continued(), Continued::Nothing);
        documents.register(&request("let x")).unwrap().ended(&near);
        let Continued::Finished(rest) = documents.register(&request("let x =")).unwrap().continued() else {
            panic!("the rest is known");
        };
        assert_eq!((rest.text.as_str(), rest.n_left_out), (" 1;", 9));
    }

    #[test]
    fn what_was_begun_ahead_is_continued_when_it_is_asked_for() {
        let documents = documents();
        let mut newest = documents.register(&request("let x")).unwrap();
        newest.ended(&finish(" = 1;", FinishReason::Eos));
        drop(newest);
        let mut background = request("let x = 1;");
        background.generation.priority = Priority::Background;
        let mut ahead = documents.register_ahead(&background).unwrap();
        assert_eq!(ahead.continued(), Continued::Nothing);
        ahead.started(JobId(7));
        let mut newest = documents.register(&request("let x = ")).unwrap();
        assert!(!is_told_to_end(&ahead), "it may still be asked for");
        assert_eq!(newest.continued(), finished("1;"));
        newest.ended(&finish("1;", FinishReason::Eos));
        drop(newest);
        let mut newest = documents.register(&request("let x = 1;")).unwrap();
        let supersede = Supersede { job: JobId(7), typed: String::new() };
        assert_eq!(newest.continued(), Continued::Running(supersede));
        newest.started(JobId(8));
        assert!(documents.table().ahead.is_empty());
    }

    #[test]
    fn what_was_begun_ahead_and_finished_is_kept_until_it_is_asked_for() {
        let documents = documents();
        documents
            .register_ahead(&request("let x = 1;"))
            .unwrap()
            .ended(&finish("\nlet y", FinishReason::Eos));
        let newest = documents.register(&request("let x = 1;\n")).unwrap();
        assert_eq!(newest.continued(), finished("let y"));
    }

    #[test]
    fn what_was_begun_ahead_ends_when_something_else_is_typed() {
        let documents = documents();
        let ahead = documents.register_ahead(&request("let x = 1;")).unwrap();
        let _newest = documents.register(&request("let y")).unwrap();
        assert!(is_told_to_end(&ahead));
        assert!(documents.table().ahead.is_empty());
        let ahead = documents.register_ahead(&request("let y = 1;")).unwrap();
        let _newer = documents.register_ahead(&request("let y = 2;")).unwrap();
        assert!(is_told_to_end(&ahead), "only the latest is kept");
        drop(ahead);
        assert_eq!(documents.table().ahead.len(), 1);
    }

    #[test]
    fn a_text_that_was_cut_off_is_not_kept() {
        let documents = documents();
        for reason in [
            FinishReason::Cancelled,
            FinishReason::Superseded,
            FinishReason::Budget,
            FinishReason::LowConfidence,
        ] {
            let mut newest = documents.register(&request("let x")).unwrap();
            newest.ended(&finish(" = 1;", reason));
            drop(newest);
            assert_eq!(documents.register(&request("let x =")).unwrap().continued(), Continued::Nothing);
        }
        assert!(documents.table().newest.is_empty());
    }

    #[test]
    fn the_number_and_size_of_kept_texts_are_limited() {
        let documents = documents();
        for idx in 0..3 * MAX_DOCUMENTS {
            let request = Completion { document: Some(idx.to_string()), ..request("x") };
            documents.register(&request).unwrap().ended(&finish("y", FinishReason::Eos));
        }
        assert!(documents.table().newest.len() <= MAX_DOCUMENTS);
        let large = "x".repeat(MAX_BYTES / 4);
        for idx in 0..8 {
            let request = Completion { document: Some(format!("large {idx}")), ..request(&large) };
            documents.register(&request).unwrap().ended(&finish("y", FinishReason::Eos));
        }
        assert!(documents.table().newest.values().map(|it| it.n_bytes()).sum::<usize>() <= MAX_BYTES);
        let newest = Completion { document: Some((3 * MAX_DOCUMENTS - 1).to_string()), ..request("x") };
        assert_eq!(
            documents.register(&newest).unwrap().continued(),
            Continued::Nothing,
            "the large ones came after it"
        );
        let newest = Completion { document: Some("large 7".to_owned()), ..request(&large) };
        assert_eq!(documents.register(&newest).unwrap().continued(), finished("y"));
    }
}
