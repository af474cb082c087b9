//! What can be chosen in a session: [`all`]. There is the model, and that is the one of this process.
//!
//! A process loads one model, so there is nothing to choose from; the option is there because clients show it.

use agent_client_protocol_schema::v1::{
    SessionConfigOption, SessionConfigOptionCategory, SessionConfigSelectOption,
    SetSessionConfigOptionResponse,
};
use runabout_assist::State;
use runabout_rpc::{ErrorObjectOwned, Params};

use super::agent::Agent;
use super::{errors, incoming};

const MODEL: &str = "model";

/// The options of every session.
pub(super) fn all(agent: &Agent) -> Vec<SessionConfigOption> {
    let app = &agent.client.app;
    let value = app.reference.clone();
    let mut model = SessionConfigSelectOption::new(value.clone(), agent.model_name());
    if let State::Ready(it) = app.model().engine().state() {
        model = model.description(format!("{}, a context of {} tokens", it.device, it.context_length));
    }
    let option = SessionConfigOption::select(MODEL, "Model", value, vec![model]);
    vec![option.category(SessionConfigOptionCategory::Model)]
}

/// `session/set_config_option`.
pub(super) fn set(
    params: &Params<'_>,
    agent: &Agent,
) -> Result<SetSessionConfigOptionResponse, ErrorObjectOwned> {
    let params: incoming::SetConfigOption = incoming::read(params)?;
    agent.session(&params.session_id)?;
    if params.config_id != MODEL {
        return Err(errors::invalid("configId", format!("must be `{MODEL}`, got `{}`", params.config_id)));
    }
    let reference = &agent.client.app.reference;
    if params.value != reference.as_str() {
        let fault = format!(
            "must be `{reference}`, got {}\nhint: a process has one model; for another one, start `runabout acp --model`",
            params.value
        );
        return Err(errors::invalid("value", fault));
    }
    Ok(SetSessionConfigOptionResponse::new(all(agent)))
}
