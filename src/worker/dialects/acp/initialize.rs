//! `initialize`: the client says what it can do, the agent answers likewise. The model may still be loading.

use agent_client_protocol_schema::ProtocolVersion;
use agent_client_protocol_schema::v1::{
    AgentCapabilities, Implementation, InitializeResponse, PromptCapabilities, SessionCapabilities,
    SessionCloseCapabilities, SessionDeleteCapabilities, SessionListCapabilities, SessionResumeCapabilities,
};
use runabout_rpc::{ErrorObjectOwned, Params};

use super::agent::Agent;
use super::agreement::Agreement;
use super::{errors, incoming};

/// Whatever version the client asks for, the answer is the only one that there is here; a client that cannot speak it
/// leaves, as the protocol says.
pub(super) fn answer(params: &Params<'_>, agent: &Agent) -> Result<InitializeResponse, ErrorObjectOwned> {
    let introduction: incoming::Introduction = incoming::read(params)?;
    tracing::info!(client = %introduction.client_info, "initialize");
    if !agent.agree(Agreement::of(&introduction.client_capabilities)) {
        return Err(errors::initialized_twice());
    }
    agent.connection.take_requests();
    let sessions = SessionCapabilities::new()
        .list(SessionListCapabilities::new())
        .resume(SessionResumeCapabilities::new())
        .close(SessionCloseCapabilities::new())
        .delete(SessionDeleteCapabilities::new());
    let capabilities = AgentCapabilities::new()
        .load_session(true)
        .prompt_capabilities(PromptCapabilities::new().embedded_context(true))
        .session_capabilities(sessions);
    let name = env!("CARGO_PKG_NAME");
    Ok(InitializeResponse::new(ProtocolVersion::V1)
        .agent_capabilities(capabilities)
        .agent_info(Implementation::new(name, env!("CARGO_PKG_VERSION")).title("Runabout".to_owned())))
}
