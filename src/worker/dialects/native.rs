//! The native protocol: `protocol/README.md` is its contract, `runabout-api` has its types.
//!
//! A file here for each method: its params become a request of [`runabout_assist`], the outcome becomes its result.
//! `from_wire` and `to_wire` translate between the types of both, `errors` puts failures into the protocol's words, and
//! `stream` follows a run and sends its text.

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

/// See the module.
pub(crate) struct Native;

impl Dialect for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    /// `initialize` is optional, so it may begin with anything.
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

/// A handler for each method that the protocol has.
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
