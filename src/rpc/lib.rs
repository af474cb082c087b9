//! JSON-RPC 2.0 over any byte stream.
//!
//! Read [`Connection`] first: it serves one client over a reader and a writer. What it speaks is a [`Protocol`]: a
//! registry of methods, a table of client [`Notifications`], and how strict it is. Handlers find a [`RequestContext`]
//! in the call's [`Extensions`], with the id as written, notifications that are sent before the response, and the
//! cancel signal. The program keeps a [`Handle`] to send its own notifications and requests, and to stop.
//!
//! In the order in which a message passes: [`framing`] splits the input, `message` classifies a frame, `reader` takes
//! it, `pending` matches answers to our requests, `in_flight` has the client's requests, `service` calls the method,
//! [`params`] reads its parameters, `outbound` writes. This crate does not know what the methods do.

pub mod framing;
pub mod params;

mod connection;
mod handle;
mod id;
mod in_flight;
mod malformed;
mod message;
mod notifications;
mod options;
mod outbound;
mod pending;
mod protocol;
mod reader;
mod service;

pub use connection::{Connection, End};
pub use handle::{Handle, RequestContext, Retraction};
pub use id::RequestId;
pub use in_flight::{CancelledBy, InFlight, Lookup, RequestRecord};
pub use jsonrpsee::types::{ErrorObject, ErrorObjectOwned, Params};
pub use jsonrpsee::{Extensions, Methods, RpcModule};
pub use message::Strictness;
pub use notifications::Notifications;
pub use options::Options;
pub use outbound::{Closed, NotifyError};
pub use pending::RequestError;
pub use protocol::{FirstMessage, Protocol};

#[cfg(test)]
mod tests;
