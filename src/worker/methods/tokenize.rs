//! `tokenize`: count tokens.

use std::sync::Arc;

use runabout_api::{TokenizeParams, TokenizeResult};
use runabout_rpc::{Params, RequestContext, params};

use super::work::Work;
use super::{MethodResult, chat, in_background};
use crate::convert;
use crate::session::Session;

pub(super) async fn tokenize(
    params: &Params<'_>,
    session: &Arc<Session>,
    request: &RequestContext,
) -> MethodResult<TokenizeResult> {
    let params: TokenizeParams = params::parse(params)?;
    if params.text.is_some() == params.messages.is_some() {
        return Err(convert::invalid("text", "exactly one of `text` and `messages` must be given"));
    }
    if !params.tools.is_empty() {
        return Err(convert::unsupported(Some("tools"), "`tools` are not supported by this version"));
    }
    let work = Work::begin(session, request, None);
    let Ok(model) = work.model().await? else {
        return Err(convert::request_cancelled(String::new()));
    };
    let return_tokens = params.return_tokens;
    let tokens = in_background(move || match (params.text, params.messages) {
        (Some(text), _) => Ok(model.facts.tokenizer.encode_text(&text)),
        (None, messages) => {
            chat::encode(messages.unwrap_or_default(), &params.chat_template_kwargs, &model.facts)
        }
    })
    .await?;
    Ok(TokenizeResult { count: tokens.len() as u64, tokens: return_tokens.then_some(tokens) })
}
