//! The engine's handle and its thread.
//!
//! [`Engine::spawn`] starts the one thread that loads the model, owns it, and drops it; the model never
//! leaves it. The handle is cheap to clone and never blocks on the model: it leaves things in the inbox and
//! reads what the thread publishes. If the thread dies, every job, pending or to come, is told so.

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

/// One model on its thread. When the last clone is dropped the engine shuts down.
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
    /// Starts the thread and returns at once; `load` runs on it, and may report how far it is. Fails only if
    /// the system has no thread to give.
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

    /// Takes a job, while the model loads too. Whatever becomes of it, refusal included, is told on its own
    /// channel.
    pub fn submit(&self, job: Job) -> JobId {
        self.handle.inbox.submit(job, self.handle.clock.as_ref())
    }

    /// Ends a job with what it has: at once if it was not taken up yet, else before the next step. Its end is
    /// told on its own channel; a job that has ended already is left alone.
    pub fn cancel(&self, id: JobId, reason: CancelReason) {
        self.handle.inbox.cancel(id, reason, self.handle.clock.as_ref());
    }

    pub fn state(&self) -> State {
        self.handle.state.borrow().clone()
    }

    /// For waiting on changes. The channel closes when the thread has ended and the model is gone.
    pub fn watch_state(&self) -> watch::Receiver<State> {
        self.handle.state.clone()
    }

    /// For waiting on the moment when memory gets short; see [`Status::memory_is_short`].
    pub fn watch_memory(&self) -> watch::Receiver<bool> {
        self.handle.memory_is_short.clone()
    }

    pub fn status(&self) -> Status {
        let mut status = *self.handle.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.n_waiting = self.handle.inbox.n_waiting();
        status
    }

    /// Ends all work: running jobs as cancelled with what they have, waiting and later ones as
    /// [`JobError::ShuttingDown`]. Returns at once; see [`Engine::stopped`].
    pub fn shutdown(&self) {
        self.handle.inbox.close(JobError::ShuttingDown);
    }

    /// Resolves when the thread has ended and the model is gone. A model that is still loading is loaded
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

/// The thread's side of what it shares with the handle.
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
        // Nothing that a panic may have left half done is looked at again: not the loader, and of the stepper
        // only the jobs, which get their last answer.
        let loaded = match catch_unwind(AssertUnwindSafe(|| load(&mut report))) {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(error)) => return self.fail(error.into()),
            // Nothing has run on the model yet: the files are to blame, and the process stays to say so.
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
        // The model goes before the state's channel closes, so that `stopped` can be relied on. A destructor
        // that panics has nobody left to harm.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(stepper)));
    }

    fn fail(&self, error: JobError) {
        tracing::error!(%error, "there is no model to work with");
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
