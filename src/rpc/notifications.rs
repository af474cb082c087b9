//! Handlers of the client's notifications: [`Notifications`].
//!
//! They run one after the other in the reader, in the order of the input, so they must be quick. `$/cancelRequest` is
//! handled here; a notification without a handler is ignored, as JSON-RPC requires.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jsonrpsee::types::Params;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::handle::Handle;
use crate::id::RequestId;
use crate::in_flight::{CancelledBy, Lookup};
use crate::params;

const CANCEL_REQUEST: &str = "$/cancelRequest";

type Handler = Box<dyn Fn(&Params<'_>, &Handle) + Send + Sync>;

/// Handlers of the client's notifications, by method.
#[derive(Default)]
pub struct Notifications(HashMap<&'static str, Handler>);

impl Notifications {
    /// Handles `$/cancelRequest` only.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the handler of a method, replacing an earlier one.
    #[must_use]
    pub fn on(
        mut self,
        method: &'static str,
        handler: impl Fn(&Params<'_>, &Handle) + Send + Sync + 'static,
    ) -> Self {
        self.0.insert(method, Box::new(handler));
        self
    }

    pub(crate) fn dispatch(&self, method: &str, params: Option<&RawValue>, connection: &Handle) {
        let params = Params::new(params.map(RawValue::get));
        if method == CANCEL_REQUEST {
            cancel_request(&params, connection);
        } else if let Some(handler) = self.0.get(method) {
            // A notification has no answer that could report the failure; the panic itself is reported on stderr.
            if catch_unwind(AssertUnwindSafe(|| handler(&params, connection))).is_err() {
                tracing::error!(method, "the handler of a notification panicked");
            }
        } else {
            tracing::debug!(method, "notification without a handler ignored");
        }
    }
}

fn cancel_request(params: &Params<'_>, connection: &Handle) {
    #[derive(Deserialize)]
    struct CancelParams {
        id: Box<RawValue>,
    }
    let id = match params::parse::<CancelParams>(params) {
        Ok(params) => RequestId::from_raw(&params.id),
        Err(error) => {
            tracing::debug!(message = error.message(), "`{CANCEL_REQUEST}` ignored");
            return;
        }
    };
    if let Some(id) = id
        && matches!(connection.in_flight().cancel(&id, CancelledBy::CancelRequest), Lookup::Unknown)
    {
        tracing::debug!(%id, "`{CANCEL_REQUEST}` names no request");
    }
}

impl fmt::Debug for Notifications {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}
