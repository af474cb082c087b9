//! The definition of a method ([`Method`]) and of a notification ([`Notification`]).
//!
//! Each is a type without values, in the file of its params. They are listed in [`methods`](crate::methods) and
//! [`notifications`](crate::notifications).

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of the protocol that these types describe.
pub const PROTOCOL_VERSION: u32 = 1;

/// A request that the client sends and the worker answers.
pub trait Method {
    /// The name, as in a message's `method`.
    const NAME: &'static str;
    /// What it does, in a few words.
    const SUMMARY: &'static str;
    /// The kinds of the worker's own errors with which it may be answered.
    const ERRORS: &'static [&'static str];
    /// The request's `params`.
    type Params: Serialize + DeserializeOwned + JsonSchema;
    /// The response's `result`; `()` for `null`.
    type Result: Serialize + DeserializeOwned + JsonSchema + Clone + Send + 'static;
}

/// A message without an answer.
pub trait Notification {
    /// The name, as in a message's `method`.
    const NAME: &'static str;
    /// What it reports, in a few words.
    const SUMMARY: &'static str;
    /// The side that sends it.
    const SENDER: Sender;
    /// The notification's `params`; `()` for none.
    type Params: Serialize + DeserializeOwned + JsonSchema;
}

/// One of the two sides of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The program that started the worker.
    Client,
    /// The worker, which is this program.
    Worker,
}
