//! From a request to its response: the method registry's callbacks, called so that each request is answered once.
//!
//! jsonrpsee brings the registry and the error model. Its own services are not used: they know only ids that fit
//! a `u64`, run batches one after the other, and leave a request unanswered when its handler panics. Callbacks are
//! called without an id; the client's goes round their answer as it was written.

use std::future::Future;

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
use crate::message::Malformed;
use crate::params::meant;

#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) methods: Methods,
    pub(crate) connection: Handle,
    pub(crate) max_in_flight: usize,
    /// Cancelled when handlers have had their time to end.
    pub(crate) abandoned: CancellationToken,
}

/// What becomes of a request when it is read.
pub(crate) enum Begun {
    /// Refused: the response is here.
    Answered(String),
    Running(Call),
}

/// A request whose handler runs.
pub(crate) struct Call {
    ticket: Ticket,
    handler: JoinHandle<MethodResponse>,
    abandoned: CancellationToken,
    refusal: Handle,
}

impl Service {
    /// Enters a request in the table and starts its handler, or refuses it.
    pub(crate) fn begin(&self, id: RequestId, method: &str, params: Option<&RawValue>) -> Begun {
        let refuse = |error: &ErrorObject<'_>| Begun::Answered(error_response(Some(&id), error));
        if self.connection.in_flight().contains(&id) {
            // Not under the id: the client would take it for the answer to the request that runs.
            return Begun::Answered(error_response(None, &Malformed::DuplicateId(id).to_error()));
        }
        if let Some(error) = self.connection.refusal() {
            return refuse(&error);
        }
        let Some(callback) = self.methods.method(method) else {
            return refuse(&self.unknown_method(method));
        };
        if self.connection.in_flight().n_taken() >= self.max_in_flight {
            let limit = self.max_in_flight;
            let message = format!(
                "at most {limit} requests may be in flight, those whose answers wait to be read among them"
            );
            return refuse(&ErrorObject::owned(SERVER_IS_BUSY_CODE, message, None::<()>));
        }
        let Some(ticket) = self.connection.in_flight().enter(id.clone(), method) else {
            return Begun::Answered(error_response(None, &Malformed::DuplicateId(id).to_error()));
        };
        let mut extensions = Extensions::new();
        extensions.insert(RequestContext::new(&ticket, self.connection.clone()));
        let params = Params::new(params.map(RawValue::get)).into_owned();
        let handler = tokio::spawn(run(callback.clone(), params, extensions));
        let (abandoned, refusal) = (self.abandoned.clone(), self.connection.clone());
        Begun::Running(Call { ticket, handler, abandoned, refusal })
    }

    fn unknown_method(&self, method: &str) -> ErrorObjectOwned {
        const MAX_CHARS: usize = 60;
        let hint = meant(method, self.methods.method_names())
            .map(|meant| format!("\nhint: did you mean `{meant}`?"));
        let method: String = method.chars().take(MAX_CHARS).collect();
        let message = format!("unknown method `{method}`{}", hint.unwrap_or_default());
        ErrorObject::owned(METHOD_NOT_FOUND_CODE, message, None::<()>)
    }
}

/// Runs a handler. Its own task, so that a panic ends nothing else.
fn run(
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
            // Notifications with a life of their own have no place here: they belong to their request.
            MethodCallback::Subscription(_) | MethodCallback::Unsubscription(_) => {
                let error =
                    ErrorObject::borrowed(METHOD_NOT_FOUND_CODE, "subscriptions are not supported", None);
                MethodResponse::error(Id::Null, error)
            }
        }
    }
}

impl Call {
    /// Waits for the handler. Whatever it does, there is one response, and the ticket to send it by.
    pub(crate) async fn response(self) -> (Ticket, String) {
        let Self { ticket, mut handler, abandoned, refusal } = self;
        let id = Some(ticket.id());
        let response = tokio::select! {
            biased;
            outcome = &mut handler => match outcome {
                Ok(response) => with_id(ticket.id(), &response),
                Err(error) => {
                    tracing::error!(id = %ticket.id(), %error, "handler of a request failed");
                    error_response(id, &internal("handler of the request panicked"))
                }
            },
            () = abandoned.cancelled() => {
                handler.abort();
                let error = refusal.refusal().unwrap_or_else(|| {
                    let message = "connection ended before the request was done";
                    ErrorObject::owned(CALL_EXECUTION_FAILED_CODE, message, None::<()>)
                });
                error_response(id, &error)
            }
        };
        (ticket, response)
    }
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
        serde_json::to_string(&self).expect("a response holds nothing that cannot be written")
    }
}

/// A handler's answer under the client's id.
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
        // A result of `null` reads as none.
        Ok(Answer { result, error: None }) => {
            let result = Some(result.unwrap_or(RawValue::NULL));
            Response::<()> { jsonrpc: "2.0", id: Some(id), result, error: None }.into_text()
        }
        Err(error) => {
            tracing::error!(%id, %error, "handler's answer is no response");
            error_response(Some(id), &internal("handler's answer is no response"))
        }
    }
}

/// An error response; without an id where none could be told.
pub(crate) fn error_response(id: Option<&RequestId>, error: &ErrorObject<'_>) -> String {
    Response { jsonrpc: "2.0", id, result: None, error: Some(error) }.into_text()
}
