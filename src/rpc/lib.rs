//! JSON-RPC 2.0 over any byte stream.
