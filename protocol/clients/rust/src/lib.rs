//! A client for runabout, a local language model for everyday coding errands.
//!
//! [`Client`] starts `runabout serve` as a subprocess and speaks its protocol, with jsonrpsee's client for the
//! matching of answers. The types of [`protocol`] follow the protocol's schema.

mod call;
mod client;
mod error;
mod program;
pub mod protocol;
mod stream;
mod transport;
mod worker;

pub use client::{Client, Settings};
pub use error::{Error, WorkerEnd};
pub use program::find_program;
pub use stream::Stream;
pub use worker::Notification;
