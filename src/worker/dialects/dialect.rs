//! [`Dialect`]: what a protocol on top of JSON-RPC must be able to do.

use std::pin::Pin;

use runabout_rpc::{FirstMessage, Handle, Protocol};

use crate::client::Client;

/// A protocol on top of JSON-RPC.
pub(crate) trait Dialect: Sync {
    /// Its name, for the log.
    fn name(&self) -> &'static str;

    /// Whether a client that begins with this message speaks it. The message is read by the default
    /// [`Strictness`](runabout_rpc::Strictness), since it is not known yet what the client speaks.
    fn claims(&self, first: &FirstMessage<'_>) -> bool;

    /// Begins a connection of a client that speaks it.
    fn open(&self, client: Client, connection: Handle) -> Opened;
}

/// A connection that begins.
pub(crate) struct Opened {
    /// What it answers.
    pub(crate) protocol: Protocol,
    /// What it says unasked.
    pub(crate) announcements: Announcements,
}

/// Tells the client how the model is, and ends when there is nothing more to tell. When the engine dies it must end, after
/// the client has been told, since then the connection ends. What it tells may come before the response to the client's
/// first message.
pub(crate) type Announcements = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The first of `dialects` that claims the client's first message, or else the last of them.
pub(crate) fn choose(dialects: &[&'static dyn Dialect], first: &FirstMessage<'_>) -> &'static dyn Dialect {
    let claimed = dialects.iter().find(|it| it.claims(first));
    *claimed.or(dialects.last()).expect("a connection has at least one dialect")
}
