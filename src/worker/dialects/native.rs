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
mod next_edit;
mod shutdown;
mod status;
mod stream;
mod to_wire;
mod tokenize;
mod warm;

use runabout_api::{Notification, for_each_method, notifications};
use runabout_rpc::{
    FirstMessage, Handle, Methods, Notifications, Protocol, RequestContext, RpcModule, Strictness,
};

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

/// The methods of the native protocol except those named, for a dialect that offers them beside its own.
pub(super) fn methods_except(client: &Client, left_out: &[&'static str]) -> Methods {
    let mut module = registry(client);
    for name in left_out {
        module.remove_method(name);
    }
    module.into()
}

/// Adds the handlers of native notifications that such a dialect needs.
pub(super) fn with_cancel(notifications: Notifications) -> Notifications {
    notifications.on(notifications::Cancel::NAME, cancel::cancel_unanswered)
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
    with_cancel(Notifications::new())
        .on(notifications::Exit::NAME, move |_, connection| client.exit(connection))
}
