//! What the program holds of a connection: to speak to the client unasked, to cancel, to stop.
//!
//! A [`Handle`] outlives its connection; after the end everything it does is refused or without effect.

use std::sync::{Arc, Mutex, PoisonError};

use jsonrpsee::Extensions;
use jsonrpsee::types::ErrorObjectOwned;
use serde::Serialize;
use tokio::sync::watch;

use crate::id::RequestId;
use crate::in_flight::{CancelledBy, Entry, InFlight, Ticket};
use crate::outbound::{self, NotifyError, Outbound};

/// A connection, seen by the program that serves it. Clones share it.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    out: Outbound,
    in_flight: InFlight,
    stopped: watch::Sender<bool>,
    refusal: Mutex<Option<ErrorObjectOwned>>,
}

impl Handle {
    pub(crate) fn new(out: Outbound) -> Self {
        Self(Arc::new(Shared {
            out,
            in_flight: InFlight::default(),
            stopped: watch::Sender::new(false),
            refusal: Mutex::default(),
        }))
    }

    /// Sends a notification and waits until the queue has room. `params` serialize to an object or an array.
    /// Before the client's first message nothing is written: what is sent then waits in the queue.
    pub async fn notify(&self, method: &str, params: &impl Serialize) -> Result<(), NotifyError> {
        Ok(self.0.out.send(outbound::notification(method, params)?).await?)
    }

    /// Sends a notification if the queue has room: for news that lose their worth, such as progress.
    pub fn try_notify(&self, method: &str, params: &impl Serialize) -> Result<(), NotifyError> {
        self.0.out.try_send(outbound::notification(method, params)?)
    }

    /// The requests that are being answered.
    pub fn in_flight(&self) -> &InFlight {
        &self.0.in_flight
    }

    /// Answers every request read from now on with `error`; those in flight go on.
    pub fn refuse_requests(&self, error: ErrorObjectOwned) {
        *self.0.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Ends the connection as if input had ended.
    pub fn stop(&self) {
        self.0.stopped.send_replace(true);
    }

    pub(crate) fn refusal(&self) -> Option<ErrorObjectOwned> {
        self.0.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        *self.0.stopped.borrow()
    }

    pub(crate) async fn stopped(&self) {
        // Cannot fail: the handle holds the sender.
        let _ = self.0.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }

    pub(crate) fn outbound(&self) -> &Outbound {
        &self.0.out
    }
}

/// A request, seen by its handler, which finds it in the call's [`Extensions`].
#[derive(Clone, Debug)]
pub struct RequestContext {
    id: RequestId,
    entry: Arc<Entry>,
    connection: Handle,
}

impl RequestContext {
    pub(crate) fn new(ticket: &Ticket, connection: Handle) -> Self {
        Self { id: ticket.id().clone(), entry: ticket.entry().clone(), connection }
    }

    /// The context of the call that `extensions` belong to.
    ///
    /// # Panics
    /// If the method was called by anything but a [`Connection`](crate::Connection).
    pub fn of(extensions: &Extensions) -> Self {
        extensions
            .get::<Self>()
            .expect("a connection puts the context into the extensions of each call")
            .clone()
    }

    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// The connection that the request came by.
    pub fn connection(&self) -> &Handle {
        &self.connection
    }

    /// Sends a notification that belongs to this request and waits until the queue has room. It goes out before
    /// the response, or not at all.
    pub async fn notify(&self, method: &str, params: &impl Serialize) -> Result<(), NotifyError> {
        self.entry.send(self.connection.outbound(), outbound::notification(method, params)?).await
    }

    /// As [`notify`](Self::notify), but gives up where it would have to wait.
    pub fn try_notify(&self, method: &str, params: &impl Serialize) -> Result<(), NotifyError> {
        self.entry.try_send(self.connection.outbound(), outbound::notification(method, params)?)
    }

    /// Whether somebody wants this request to end. It is still to be answered.
    pub fn cancelled_by(&self) -> Option<CancelledBy> {
        self.entry.cancelled_by()
    }

    /// Resolves when somebody wants this request to end; at once if somebody did before.
    pub async fn cancelled(&self) -> CancelledBy {
        self.entry.cancelled().await
    }

    /// Leaves a value, one per type, for whoever looks the request up: a count of tokens, how it ended.
    pub fn note<T: Clone + Send + Sync + 'static>(&self, note: T) {
        self.entry.set_note(note);
    }
}
