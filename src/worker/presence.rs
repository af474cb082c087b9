//! Who is connected: [`Presence`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::front_end::FrontEnd;

/// The clients of a process that are connected, in the order in which they came.
#[derive(Debug)]
pub(crate) struct Presence {
    present: Mutex<Vec<Present>>,
    n_present: watch::Sender<usize>,
}

/// A connected client.
#[derive(Clone, Debug)]
pub(crate) struct Present {
    pub(crate) front: Arc<FrontEnd>,
    pub(crate) since: Instant,
}

/// Counts a client as present until this is dropped.
#[derive(Debug)]
pub(crate) struct Stay {
    presence: Arc<Presence>,
    front: Arc<FrontEnd>,
}

impl Presence {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { present: Mutex::default(), n_present: watch::Sender::new(0) })
    }

    /// Enters a client.
    pub(crate) fn enter(self: &Arc<Self>, front: Arc<FrontEnd>) -> Stay {
        let mut present = self.lock();
        present.push(Present { front: Arc::clone(&front), since: Instant::now() });
        self.n_present.send_replace(present.len());
        Stay { presence: Arc::clone(self), front }
    }

    pub(crate) fn all(&self) -> Vec<Present> {
        self.lock().clone()
    }

    /// The number of clients that are present, as a value that can be waited for.
    pub(crate) fn watch(&self) -> watch::Receiver<usize> {
        self.n_present.subscribe()
    }

    /// A panic under the lock leaves the list consistent.
    fn lock(&self) -> MutexGuard<'_, Vec<Present>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut present = self.presence.lock();
        present.retain(|it| !Arc::ptr_eq(&it.front, &self.front));
        self.presence.n_present.send_replace(present.len());
    }
}
