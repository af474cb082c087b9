//! One client's connection as a language server: its documents, its settings and what was offered to it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use runabout_assist::{JobError, Outcome, State};
use runabout_context::{Kinds, Project};
use runabout_rpc::{Handle, RequestContext};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use super::agreement::Agreement;
use super::documents::Documents;
use super::offers::Offers;
use super::report::{NextEditReport, OutcomeKind, Report};
use super::rhythm::Rhythm;
use super::settings::Settings;
use super::window::WindowSize;
use super::workspace::Workspace;
use crate::client::Client;

/// How long requests wait for the client's settings, which it may never send.
const SETTINGS: Duration = Duration::from_secs(1);

/// The name of the notification about an inline completion.
const COMPLETION: &str = "runabout/completion";

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) connection: Handle,
    agreement: OnceLock<Agreement>,
    /// Whether the client has said `initialized`: before that, it may be sent nothing but answers.
    is_initialized: watch::Sender<bool>,
    documents: Mutex<Documents>,
    /// The URI of the document that was opened, changed or looked at last.
    changes: watch::Sender<String>,
    workspace: Mutex<Workspace>,
    project: Mutex<Project>,
    settings: Mutex<Arc<Settings>>,
    /// Whether the client is being asked for its settings for the first time.
    is_asking_settings: watch::Sender<bool>,
    /// Held by the request that waits for the settings, in the order of arrival.
    waiting_for_settings: tokio::sync::Mutex<()>,
    offers: Mutex<Offers>,
    rhythm: Mutex<Rhythm>,
    window_size: Mutex<WindowSize>,
    last_report: Mutex<Option<Report>>,
    last_next_edit: Mutex<Option<NextEditReport>>,
    warnings: Mutex<HashSet<String>>,
    /// The number of times that the settings were asked for.
    n_configuration_asked: AtomicU64,
    /// Whether the client numbers the kinds of triggers from 0, as before LSP 3.18.
    counts_from_zero: AtomicBool,
}

impl Session {
    pub(super) fn new(client: Client, connection: Handle) -> Self {
        let offers = Offers::new(Arc::clone(&client.suggestions));
        Self {
            client,
            connection,
            agreement: OnceLock::new(),
            is_initialized: watch::Sender::new(false),
            documents: Mutex::default(),
            changes: watch::Sender::default(),
            workspace: Mutex::default(),
            project: Mutex::new(Project::new(Vec::new(), Kinds::default())),
            settings: Mutex::default(),
            is_asking_settings: watch::Sender::new(false),
            waiting_for_settings: tokio::sync::Mutex::default(),
            offers: Mutex::new(offers),
            rhythm: Mutex::default(),
            window_size: Mutex::default(),
            last_report: Mutex::default(),
            last_next_edit: Mutex::default(),
            warnings: Mutex::default(),
            n_configuration_asked: AtomicU64::new(0),
            counts_from_zero: AtomicBool::new(false),
        }
    }

    /// Records what was agreed on; `false` if that had been done before.
    pub(super) fn agree(&self, agreement: Agreement) -> bool {
        self.agreement.set(agreement).is_ok()
    }

    /// What was agreed on; `None` before `initialize`.
    pub(super) fn agreement(&self) -> Option<&Agreement> {
        self.agreement.get()
    }

    pub(super) fn set_initialized(&self) {
        self.is_initialized.send_replace(true);
    }

    /// Waits until the client may be sent notifications and requests.
    pub(super) async fn initialized(&self) {
        // Cannot fail: the session holds the sender.
        let _ = self.is_initialized.subscribe().wait_for(|it| *it).await;
    }

    pub(super) fn set_asking_settings(&self, is_asking: bool) {
        self.is_asking_settings.send_replace(is_asking);
    }

    /// Waits until the client's settings are in effect, if it is being asked for them for the first time. A model that
    /// other clients have loaded already is ready before the settings are known. Requests keep their order, each until its
    /// next `.await`: otherwise an older one could supersede a newer one.
    pub(super) async fn settings_known(&self) {
        let _in_order = self.waiting_for_settings.lock().await;
        if *self.is_asking_settings.borrow() {
            let mut is_asking = self.is_asking_settings.subscribe();
            if timeout(SETTINGS, is_asking.wait_for(|it| !it)).await.is_err() {
                self.set_asking_settings(false);
            }
        }
    }

