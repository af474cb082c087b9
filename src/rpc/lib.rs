//! JSON-RPC 2.0 over any byte stream.
//!
//! A [`Connection`] takes a registry of methods ([`RpcModule`]) and a table of client [`Notifications`], and
//! serves one client over a reader and a writer. Handlers find their [`RequestContext`] in the call's
//! [`Extensions`]: the id as written, notifications that go out before the response, and the cancel signal.
//! The program keeps a [`Handle`] to speak unasked and to stop.
//!
//! In the order in which a message passes: [`framing`] cuts the input, `message` tells what a frame is, `in_flight`
//! holds running requests, `service` calls the method, [`params`] reads its parameters, `outbound` writes.
//! This crate does not know what the methods are about.

pub mod framing;
mod message;

mod connection;
mod handle;
mod id;
mod in_flight;
mod notifications;
mod outbound;
pub mod params;
mod service;

pub use connection::{Connection, End, Options};
pub use handle::{Handle, RequestContext};
pub use id::RequestId;
pub use in_flight::{CancelledBy, InFlight, Lookup, RequestRecord};
pub use jsonrpsee::types::{ErrorObject, ErrorObjectOwned, Params};
pub use jsonrpsee::{Extensions, Methods, RpcModule};
pub use notifications::Notifications;
pub use outbound::{Closed, NotifyError};

#[cfg(test)]
mod tests;
