//! The engine's handle ([`Engine`]) and its thread.
//!
//! [`Engine::spawn`] starts the one thread that loads the model, owns it, and drops it. The handle is cheap to clone and
//! never blocks on the model: it puts jobs and cancels into the inbox and reads what the thread publishes. If the
//! thread dies, every pending and later job fails with an error that says so.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use tokio::sync::watch;

use crate::{
    clock::Clock,
    inbox::Inbox,
    job::{CancelReason, Job, JobError, JobId},
    loading::{LoadError, LoadProgress, LoadStage, Loaded},
    options::EngineOptions,
    status::{State, Status},
    stepper::Stepper,
};

/// A handle to one model on its thread. The engine shuts down when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Engine {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    inbox: Arc<Inbox>,
    status: Arc<Mutex<Status>>,
    state: watch::Receiver<State>,
    memory_is_short: watch::Receiver<bool>,
    clock: Arc<dyn Clock>,
}

impl Engine {
    /// Starts the thread and returns immediately. `load` runs on that thread and may report its progress. Fails only if
    /// the system cannot start a thread.
    pub fn spawn<L>(options: EngineOptions, load: L) -> std::io::Result<Self>
    where
        L: FnOnce(&mut dyn FnMut(LoadProgress)) -> Result<Loaded, LoadError> + Send + 'static,
    {
        let inbox = Arc::new(Inbox::new(options.max_queued.max(1)));
        let status = Arc::<Mutex<Status>>::default();
        let (publish_state, state) =
            watch::channel(State::Loading(LoadProgress { stage: LoadStage::Load, done: 0, total: 0 }));
        let clock = Arc::clone(&options.clock);
        let (publish_memory, memory_is_short) = watch::channel(false);
        let thread = EngineThread {
            inbox: Arc::clone(&inbox),
            status: Arc::clone(&status),
            state: publish_state,
            memory_is_short: publish_memory,
        };
        thread::Builder::new().name("engine".to_owned()).spawn(move || thread.run(options, load))?;
        Ok(Self { handle: Arc::new(Handle { inbox, status, state, memory_is_short, clock }) })
    }

    /// Submits a job, even while the model is loading. All its events, including a refusal, are sent on its own
    /// channel.
    pub fn submit(&self, job: Job) -> JobId {
        self.handle.inbox.submit(job, self.handle.clock.as_ref())
    }

    /// Ends a job with the text it has: immediately if the thread has not taken it yet, else before the next step. The
    /// end is sent on the job's channel. Does nothing if the job has already ended.
    pub fn cancel(&self, id: JobId, reason: CancelReason) {
        self.handle.inbox.cancel(id, reason, self.handle.clock.as_ref());
    }

    /// Whether the model is loading, ready or failed.
    pub fn state(&self) -> State {
        self.handle.state.borrow().clone()
    }

    /// Watches the state. The channel closes when the thread has ended and the model is dropped.
    pub fn watch_state(&self) -> watch::Receiver<State> {
        self.handle.state.clone()
    }

    /// Watches [`Status::memory_is_short`].
    pub fn watch_memory(&self) -> watch::Receiver<bool> {
        self.handle.memory_is_short.clone()
    }

    /// How busy the engine is.
    pub fn status(&self) -> Status {
        let mut status = *self.handle.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.n_waiting = self.handle.inbox.n_waiting();
        status
    }

    /// Ends all work: running jobs as cancelled with the text they have, waiting and later ones with
    /// [`JobError::ShuttingDown`]. Returns immediately; see [`Engine::stopped`].
    pub fn shutdown(&self) {
        self.handle.inbox.close(JobError::ShuttingDown);
    }

    /// Resolves when the thread has ended and the model has been dropped. If the model is still loading, that finishes
    /// first.
    pub async fn stopped(&self) {
        let mut state = self.handle.state.clone();
        while state.changed().await.is_ok() {}
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inbox.close(JobError::ShuttingDown);
    }
}

/// What the thread shares with the handle.
struct EngineThread {
    inbox: Arc<Inbox>,
    status: Arc<Mutex<Status>>,
    state: watch::Sender<State>,
    memory_is_short: watch::Sender<bool>,
}

impl EngineThread {
    fn run<L>(self, options: EngineOptions, load: L)
    where
        L: FnOnce(&mut dyn FnMut(LoadProgress)) -> Result<Loaded, LoadError>,
    {
        let mut report = |progress| {
            self.state.send_replace(State::Loading(progress));
        };
        // After a panic, nothing is used that it may have left inconsistent: not the loader, and of the stepper only
        // the jobs, which are answered with an error.
        let loaded = match catch_unwind(AssertUnwindSafe(|| load(&mut report))) {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(error)) => return self.fail(error.into()),
            // Nothing has run on the model yet, so the files are the cause. The process keeps running and reports it.
            Err(panic) => {
                let message = format!("loading ended in a panic: {}", panic_message(panic.as_ref()));
                return self.fail(JobError::LoadFailed { message });
            }
        };
        let mut stepper = Stepper::new(loaded, options);
        self.state.send_replace(State::Ready(stepper.description().clone()));
        let publish = |status: Status| {
            self.memory_is_short.send_if_modified(|it| std::mem::replace(it, status.memory_is_short) != *it);
            *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| stepper.run(&self.inbox, publish))) {
            let error = died(panic.as_ref());
            self.fail(error.clone());
            stepper.fail_all(&error);
        }
        // The model is dropped before the state's channel closes, as `stopped` promises. If its destructor panics, no
        // job is left to be affected.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(stepper)));
    }

    fn fail(&self, error: JobError) {
        tracing::error!(%error, "the engine has no model");
        self.state.send_replace(State::Failed(error.clone()));
        self.inbox.close(error);
    }
}

fn died(panic: &(dyn Any + Send)) -> JobError {
    JobError::EngineDied { message: panic_message(panic) }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
