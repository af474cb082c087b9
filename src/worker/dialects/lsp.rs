//! The language server protocol: the worker keeps the client's documents and suggests text in them.
//!
//! `protocol/lsp.md` is its contract. [`session`] is the state of a connection; `sync` and `documents` keep the
//! documents, `suggest` suggests text, `commands` hears what became of it. The methods of the native protocol are
//! available on the same connection.

mod agreement;
mod announce;
mod at_cursor;
mod commands;
mod completion_list;
mod configuration;
mod document;
mod documents;
mod fate;
mod history;
mod idle;
mod imports;
mod incoming;
mod info;
mod initialize;
mod inline;
mod items;
mod next_edit;
mod offers;
mod positions;
mod report;
mod rhythm;
mod session;
mod settings;
mod state;
mod statistics;
mod suggest;
mod suggestion;
mod sync;
mod window;
mod workspace;

use std::sync::Arc;

use runabout_rpc::{
    ErrorObject, ErrorObjectOwned, FirstMessage, Handle, Notifications, Params, Protocol, RequestContext,
    RpcModule, Strictness, params,
};
use serde::Deserialize;
use serde::de::IgnoredAny;

use self::session::Session;
use super::dialect::{Dialect, Opened};
use super::native;
use crate::client::Client;

/// The language server protocol, see the module.
pub(crate) struct Lsp;

const INITIALIZE: &str = "initialize";
const SHUTDOWN: &str = "shutdown";

/// LSP's error for a request before `initialize`.
const SERVER_NOT_INITIALIZED: i32 = -32002;
/// JSON-RPC's error for a request that must not be sent, in LSP also for one after `shutdown`.
const INVALID_REQUEST: i32 = -32600;

impl Dialect for Lsp {
    fn name(&self) -> &'static str {
        "lsp"
    }

    /// Claims a client that begins with the `initialize` of LSP, which has `capabilities`, and no version.
    fn claims(&self, first: &FirstMessage<'_>) -> bool {
        #[derive(Deserialize)]
        struct Introduction {
            capabilities: Option<IgnoredAny>,
            #[serde(rename = "protocolVersion")]
            of_other_protocols: Option<IgnoredAny>,
            protocol_version: Option<IgnoredAny>,
        }
        first.method == INITIALIZE
            && params::parse_lenient::<Introduction>(&first.params()).is_ok_and(|it| {
                it.capabilities.is_some() && it.of_other_protocols.is_none() && it.protocol_version.is_none()
            })
    }

    fn open(&self, client: Client, connection: Handle) -> Opened {
        let message = "the first request must be `initialize`";
        connection.take_only(INITIALIZE, error(SERVER_NOT_INITIALIZED, message));
        let session = Arc::new(Session::new(client, connection));
        Opened {
            protocol: Protocol {
                methods: methods(&session),
                notifications: notifications(&session),
                strictness: Strictness { takes_batches: false, requires_version: false },
            },
            announcements: Box::pin(async move {
                tokio::join!(announce::announce(&session), idle::warm(&session));
            }),
        }
    }
}

/// Our methods, and those of the native protocol that have another name.
fn methods(session: &Arc<Session>) -> runabout_rpc::Methods {
    let mut module = RpcModule::from_arc(Arc::clone(session));
    let all = [
        module.register_method(INITIALIZE, |params, session, _| initialize::answer(&params, session)).err(),
        module.register_method(SHUTDOWN, |_, session, _| shut_down(session)).err(),
        module
            .register_async_method("textDocument/inlineCompletion", |params, session, extensions| {
                inline::answer(params, session, RequestContext::of(&extensions))
            })
            .err(),
        module
            .register_async_method("textDocument/completion", |params, session, extensions| {
                completion_list::answer(params, session, RequestContext::of(&extensions))
            })
            .err(),
        module
            .register_async_method("workspace/executeCommand", |params, session, extensions| {
                commands::execute(params, session, RequestContext::of(&extensions))
            })
            .err(),
        module.merge(native::methods_except(&session.client, &[INITIALIZE, SHUTDOWN])).err(),
    ];
    assert!(all.iter().all(Option::is_none), "no two methods have the same name");
    module.into()
}

fn notifications(session: &Arc<Session>) -> Notifications {
    let client = session.client.clone();
    let notifications = native::with_cancel(Notifications::new())
        .on("exit", move |_, connection| client.exit(connection))
        .on("initialized", {
            let session = Arc::clone(session);
            move |_, _| {
                session.set_initialized();
                configuration::begin(&session);
            }
        });
    let on = |notifications: Notifications, name, handle: Handler| {
        let session = Arc::clone(session);
        notifications.on(name, move |params, _| {
            // LSP drops notifications before `initialize`.
            if session.agreement().is_none() {
                tracing::warn!(name, "a notification before `initialize` is ignored");
            } else if let Err(error) = handle(params, &session) {
                tracing::warn!(name, error = error.message(), "a notification cannot be read");
            }
        })
    };
    let handlers: [(_, Handler); 9] = [
        ("textDocument/didOpen", sync::did_open),
        ("textDocument/didChange", sync::did_change),
        ("textDocument/didSave", sync::did_save),
        ("textDocument/didClose", sync::did_close),
        ("textDocument/didFocus", sync::did_focus),
        ("textDocument/didShowCompletion", fate::did_show),
        ("textDocument/didPartiallyAcceptCompletion", fate::did_partially_accept),
        ("workspace/didChangeWorkspaceFolders", sync::did_change_folders),
        ("workspace/didChangeConfiguration", configuration::did_change),
    ];
    handlers.into_iter().fold(notifications, |all, (name, handle)| on(all, name, handle))
}

/// What the handler of a notification returns: an error if its params cannot be read, which is logged.
type Handled = Result<(), ErrorObjectOwned>;
type Handler = fn(&Params<'_>, &Arc<Session>) -> Handled;

fn shut_down(session: &Session) {
    session.client.shut_down(&session.connection, error(INVALID_REQUEST, "the worker is shutting down"));
}

fn error(code: i32, message: &str) -> ErrorObjectOwned {
    ErrorObject::owned(code, message, None::<()>)
}
