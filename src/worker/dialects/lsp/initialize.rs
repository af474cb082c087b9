//! `initialize`: the client introduces itself, the worker answers with what it can do. The model may still be loading.

use runabout_rpc::{ErrorObject, ErrorObjectOwned, Params};
use serde_json::{Value, json};

use super::agreement::Introduction;
use super::session::Session;
use super::workspace::Workspace;
use super::{commands, configuration, incoming, state};

/// JSON-RPC's error for a request that must not be sent now.
const INVALID_REQUEST: i32 = -32600;

pub(super) fn answer(params: &Params<'_>, session: &Session) -> Result<Value, ErrorObjectOwned> {
    let mut introduction: Introduction = incoming::read(params)?;
    let agreement = introduction.agreement();
    if let Some(client) = &introduction.client_info {
        tracing::info!(client = client.name, version = client.version, "initialize");
    }
    if !session.agree(agreement.clone()) {
        return Err(ErrorObject::owned(INVALID_REQUEST, "`initialize` must be sent once", None::<()>));
    }
    let workspace = Workspace::of(&introduction.folders());
    session.project().set_roots(workspace.local_folders().to_vec());
    *session.workspace() = workspace;
    configuration::apply(session, &agreement.settings);
    session.connection.take_requests();
    let mut about = state::status(session, &session.client.app.model().engine().state());
    about["protocolVersion"] = runabout_api::PROTOCOL_VERSION.into();
    let mut result = json!({
        "capabilities": {
            "positionEncoding": agreement.encoding.kind(),
            "textDocumentSync": {"openClose": true, "change": 2, "save": true},
            "inlineCompletionProvider": true,
            "executeCommandProvider": commands::capability(),
            "workspace": {"workspaceFolders": {"supported": true, "changeNotifications": true}},
            "experimental": {"runabout": about},
        },
        "serverInfo": {"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")},
    });
    if session.settings().completion_list {
        result["capabilities"]["completionProvider"] = json!({});
    }
    Ok(result)
}
