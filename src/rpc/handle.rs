//! What the program can do with a connection: send to the client, cancel requests, stop.
//!
//! A [`Handle`] stands for the connection, a [`RequestContext`] for one request of the client. Both can outlive the
//! connection; afterwards their methods fail or have no effect.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonrpsee::Extensions;
use jsonrpsee::types::ErrorObjectOwned;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::id::RequestId;
use crate::in_flight::{CancelledBy, Entry, InFlight, Ticket};
use crate::outbound::{self, NotifyError, Outbound};
use crate::pending::{Pending, RequestError};

/// A connection, for the program that serves it. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    out: Outbound,
    in_flight: InFlight,
    pending: Pending,
    stopped: watch::Sender<bool>,
    refusal: Mutex<Option<Refusal>>,
}

/// Which requests are refused, and with which error.
#[derive(Debug)]
struct Refusal {
    error: ErrorObjectOwned,
    /// The method that is taken nevertheless.
    except: Option<&'static str>,
}

/// How a protocol takes back a request to the client: by a notification whose params name the request's id.
#[derive(Clone, Copy, Debug)]
pub struct Retraction {
    /// The notification's method.
    pub method: &'static str,
    /// The member of its params that has the id.
    pub id: &'static str,
}

/// A request to the client. While `retraction` is set, dropping this takes the request back.
struct Question<'a> {
    out: &'a Outbound,
    id: u64,
    retraction: Option<Retraction>,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        if let Some(Retraction { method, id }) = self.retraction {
            let params = BTreeMap::from([(id, self.id)]);
            let sent = outbound::notification(method, &params).map_err(NotifyError::from);
            if let Err(error) = sent.and_then(|it| self.out.try_send(it)) {
                tracing::debug!(id = self.id, %error, "a request to the client is not taken back");
            }
        }
    }
}

impl Handle {
    pub(crate) fn new(out: Outbound, first_request_id: u64) -> Self {
        Self(Arc::new(Shared {
            out,
            in_flight: InFlight::default(),
            pending: Pending::new(first_request_id),
            stopped: watch::Sender::new(false),
            refusal: Mutex::default(),
        }))
    }

    /// Sends a notification; waits until the queue has room. `params` must serialize to an object or an array. Before
    /// the client's first message nothing is written; notifications stay in the queue.
    pub async fn notify(&self, method: &str, params: &impl Serialize) -> Result<(), NotifyError> {
        Ok(self.0.out.send(outbound::notification(method, params)?).await?)
    }

    /// Sends a notification if the queue has room, else drops it. For progress reports, of which only the latest
    /// matters.
    pub fn try_notify(&self, method: &str, params: &impl Serialize) -> Result<(), NotifyError> {
        self.0.out.try_send(outbound::notification(method, params)?)
    }

