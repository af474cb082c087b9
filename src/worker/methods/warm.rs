//! `warm`: put the prompt of a later request into the cache.

use std::sync::Arc;

use runabout_api::{ChatParams, CompleteParams, WarmResult};
use runabout_rpc::{Params, RequestContext, params};

use super::work::{Order, Prompt, Terms, Work};
use super::{MethodResult, chat, complete, read};
use crate::host::Model;
use crate::session::Session;

/// What is left to do once the model is there.
type MakePrompt = Box<dyn FnOnce(&Model) -> MethodResult<Prompt> + Send>;

pub(super) async fn warm(
    params: Params<'static>,
    session: &Arc<Session>,
    request: &RequestContext,
) -> MethodResult<WarmResult> {
    let (terms, prompt, n_bytes): (Terms, MakePrompt, usize) = if params::has(&params, "messages") {
        let (params, n_bytes): (ChatParams, _) = read(params)?;
        (chat::terms(&params)?, Box::new(move |model| chat::prompt(params, model)), n_bytes)
    } else {
        let (params, n_bytes): (CompleteParams, _) = read(params)?;
        (complete::terms(&params)?, Box::new(move |model| complete::prompt(&params, model)), n_bytes)
    };
    let mut work = Work::begin(session, request, &Order::new(n_bytes, &terms))?;
    let outcome = match work.prepare(prompt).await? {
        Ok((_, prompt)) => work.run(terms.prefill_only(), prompt, 1).await?,
        Err(outcome) => outcome,
    };
    let usage = outcome.usage();
    Ok(WarmResult { prompt_tokens: usage.prompt_tokens, cached_tokens: usage.cached_tokens })
}
