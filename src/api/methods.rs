//! The names of methods and notifications, as they stand in `method`.

/// Client to worker, optional: who is there, and what it can do.
pub const INITIALIZE: &str = "initialize";
/// Client to worker: text at the cursor.
pub const COMPLETE: &str = "complete";
/// Client to worker: one assistant turn.
pub const CHAT: &str = "chat";
/// Client to worker, as a request or as a notification: stop a request.
pub const CANCEL: &str = "cancel";
/// Client to worker: put a prefix into the cache.
pub const WARM: &str = "warm";
/// Client to worker: count tokens.
pub const TOKENIZE: &str = "tokenize";
/// Client to worker, as a request: how the worker is. Worker to client, as a notification: its state changed.
pub const STATUS: &str = "status";
/// Client to worker: take no more work.
pub const SHUTDOWN: &str = "shutdown";
/// Client to worker, a notification: end the process.
pub const EXIT: &str = "exit";
/// Client to worker: this protocol as an OpenRPC document.
pub const DISCOVER: &str = "rpc.discover";
/// Client to worker, a notification: stop a request in LSP's way.
pub const CANCEL_REQUEST: &str = "$/cancelRequest";
/// Worker to client, a notification: a piece of text.
pub const DELTA: &str = "delta";
/// Worker to client, a notification: how far something long has got.
pub const PROGRESS: &str = "progress";
