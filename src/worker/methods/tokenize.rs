//! `tokenize`: count tokens.

use std::sync::Arc;

use runabout_api::{TokenizeParams, TokenizeResult};
use runabout_engine::Priority;
use runabout_rpc::{Params, RequestContext};

use super::work::{Order, Work};
use super::{MethodResult, chat, read};
use crate::convert;
use crate::session::Session;

pub(super) async fn tokenize(
    params: Params<'static>,
    session: &Arc<Session>,
    request: &RequestContext,
) -> MethodResult<TokenizeResult> {
    let (params, n_bytes): (TokenizeParams, _) = read(params)?;
    if params.text.is_some() == params.messages.is_some() {
        return Err(convert::invalid("text", "exactly one of `text` and `messages` must be given"));
    }
    if !params.tools.is_empty() {
        return Err(convert::unsupported(Some("tools"), "`tools` are not supported by this version"));
    }
    let order = Order { n_bytes, priority: Priority::Background, time_budget: None, completion: None };
    let mut work = Work::begin(session, request, &order)?;
    let return_tokens = params.return_tokens;
    let tokens = work.prepare(move |model| match (params.text, params.messages) {
        (Some(text), _) => Ok(model.facts.tokenizer.encode_text(&text)),
        (None, messages) => {
            chat::encode(messages.unwrap_or_default(), &params.chat_template_kwargs, &model.facts, None)
        }
    });
    let Ok((_, tokens)) = tokens.await? else {
        return Err(convert::request_cancelled(String::new()));
    };
    Ok(TokenizeResult { count: tokens.len() as u64, tokens: return_tokens.then_some(tokens) })
}