    /// Resolves when the engine has died.
    pub(super) async fn engine_died(&self) {
        let mut state = self.client.app.model().engine().watch_state();
        let died = |it: &State| matches!(it, State::Failed(JobError::EngineDied { .. }));
        let is_gone = state.wait_for(died).await.is_err();
        if is_gone {
            // The model could not be loaded, so there is nothing that could die.
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn documents(&self) -> MutexGuard<'_, Documents> {
        lock(&self.documents)
    }

    /// Records that a document was opened, changed or looked at.
    pub(super) fn touched(&self, uri: String) {
        self.changes.send_replace(uri);
    }

    /// Records that there is news about a document, if it is the one that was touched last.
    pub(super) fn has_news(&self, uri: &str) {
        self.changes.send_if_modified(|it| it == uri);
    }

    /// Sees the URI of each document that is touched.
    pub(super) fn watch_changes(&self) -> watch::Receiver<String> {
        self.changes.subscribe()
    }

    pub(super) fn workspace(&self) -> MutexGuard<'_, Workspace> {
        lock(&self.workspace)
    }

    /// The documents with what they import. To hold both locks, take that of [`documents`](Self::documents) first.
    pub(super) fn project(&self) -> MutexGuard<'_, Project> {
        lock(&self.project)
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&lock(&self.settings))
    }

    /// The number under which the settings are asked for now.
    pub(super) fn next_configuration(&self) -> u64 {
        self.n_configuration_asked.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether the settings were not asked for again after this number, so that its answer counts.
    pub(super) fn is_latest_configuration(&self, number: u64) -> bool {
        self.n_configuration_asked.load(Ordering::Relaxed) == number
    }

    pub(super) fn set_settings(&self, settings: Settings) {
        self.offers().is_off = !settings.statistics;
        *lock(&self.settings) = Arc::new(settings);
    }

    /// Whether this warning was not given before.
    pub(super) fn is_new_warning(&self, warning: &str) -> bool {
        lock(&self.warnings).insert(warning.to_owned())
    }

    pub(super) fn offers(&self) -> MutexGuard<'_, Offers> {
        lock(&self.offers)
    }

    pub(super) fn rhythm(&self) -> MutexGuard<'_, Rhythm> {
        lock(&self.rhythm)
    }

    /// How much of a document the model is given.
    pub(super) fn window_size(&self) -> WindowSize {
        *lock(&self.window_size)
    }

    /// Adapts that to the speed with which this prompt was computed.
    pub(super) fn computed_prompt(&self, outcome: &Outcome) {
        if let Some(finish) = outcome.finishes.first() {
            let n_computed = finish.usage.prompt_tokens.saturating_sub(finish.usage.cached_tokens);
            let mut size = lock(&self.window_size);
            *size = size.adapted(n_computed, finish.timing.prefill);
        }
    }

    /// Whether a completion with this kind of trigger was asked for by the person. Once a client has sent 0, it is one
    /// of those that count from there.
    pub(super) fn is_invoked(&self, trigger_kind: &Value) -> bool {
        match trigger_kind.as_f64() {
            Some(0.0) => {
                self.counts_from_zero.store(true, Ordering::Relaxed);
                true
            }
            Some(1.0) => !self.counts_from_zero.load(Ordering::Relaxed),
            _ => false,
        }
    }

    /// Tells the client what became of its inline completion, if it wants to know, and remembers it.
    pub(super) async fn report(&self, request: &RequestContext, report: Report) {
        if report.outcome == OutcomeKind::Nothing {
            tracing::debug!(reason = ?report.reason, message = report.message, "nothing is offered");
        }
        if self.agreement().is_some_and(|it| it.wants_notifications) {
            // Fails when the connection has ended.
            let _ = request.notify(COMPLETION, &report).await;
        }
        *lock(&self.last_report) = Some(report);
    }

    pub(super) fn last_report(&self) -> Option<Report> {
        lock(&self.last_report).clone()
    }

    /// Remembers what became of a request for the next edit.
    pub(super) fn set_next_edit(&self, report: NextEditReport) {
        *lock(&self.last_next_edit) = Some(report);
    }

    pub(super) fn last_next_edit(&self) -> Option<NextEditReport> {
        lock(&self.last_next_edit).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code can panic in the middle of a change to what the mutexes here hold.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
