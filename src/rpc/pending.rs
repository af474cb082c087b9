//! Our requests to the client that wait for an answer: [`Pending`].
//!
//! Ids are integers that count up, separately for each connection. An answer is matched by the value of its id and not
//! by its spelling, since clients rewrite numbers: `1`, `1.0`, `1e0` and `"1"` all answer request 1.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jsonrpsee::types::{ErrorObject, ErrorObjectOwned};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::message::{Answer, kind};
use crate::outbound::Closed;

/// Why a request to the client has no result.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The connection ended before the client answered.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The client answered with this error.
    #[error("client answered with error {}: {}", .0.code(), .0.message())]
    Client(ErrorObjectOwned),
    /// The client's answer is malformed, or its result is not of the expected type.
    #[error("client's answer cannot be read: {0}")]
    Unreadable(String),
    /// The params could not be serialized; nothing was sent.
    #[error("request's params cannot be written: {0}")]
    Params(#[source] serde_json::Error),
}

/// The pending requests of one connection. Clones share the table.
#[derive(Clone, Debug)]
pub(crate) struct Pending(Arc<Mutex<Table>>);

/// A request in the table. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct PendingRequest {
    id: u64,
    answer: oneshot::Receiver<Outcome>,
    pending: Pending,
}

type Outcome = Result<Box<RawValue>, RequestError>;

#[derive(Debug)]
struct Table {
    next_id: u64,
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
    is_closed: bool,
}

impl Pending {
    /// An empty table. The first request will have the id `first_id`.
    pub(crate) fn new(first_id: u64) -> Self {
        Self(Arc::new(Mutex::new(Table { next_id: first_id, waiting: HashMap::new(), is_closed: false })))
    }

    /// Adds a request under the next id.
    pub(crate) fn enter(&self) -> Result<PendingRequest, Closed> {
        let mut table = self.table();
        if table.is_closed {
            return Err(Closed);
        }
        let id = table.next_id;
        table.next_id += 1;
        let (sender, answer) = oneshot::channel();
        table.waiting.insert(id, sender);
        Ok(PendingRequest { id, answer, pending: self.clone() })
    }

    /// Resolves the request that `answer` belongs to. An answer to no pending request is logged and otherwise ignored.
    pub(crate) fn resolve(&self, answer: Answer<'_>) {
        let Some(waiting) = self.remove(answer.id) else {
            let id = answer.id.map_or("none", RawValue::get);
            tracing::debug!(id, "answer without a pending request ignored");
            return;
        };
        // Fails if the request was just dropped.
        let _ = waiting.send(outcome(answer));
    }

    /// Resolves the request `id` with `null`. Returns `false` if there is no such pending request.
    pub(crate) fn resolve_null(&self, id: &RawValue) -> bool {
        let Some(waiting) = self.remove(Some(id)) else { return false };
        // Fails if the request was just dropped.
        let _ = waiting.send(Ok(RawValue::NULL.to_owned()));
        true
    }

    /// Resolves all requests, and all later ones, with [`Closed`].
    pub(crate) fn close(&self) {
        let mut table = self.table();
        table.is_closed = true;
        table.waiting.clear();
    }

    fn remove(&self, id: Option<&RawValue>) -> Option<oneshot::Sender<Outcome>> {
        self.table().waiting.remove(&number(id?)?)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No code can panic in the middle of a change to the table.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingRequest {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Waits for the client's result.
    pub(crate) async fn result(&mut self) -> Outcome {
        (&mut self.answer).await.unwrap_or_else(|_| Err(Closed.into()))
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        self.pending.table().waiting.remove(&self.id);
    }
}

/// The positive integer that an id means, written as an integer, a float or a string.
fn number(id: &RawValue) -> Option<u64> {
    /// Above this, an `f64` cannot represent every integer.
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    let unquoted: String;
    let text = if id.get().starts_with('"') {
        unquoted = serde_json::from_str(id.get()).ok()?;
        &unquoted
    } else {
        id.get()
    };
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let number: f64 = text.parse().ok()?;
    let is_exact = number.fract() == 0.0 && (1.0..=MAX_EXACT).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be an integer")]
    is_exact.then_some(number as u64)
}

/// The outcome that an answer means.
fn outcome(answer: Answer<'_>) -> Outcome {
    /// Unknown members are ignored: clients add their own.
    #[derive(Deserialize)]
    struct ClientError {
        code: i32,
        message: String,
        data: Option<Box<RawValue>>,
    }
    let unreadable = |problem: String| Err(RequestError::Unreadable(problem));
    // JSON-RPC 1.0 wrote both members, with one of them `null`.
    match (answer.result, answer.error.filter(|raw| kind(raw) != "null")) {
        (Some(result), Some(_)) if kind(result) != "null" => {
            unreadable("it has both `result` and `error`".to_owned())
        }
        (_, Some(error)) => match serde_json::from_str(error.get()) {
            Ok(ClientError { code, message, data }) => {
                Err(RequestError::Client(ErrorObject::owned(code, message, data)))
            }
            Err(problem) => unreadable(format!("`error` is not an error object: {problem}")),
        },
        (Some(result), None) => Ok(result.to_owned()),
        (None, None) => unreadable("it has neither `result` nor `error`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_id_is_matched_by_the_number_that_it_means() {
        let number = |text: &str| number(serde_json::from_str(text).unwrap());
        for text in ["1", "1.0", "1.000", "1e0", "10e-1", "\"1\"", "\"1.0\"", "\"\\u0031\""] {
            assert_eq!(number(text), Some(1), "{text}");
        }
        assert_eq!(number("18446744073709551615"), Some(u64::MAX));
        for text in ["1.5", "-1", "\"one\"", "\"\"", "\"NaN\"", "\"inf\"", "1e300", "null", "true", "[1]"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
