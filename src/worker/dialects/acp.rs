//! The agent client protocol (ACP): editors' chat windows, with the model behind them as the agent.
//!
//! `protocol/acp.md` is its contract. [`agent`] is the state of a connection and `session` that of a conversation;
//! `prompt` answers what the person writes, `edit` changes files, `archive` keeps conversations on disk. What is sent is
//! made of the types of [`agent_client_protocol_schema`]; what is received is read leniently by `incoming`, since those
//! types refuse a whole message for one part that they do not know.

mod agent;
mod agreement;
mod archive;
mod block;
mod commands;
mod edit;
mod errors;
mod files;
mod fitting;
mod incoming;
mod initialize;
mod loading;
mod options;
mod prompt;
mod record;
mod reply;
mod session;
mod sessions;
mod step;
mod updates;
mod wording;

use std::sync::Arc;

use runabout_rpc::{
    CancelledBy, FirstMessage, Handle, Methods, Notifications, Params, Protocol, RequestContext, RequestId,
    RpcModule, Strictness, params,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use self::agent::Agent;
use super::dialect::{Dialect, Opened};
use crate::client::Client;

/// The agent client protocol, see the module.
pub(crate) struct Acp;

const INITIALIZE: &str = "initialize";

impl Dialect for Acp {
    fn name(&self) -> &'static str {
        "acp"
    }

    /// Claims a client whose `initialize` has a version that is a number, unlike that of MCP, and is named as in ACP.
    fn claims(&self, first: &FirstMessage<'_>) -> bool {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Introduction {
            protocol_version: serde_json::Value,
        }
        first.method == INITIALIZE
            && params::parse_lenient::<Introduction>(&first.params())
                .is_ok_and(|it| it.protocol_version.is_number())
    }

    fn open(&self, client: Client, connection: Handle) -> Opened {
        connection.take_only(INITIALIZE, errors::not_initialized());
        let agent = Arc::new(Agent::new(client, connection));
        Opened {
            protocol: Protocol {
                methods: methods(&agent),
                notifications: notifications(&agent),
                strictness: Strictness { takes_batches: false, requires_version: false },
            },
            // Whatever there is to tell belongs to a session.
            announcements: Box::pin(async {}),
        }
    }
}

fn methods(agent: &Arc<Agent>) -> Methods {
    let mut module = RpcModule::from_arc(Arc::clone(agent));
    macro_rules! register {
        ($($name:literal => $answer:path),* $(,)?) => {
            [$(module.register_async_method($name, |params, agent, extensions| {
                $answer(params, agent, RequestContext::of(&extensions))
            }).err()),*]
        };
    }
    let waiting = register! {
        "session/load" => sessions::load,
        "session/resume" => sessions::resume,
        "session/list" => sessions::list,
        "session/delete" => sessions::delete,
        "session/prompt" => prompt::answer,
    };
    let own = Arc::clone(agent);
    let immediate = [
        module.register_method(INITIALIZE, |params, agent, _| initialize::answer(&params, agent)).err(),
        module
            .register_method("session/new", move |params, _, extensions| {
                sessions::new(&params, &own, RequestContext::of(extensions))
            })
            .err(),
        module.register_method("session/close", |params, agent, _| sessions::close(&params, agent)).err(),
        module
            .register_method("session/set_config_option", |params, agent, _| options::set(&params, agent))
            .err(),
    ];
    assert!(waiting.iter().chain(&immediate).all(Option::is_none), "no two methods have the same name");
    module.into()
}

fn notifications(agent: &Arc<Agent>) -> Notifications {
    let agent = Arc::clone(agent);
    Notifications::new()
        .on("session/cancel", move |params, _| {
            let session =
                incoming::read::<incoming::OfSession>(params).and_then(|it| agent.session(&it.session_id));
            match session {
                Ok(session) => agent.cancel(&session),
                Err(error) => tracing::warn!(error = error.message(), "`session/cancel` is ignored"),
            }
        })
        .on("$/cancel_request", cancel_request)
}

/// Cancels the request that the params name. It is answered nevertheless.
fn cancel_request(params: &Params<'_>, connection: &Handle) {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct CancelRequest {
        request_id: Box<RawValue>,
    }
    let id = params::parse_lenient::<CancelRequest>(params)
        .ok()
        .and_then(|it| RequestId::from_raw(&it.request_id));
    if let Some(id) = id {
        connection.in_flight().cancel(&id, CancelledBy::CancelRequest);
    }
}
