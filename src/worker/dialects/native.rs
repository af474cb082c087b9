//! The native protocol: `protocol/README.md` is its contract, `runabout-api` has its types.
//!
//! Each method has a file here, which turns its params into a request of [`runabout_assist`] and the outcome into its
//! result. `from_wire` and `to_wire` translate between the types of both, `errors` turns failures into the protocol's
//! errors, and `stream` follows a run and sends its text.

mod about;
mod announce;
mod cancel;
mod chat;
mod complete;
mod discover;
mod errors;
mod from_wire;
mod initialize;
mod method;
mod shutdown;
mod status;
mod stream;
mod to_wire;
mod tokenize;
mod warm;

use runabout_api::{Notification, for_each_method, notifications};
use runabout_rpc::{FirstMessage, Handle, Notifications, Protocol, RequestContext, RpcModule, Strictness};

use self::method::{Answer, Call};
use super::dialect::{Dialect, Opened};
use crate::client::Client;

/// The native protocol, see the module.
pub(crate) struct Native;

impl Dialect for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    /// Claims every client: `initialize` is optional, so any message may be the first.
    fn claims(&self, _: &FirstMessage<'_>) -> bool {
        true
    }

    fn open(&self, client: Client, connection: Handle) -> Opened {
        Opened {
            protocol: Protocol {
                methods: registry(&client).into(),
                notifications: notifications(&client),
                strictness: Strictness::default(),
            },
            announcements: Box::pin(announce::announce(client, connection)),
        }
    }
}

/// A handler for each method of the protocol.
fn registry(client: &Client) -> RpcModule<Client> {
    let mut module = RpcModule::new(client.clone());
    macro_rules! register {
        ($($method:ty),* $(,)?) => { $(register::<$method>(&mut module);)* };
    }
    for_each_method!(register);
    module
}

fn register<M: Answer>(module: &mut RpcModule<Client>) {
    let added = module.register_async_method(M::NAME, |params, client, extensions| {
        let call = Call { client: Client::clone(&client), request: RequestContext::of(&extensions), params };
        M::answer(call)
    });
    added.expect("no two methods of the protocol have the same name");
}

fn notifications(client: &Client) -> Notifications {
    let client = client.clone();
    Notifications::new()
        .on(notifications::Cancel::NAME, cancel::cancel_unanswered)
        .on(notifications::Exit::NAME, move |_, connection| client.exit(connection))
}
