//! How a client gets to know the server: `initialize` of the older revisions, `server/discover` of the newer ones, and
//! `ping`. All are answered at once, without the model.

use runabout_rpc::{ErrorObjectOwned, Params, params};
use serde::Deserialize;
use serde_json::{Value, json};

use super::era::{Era, LEGACY, MODERN, Meta, TASKS, server_info};

/// Tells the agent's own model when the tools are worth calling.
const INSTRUCTIONS: &str = "Tools of a small language model on this machine, for simple and bulky coding tasks: it costs \
nothing per token, but it is less able than you. Give it one well-defined task at a time. Where a tool takes paths, pass \
paths instead of text, so that the text never passes through you. Results say whether they were cut off, and how sure the \
model was: check them before you use them.";

pub(super) fn initialize(params: &Params<'_>) -> Result<Value, ErrorObjectOwned> {
    #[derive(Deserialize)]
    struct Introduction {
        #[serde(rename = "protocolVersion")]
        version: String,
        #[serde(rename = "clientInfo")]
        client: Option<ClientInfo>,
    }
    #[derive(Deserialize)]
    struct ClientInfo {
        name: Option<String>,
        version: Option<String>,
    }
    let Introduction { version, client } = params::parse_lenient(params)?;
    if let Some(client) = client {
        tracing::info!(client = client.name, version = client.version, "initialize");
    }
    // A client that does not speak the version that it gets ends the connection.
    let agreed = LEGACY.iter().find(|it| **it == version).unwrap_or(&LEGACY[0]);
    Ok(json!({
        "protocolVersion": agreed,
        "capabilities": {"tools": {}},
        "serverInfo": server_info(),
        "instructions": INSTRUCTIONS,
    }))
}

pub(super) fn discover(params: &Params<'_>) -> Result<Value, ErrorObjectOwned> {
    // A client that asks without saying its version gets the answer of the revision that has this request.
    Meta::of(params)?;
    Ok(Era::Modern.lasting_result(json!({
        "supportedVersions": MODERN,
        "capabilities": {"tools": {}, "extensions": {TASKS: {}}},
        "instructions": INSTRUCTIONS,
    })))
}

pub(super) fn ping(params: &Params<'_>) -> Result<Value, ErrorObjectOwned> {
    Ok(Meta::of(params)?.era.result(json!({})))
}
