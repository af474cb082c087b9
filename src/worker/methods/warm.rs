//! `warm`: put the prompt of a later request into the cache.

use std::sync::Arc;

use runabout_api::{ChatParams, CompleteParams, WarmResult};
use runabout_rpc::{Params, RequestContext, params};

use super::work::{Prompt, Terms, Work};
use super::{MethodResult, chat, complete, in_background};
use crate::host::Model;
use crate::session::Session;

/// What is left to do once the model is there.
type MakePrompt = Box<dyn FnOnce(&Model) -> MethodResult<Prompt> + Send>;

pub(super) async fn warm(
    params: &Params<'_>,
    session: &Arc<Session>,
    request: &RequestContext,
) -> MethodResult<WarmResult> {
    let is_chat = params::has(params, "messages");
    let work = Work::begin(session, request, None);
    let (terms, prompt): (Terms, MakePrompt) = if is_chat {
        let params: ChatParams = params::parse(params)?;
        (chat::terms(&params)?, Box::new(move |model| chat::prompt(params, model)))
    } else {
        let params: CompleteParams = params::parse(params)?;
        (complete::terms(&params)?, Box::new(move |model| complete::prompt(&params, model)))
    };
    let outcome = match work.model().await? {
        Ok(model) => {
            let prompt = in_background(move || prompt(&model)).await?;
            work.run(terms.prefill_only(), prompt, 1).await?
        }
        Err(outcome) => outcome,
    };
    let usage = outcome.usage();
    Ok(WarmResult { prompt_tokens: usage.prompt_tokens, cached_tokens: usage.cached_tokens })
}
