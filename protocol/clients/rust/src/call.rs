//! Requests on their way: jsonrpsee's client chooses their ids, and tells them only to a layer around it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jsonrpsee_core::middleware::{Batch, Notification, Request, RpcServiceT};
use tokio::sync::{mpsc, watch};

use crate::protocol::DeltaParams;

tokio::task_local! {
    /// The call that the running task makes.
    pub(crate) static CALL: Arc<Call>;
}

/// One request.
pub(crate) struct Call {
    /// Known once it is sent.
    pub(crate) id: OnceLock<u64>,
    /// Who is told of its text.
    pub(crate) deltas: Option<mpsc::UnboundedSender<DeltaParams>>,
    /// Who is told of its id.
    pub(crate) sent: Option<watch::Sender<Option<u64>>>,
}

/// The calls that are not answered, by their ids; also those that were given up, until the worker has answered them.
#[derive(Default)]
pub(crate) struct Calls(Mutex<HashMap<u64, Arc<Call>>>);

impl Calls {
    /// Removes a call that is answered; `false` if there is none with this id.
    pub(crate) fn remove(&self, id: u64) -> bool {
        self.all().remove(&id).is_some()
    }

    /// Whether a call is not answered.
    pub(crate) fn contains(&self, id: u64) -> bool {
        self.all().contains_key(&id)
    }

    /// Passes a delta on to the caller of the request.
    pub(crate) fn tell(&self, delta: DeltaParams) {
        let call = delta.id.as_u64().and_then(|id| self.all().get(&id).cloned());
        if let Some(deltas) = call.as_ref().and_then(|it| it.deltas.as_ref()) {
            // Whoever asked may be gone; then the request is being cancelled.
            let _ = deltas.send(delta);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u64, Arc<Call>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The layer, which registers the call that the running task makes.
#[derive(Clone)]
pub(crate) struct Registering<S> {
    pub(crate) inner: S,
    pub(crate) calls: Arc<Calls>,
}

impl<S: RpcServiceT> RpcServiceT for Registering<S> {
    type MethodResponse = S::MethodResponse;
    type NotificationResponse = S::NotificationResponse;
    type BatchResponse = S::BatchResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = Self::MethodResponse> + Send + 'a {
        let id = request.id.try_parse_inner_as_number();
        let _ = CALL.try_with(|call| {
            if let Ok(id) = id {
                self.calls.all().insert(id, Arc::clone(call));
                let _ = call.id.set(id);
                if let Some(sent) = &call.sent {
                    let _ = sent.send(Some(id));
                }
            }
        });
        self.inner.call(request)
    }

    fn batch<'a>(&self, requests: Batch<'a>) -> impl Future<Output = Self::BatchResponse> + Send + 'a {
        self.inner.batch(requests)
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = Self::NotificationResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}
