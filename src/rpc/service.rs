//! From a request to its response: calls handlers so that each request is answered exactly once.
//!
//! jsonrpsee provides the registry and the error types. Its own services are not used: they only support ids that fit a
//! `u64`, run the entries of a batch one after the other, and leave a request unanswered if its handler panics.
//! Handlers are called without an id; their answer gets the client's id as written.

use std::fmt::Display;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use jsonrpsee::types::error::{
    CALL_EXECUTION_FAILED_CODE, INTERNAL_ERROR_CODE, METHOD_NOT_FOUND_CODE, SERVER_IS_BUSY_CODE,
};
use jsonrpsee::types::{ErrorObject, ErrorObjectOwned, Id, Params};
use jsonrpsee::{ConnectionId, Extensions, MethodCallback, MethodResponse, Methods};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::handle::{Handle, RequestContext};
use crate::id::RequestId;
use crate::in_flight::Ticket;
use crate::malformed::Malformed;
use crate::params::meant;

/// What is needed to answer the requests of one connection.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) connection: Handle,
    pub(crate) max_in_flight: usize,
    /// Cancelled when the handlers' time to finish is over.
    pub(crate) abandoned: CancellationToken,
}

/// A request that has been read.
pub(crate) enum Begun {
    /// It was refused with this response.
    Answered(String),
    Running(Call),
}

/// A request whose handler has started.
pub(crate) struct Call {
    ticket: Ticket,
    handler: Handler,
    abandoned: CancellationToken,
    refusal: Handle,
}

/// The state of a handler.
enum Handler {
    Ended(MethodResponse),
    Panicked,
    /// It waits in its own task, so that a panic does not affect other requests, and a handler that blocks can be
    /// abandoned.
    Waiting(JoinHandle<MethodResponse>),
}

impl Service {
    /// Adds a request to the table and runs its handler up to its first wait, or refuses the request.
    pub(crate) fn begin(
        &self,
        methods: &Methods,
        id: RequestId,
        method: &str,
        params: Option<&RawValue>,
    ) -> Begun {
        let refuse = |error: &ErrorObject<'_>| Begun::Answered(error_response(Some(&id), error));
        if self.connection.in_flight().contains(&id) {
            // Without the id, since the client would take this for the answer to the running request.
            return Begun::Answered(error_response(None, &Malformed::DuplicateId(id).to_error()));
        }
        if let Some(error) = self.connection.refusal(Some(method)) {
            return refuse(&error);
        }
        let Some(callback) = methods.method(method) else {
            return refuse(&unknown_method(methods, method));
        };
        if self.connection.in_flight().n_taken() >= self.max_in_flight {
            let limit = self.max_in_flight;
            let message = format!(
                "at most {limit} requests may be in flight, including those whose answers have not been read"
            );
            return refuse(&ErrorObject::owned(SERVER_IS_BUSY_CODE, message, None::<()>));
        }
        let Some(ticket) = self.connection.in_flight().enter(id.clone(), method) else {
            return Begun::Answered(error_response(None, &Malformed::DuplicateId(id).to_error()));
        };
        let mut extensions = Extensions::new();
        extensions.insert(RequestContext::new(&ticket, self.connection.clone()));
        let params = Params::new(params.map(RawValue::get)).into_owned();
        let handler = Handler::begin(call(callback.clone(), params, extensions));
        let (abandoned, refusal) = (self.abandoned.clone(), self.connection.clone());
        Begun::Running(Call { ticket, handler, abandoned, refusal })
    }
}

impl Handler {
    /// Polls a handler once here, so that what it does before its first wait is done when this returns.
    fn begin(handler: impl Future<Output = MethodResponse> + Send + 'static) -> Self {
        let mut handler = Box::pin(handler);
        // The waker may do nothing, because the task of a handler that waits polls it again immediately.
        let mut context = Context::from_waker(Waker::noop());
        match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(&mut context))) {
            Ok(Poll::Ready(response)) => Handler::Ended(response),
            Ok(Poll::Pending) => Handler::Waiting(tokio::spawn(handler)),
            Err(_) => Handler::Panicked,
        }
    }
}

