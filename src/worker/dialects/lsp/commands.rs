//! `workspace/executeCommand`: what became of a suggestion, what the worker is doing, and the next edit.

use std::sync::Arc;

use runabout_rpc::{ErrorObjectOwned, Params, RequestContext, params};
use serde_json::{Value, json};

use super::offers::OfferId;
use super::session::Session;
use super::statistics::Counts;
use super::{fate, incoming, info, next_edit};
use crate::suggestion_counts::SuggestionCounts;

/// The client accepted a suggestion in full.
pub(super) const ACCEPT: &str = "runabout.accept";
/// The client's user dismissed a suggestion.
const REJECT: &str = "runabout.reject";
const INFO: &str = "runabout.info";
/// The client wants to know what will be changed next.
const NEXT_EDIT: &str = "runabout.nextEdit";
const STATISTICS: &str = "runabout.statistics";
const RESET_STATISTICS: &str = "runabout.resetStatistics";

/// The commands that there are.
const ALL: [&str; 6] = [ACCEPT, REJECT, INFO, NEXT_EDIT, STATISTICS, RESET_STATISTICS];

pub(super) async fn execute(
    params: Params<'static>,
    session: Arc<Session>,
    request: RequestContext,
) -> Result<Value, ErrorObjectOwned> {
    let session = &session;
    let incoming::ExecuteCommand { command, arguments } = incoming::read(&params)?;
    match command.as_str() {
        ACCEPT => {
            fate::accepted(offer_id(&arguments)?, session);
            Ok(Value::Null)
        }
        REJECT => {
            session.offers().dismissed(offer_id(&arguments)?);
            Ok(Value::Null)
        }
        STATISTICS => Ok(json!(Counts::from(&*session.offers().counts()))),
        RESET_STATISTICS => {
            *session.offers().counts() = SuggestionCounts::default();
            Ok(Value::Null)
        }
        INFO => {
            session.settings_known().await;
            Ok(info::info(session))
        }
        NEXT_EDIT => next_edit::answer(arguments, session, &request).await,
        _ => Err(params::invalid(
            "command",
            format!("`command` must be one of {}, got `{command}`", ALL.join(", ")),
        )),
    }
}

fn offer_id(arguments: &[Value]) -> Result<OfferId, ErrorObjectOwned> {
    arguments
        .first()
        .and_then(Value::as_u64)
        .ok_or_else(|| params::invalid("arguments", "`arguments` must contain the suggestion's id"))
}

/// The capability of the same name.
pub(super) fn capability() -> Value {
    json!({"commands": ALL})
}
