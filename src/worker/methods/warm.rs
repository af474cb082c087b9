//! `warm`: put the prompt of a later request into the cache.

use std::sync::Arc;

use runabout_api::{ChatParams, CompleteParams, WarmResult};
use runabout_rpc::{Params, RequestContext, params};

use super::complete::in_background;
use super::work::Work;
use super::{Result_, chat, complete};
use crate::session::Session;

pub(super) async fn warm(
    params: &Params<'_>,
    session: &Arc<Session>,
    request: &RequestContext,
) -> Result_<WarmResult> {
    let is_chat = params::has(params, "messages");
    let work = Work::begin(session, request, None);
    let (terms, prompt): (_, Box<dyn FnOnce(&_) -> Result_<_> + Send>) = if is_chat {
        let params: ChatParams = params::parse(params)?;
        (chat::terms(&params)?, Box::new(move |model| chat::prompt(params, model)))
    } else {
        let params: CompleteParams = params::parse(params)?;
        (complete::terms(&params)?, Box::new(move |model| complete::prompt(params, model)))
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
