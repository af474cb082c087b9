//! JSON-RPC 2.0 over any byte stream.

pub mod framing;
mod id;
mod message;