fn unknown_method(methods: &Methods, method: &str) -> ErrorObjectOwned {
    const MAX_CHARS: usize = 60;
    let hint = meant(method, methods.method_names()).map(|meant| format!("\nhint: did you mean `{meant}`?"));
    let method: String = method.chars().take(MAX_CHARS).collect();
    let message = format!("unknown method `{method}`{}", hint.unwrap_or_default());
    ErrorObject::owned(METHOD_NOT_FOUND_CODE, message, None::<()>)
}

/// Calls a handler.
fn call(
    callback: MethodCallback,
    params: Params<'static>,
    extensions: Extensions,
) -> impl Future<Output = MethodResponse> + Send {
    let max_response_bytes = usize::MAX;
    async move {
        match callback {
            MethodCallback::Sync(call) => call(Id::Null, params, max_response_bytes, extensions),
            MethodCallback::Async(call) => {
                call(Id::Null, params, ConnectionId(0), max_response_bytes, extensions).await
            }
            // Here a notification belongs to its request and cannot outlive it.
            MethodCallback::Subscription(_) | MethodCallback::Unsubscription(_) => {
                let error =
                    ErrorObject::borrowed(METHOD_NOT_FOUND_CODE, "subscriptions are not supported", None);
                MethodResponse::error(Id::Null, error)
            }
        }
    }
}

impl Call {
    /// Waits for the handler. Always returns one response, and the ticket for sending it.
    pub(crate) async fn response(self) -> (Ticket, String) {
        let Self { ticket, handler, abandoned, refusal } = self;
        let id = ticket.id();
        let response = match handler {
            Handler::Ended(response) => with_id(id, &response),
            Handler::Panicked => panicked(id, &"it panicked before it first waited"),
            Handler::Waiting(mut task) => tokio::select! {
                biased;
                outcome = &mut task => match outcome {
                    Ok(response) => with_id(id, &response),
                    Err(error) => panicked(id, &error),
                },
                () = abandoned.cancelled() => {
                    task.abort();
                    let error = refusal.refusal(None).unwrap_or_else(|| {
                        let message = "the connection ended before the request was done";
                        ErrorObject::owned(CALL_EXECUTION_FAILED_CODE, message, None::<()>)
                    });
                    error_response(Some(id), &error)
                }
            },
        };
        (ticket, response)
    }
}

fn panicked(id: &RequestId, error: &dyn Display) -> String {
    tracing::error!(%id, %error, "the handler of a request failed");
    error_response(Some(id), &internal("the handler of the request panicked"))
}

fn internal(message: &str) -> ErrorObject<'_> {
    ErrorObject::borrowed(INTERNAL_ERROR_CODE, message, None)
}

#[derive(Serialize)]
struct Response<'a, E> {
    jsonrpc: &'static str,
    id: Option<&'a RequestId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<E>,
}

impl<E: Serialize> Response<'_, E> {
    fn into_text(self) -> String {
        serde_json::to_string(&self).expect("a response contains only serializable values")
    }
}

/// A handler's answer, under the client's id.
fn with_id(id: &RequestId, response: &MethodResponse) -> String {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        result: Option<&'a RawValue>,
        #[serde(borrow)]
        error: Option<&'a RawValue>,
    }
    match serde_json::from_str(response.as_ref()) {
        Ok(Answer { error: Some(error), .. }) => {
            Response { jsonrpc: "2.0", id: Some(id), result: None, error: Some(error) }.into_text()
        }
        // A `null` result is read as `None`.
        Ok(Answer { result, error: None }) => {
            let result = Some(result.unwrap_or(RawValue::NULL));
            Response::<()> { jsonrpc: "2.0", id: Some(id), result, error: None }.into_text()
        }
        Err(error) => {
            tracing::error!(%id, %error, "the handler's answer is not a response");
            error_response(Some(id), &internal("the handler's answer is not a response"))
        }
    }
}

/// An error response. `id` is `None` if the request had no valid one.
pub(crate) fn error_response(id: Option<&RequestId>, error: &ErrorObject<'_>) -> String {
    Response { jsonrpc: "2.0", id, result: None, error: Some(error) }.into_text()
}
