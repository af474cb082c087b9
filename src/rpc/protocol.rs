//! What a connection speaks ([`Protocol`]), and the first message, by which it can be chosen ([`FirstMessage`]).

use jsonrpsee::Methods;
use jsonrpsee::types::Params;
use serde_json::value::RawValue;

use crate::handle::Handle;
use crate::message::{Message, Strictness};
use crate::notifications::Notifications;

/// What a connection speaks: the client's methods and notifications that it handles, and how strict it is.
#[derive(Debug, Default)]
pub struct Protocol {
    /// The client's requests. A handler finds its [`RequestContext`](crate::RequestContext) in the call's extensions.
    pub methods: Methods,
    /// The client's notifications.
    pub notifications: Notifications,
    /// Which deviations from JSON-RPC 2.0 are accepted.
    pub strictness: Strictness,
}

/// The first well-formed request or notification of a connection, by which its [`Protocol`] is chosen.
#[derive(Debug)]
#[non_exhaustive]
pub struct FirstMessage<'a> {
    /// The method that the client calls.
    pub method: &'a str,
    /// The params as written, an object or an array; `None` if absent or `null`.
    pub params: Option<&'a RawValue>,
    /// Whether it is a request; otherwise it is a notification.
    pub is_request: bool,
}

/// Chooses what a connection speaks.
pub(crate) type Choose = Box<dyn FnOnce(&FirstMessage<'_>, &Handle) -> Protocol + Send>;

impl<'a> FirstMessage<'a> {
    /// The first well-formed request or notification in `message`, which may be a batch.
    pub(crate) fn of(message: &'a Message<'_>) -> Option<Self> {
        match message {
            Message::Request { method, params, .. } => {
                Some(Self { method, params: *params, is_request: true })
            }
            Message::Notification { method, params } => {
                Some(Self { method, params: *params, is_request: false })
            }
            Message::Batch(entries) => entries.iter().find_map(Self::of),
            Message::Answer(_) | Message::NullAnswer { .. } | Message::Invalid { .. } => None,
        }
    }

    /// The params in the form that [`params::parse`](crate::params::parse) reads.
    pub fn params(&self) -> Params<'a> {
        Params::new(self.params.map(RawValue::get))
    }
}
