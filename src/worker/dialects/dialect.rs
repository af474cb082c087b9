//! [`Dialect`]: what a protocol on top of JSON-RPC implements, and [`choose`], which picks the one that a client
//! speaks.

use std::pin::Pin;

use runabout_rpc::{FirstMessage, Handle, Protocol};

use crate::client::Client;

/// A protocol on top of JSON-RPC.
pub(crate) trait Dialect: Sync {
    /// Its name, for the log.
    fn name(&self) -> &'static str;

    /// Whether a client whose first message is `first` speaks this dialect. That message is read with the default
    /// [`Strictness`](runabout_rpc::Strictness), since the dialect is not known yet.
    fn claims(&self, first: &FirstMessage<'_>) -> bool;

    /// Opens the connection of a client that speaks this dialect.
    fn open(&self, client: Client, connection: Handle) -> Opened;
}

/// What a dialect provides for one connection.
pub(crate) struct Opened {
    /// How the client's messages are read and handled.
    pub(crate) protocol: Protocol,
    /// What the client is told without a request.
    pub(crate) announcements: Announcements,
}

/// A future that notifies the client of the model's state and ends when there is nothing more to tell. If the engine
/// dies it must notify the client and then end, since the connection ends only after it. Its notifications may be sent
/// before the response to the client's first message.
pub(crate) type Announcements = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The first of `dialects` that claims the client's first message, or else the last of them. Panics if there are none.
pub(crate) fn choose(dialects: &[&'static dyn Dialect], first: &FirstMessage<'_>) -> &'static dyn Dialect {
    let claimed = dialects.iter().find(|it| it.claims(first));
    *claimed.or(dialects.last()).expect("a connection has at least one dialect")
}
