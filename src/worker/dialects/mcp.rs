//! The Model Context Protocol: agents hand small tasks to the model, as calls of tools.
//!
//! `protocol/mcp.md` is its contract. `era` tells the two kinds of clients apart: those that describe themselves in each
//! request, and those that begin with `initialize`. [`tools`] lists the tools and calls them; each has a file. `progress`
//! keeps the client informed while a tool works. The server sends no requests, and nothing about a request that its
//! client has withdrawn.

mod complete_code;
mod edit_files;
mod era;
mod errand;
mod evidence;
mod failure;
mod files;
mod generate;
mod handshake;
mod listen;
mod map_files;
mod outcome;
mod progress;
mod review_diff;
mod roots;
mod schema;
mod session;
mod status;
mod tasks;
mod tool;
mod tools;
mod write_tests;

use std::sync::Arc;

use runabout_rpc::{
    CancelledBy, FirstMessage, Handle, Lookup, Notifications, Params, Protocol, RequestContext, RequestId,
    RpcModule, Strictness, params,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use self::session::Session;
use super::dialect::{Dialect, Opened};
use crate::client::Client;

/// The Model Context Protocol, see the module.
pub(crate) struct Mcp;

const INITIALIZE: &str = "initialize";
const DISCOVER: &str = "server/discover";

impl Dialect for Mcp {
    fn name(&self) -> &'static str {
        "mcp"
    }

    /// Claims a client whose first message is MCP's own: an `initialize` with a date as the protocol's version, or a
    /// request that describes its client.
    fn claims(&self, first: &FirstMessage<'_>) -> bool {
        #[derive(Deserialize)]
        struct Introduction {
            #[serde(rename = "protocolVersion")]
            _version: String,
        }
        first.method == DISCOVER
            || era::describes_its_client(&first.params())
            || first.method == INITIALIZE && params::parse_lenient::<Introduction>(&first.params()).is_ok()
    }

    fn open(&self, client: Client, _: Handle) -> Opened {
        let session = Arc::new(Session::new(client));
        Opened {
            protocol: Protocol {
                methods: methods(&session),
                notifications: Notifications::new().on("notifications/cancelled", cancelled),
                // Revision 2025-03-26 has batches.
                strictness: Strictness::default(),
            },
            // The server speaks only when it is asked.
            announcements: Box::pin(async {}),
        }
    }
}

fn methods(session: &Arc<Session>) -> runabout_rpc::Methods {
    let mut module = RpcModule::from_arc(Arc::clone(session));
    let all = [
        module.register_method(INITIALIZE, |params, _, _| handshake::initialize(&params)).err(),
        module.register_method(DISCOVER, |params, _, _| handshake::discover(&params)).err(),
        module.register_method("ping", |params, _, _| handshake::ping(&params)).err(),
        module.register_method("tools/list", |params, _, _| tools::list(&params)).err(),
        module
            .register_async_method("tools/call", |params, session, extensions| {
                tools::call(params, session, RequestContext::of(&extensions))
            })
            .err(),
        module
            .register_method("tasks/get", |params, session, _| {
                tasks::get(&params, &session.tasks, &session.client)
            })
            .err(),
        module
            .register_method("tasks/update", |params, session, _| tasks::update(&params, &session.tasks))
            .err(),
        module
            .register_method("tasks/cancel", |params, session, _| tasks::cancel(&params, &session.tasks))
            .err(),
        module
            .register_async_method("subscriptions/listen", |params, _, extensions| {
                listen::answer(params, RequestContext::of(&extensions))
            })
            .err(),
    ];
    assert!(all.iter().all(Option::is_none), "no two methods have the same name");
    module.into()
}

/// `notifications/cancelled`: the client has withdrawn a request, and must not hear of it again.
fn cancelled(params: &Params<'_>, connection: &Handle) {
    #[derive(Deserialize)]
    struct Cancelled {
        #[serde(rename = "requestId")]
        id: Box<RawValue>,
        reason: Option<String>,
    }
    let Ok(Cancelled { id, reason }) = params::parse_lenient(params) else { return };
    let Some(id) = RequestId::from_raw(&id) else { return };
    let found = connection.in_flight().cancel(&id, CancelledBy::Withdrawal);
    tracing::debug!(%id, reason, was_running = matches!(found, Lookup::Running(_)), "withdrawn");
}