    /// Sends a request to the client and waits for its result. `params` must serialize to an object or an array.
    ///
    /// Requests are sent in the order in which they are first awaited, after everything sent before. There is no time
    /// limit: to stop waiting, drop the future; a later answer is then ignored. The handler of a request should not
    /// wait for a result without also watching for its own cancel, since the client may never answer.
    pub async fn request<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &impl Serialize,
    ) -> Result<T, RequestError> {
        self.ask(method, params, None).await
    }

    /// Like [`request`](Self::request), but if the future is dropped while the client has yet to answer, the client is
    /// told so, if the queue has room. So a dialog that it shows is closed.
    pub async fn request_or_retract<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &impl Serialize,
        retraction: Retraction,
    ) -> Result<T, RequestError> {
        self.ask(method, params, Some(retraction)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &impl Serialize,
        retraction: Option<Retraction>,
    ) -> Result<T, RequestError> {
        let mut request = self.0.pending.enter()?;
        let id = request.id();
        let message = outbound::request(id, method, params).map_err(RequestError::Params)?;
        let mut question = Question { out: &self.0.out, id, retraction: None };
        let result = tokio::select! {
            biased;
            sent = self.0.out.send(message) => {
                sent?;
                question.retraction = retraction;
                let outcome = request.result().await;
                question.retraction = None;
                outcome?
            }
            // The connection ended before the queue had room.
            outcome = request.result() => outcome?,
        };
        serde_json::from_str(result.get()).map_err(|error| RequestError::Unreadable(error.to_string()))
    }

    /// The client's requests that have not been answered yet.
    pub fn in_flight(&self) -> &InFlight {
        &self.0.in_flight
    }

    /// Answers every request read from now on with `error`; requests in flight continue.
    pub fn refuse_requests(&self, error: ErrorObjectOwned) {
        self.set_refusal(Some(Refusal { error, except: None }));
    }

    /// Answers every request read from now on with `error`, except those of `method`, until
    /// [`take_requests`](Self::take_requests) is called. For protocols that begin with a handshake.
    pub fn take_only(&self, method: &'static str, error: ErrorObjectOwned) {
        self.set_refusal(Some(Refusal { error, except: Some(method) }));
    }

    /// Ends a refusal: every request read from now on is taken.
    pub fn take_requests(&self) {
        self.set_refusal(None);
    }

    /// Ends the connection as if the input had ended.
    pub fn stop(&self) {
        self.0.stopped.send_replace(true);
    }

    /// The error with which requests of `method` are refused, if they are. `None` stands for any method.
    pub(crate) fn refusal(&self, method: Option<&str>) -> Option<ErrorObjectOwned> {
        let refusal = self.0.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = refusal.as_ref().filter(|it| it.except.is_none() || it.except != method);
        refused.map(|it| it.error.clone())
    }

    fn set_refusal(&self, refusal: Option<Refusal>) {
        *self.0.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }

    pub(crate) fn is_stopped(&self) -> bool {
        *self.0.stopped.borrow()
    }

    pub(crate) async fn stopped(&self) {
        // Cannot fail: the handle holds the sender.
        let _ = self.0.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }

    pub(crate) fn pending(&self) -> &Pending {
        &self.0.pending
    }

    pub(crate) fn outbound(&self) -> &Outbound {
        &self.0.out
    }
}

/// One request of the client, for its handler, which finds it in the call's [`Extensions`].
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
    /// If the method was not called by a connection.
    pub fn of(extensions: &Extensions) -> Self {
        extensions
            .get::<Self>()
            .expect("a connection puts the context into the extensions of each call")
            .clone()
    }

    /// The request's id.
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// The connection that the request came from.
    pub fn connection(&self) -> &Handle {
        &self.connection
    }

    /// Sends a notification that belongs to this request; waits until the queue has room. It is written before the
    /// response, or not at all.
    pub async fn notify(&self, method: &str, params: &impl Serialize) -> Result<(), NotifyError> {
        self.entry.send(self.connection.outbound(), outbound::notification(method, params)?).await
    }

    /// Like [`notify`](Self::notify), but fails if it would have to wait.
    pub fn try_notify(&self, method: &str, params: &impl Serialize) -> Result<(), NotifyError> {
        self.entry.try_send(self.connection.outbound(), outbound::notification(method, params)?)
    }

    /// What cancelled this request, if it has been cancelled. It must be answered nevertheless.
    pub fn cancelled_by(&self) -> Option<CancelledBy> {
        self.entry.cancelled_by()
    }

    /// Resolves when this request is cancelled; immediately if it already is.
    pub async fn cancelled(&self) -> CancelledBy {
        self.entry.cancelled().await
    }

    /// Resolves when this request's answer has been queued, so that what is sent then comes after it. Its handler must not
    /// wait for this.
    pub async fn answered(&self) {
        self.entry.ended().await;
    }

    /// Stores a value, one per type, for those who look up the request later, such as how it ended.
    pub fn note<T: Clone + Send + Sync + 'static>(&self, note: T) {
        self.entry.set_note(note);
    }
}
