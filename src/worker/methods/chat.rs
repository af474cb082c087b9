//! `chat`: one assistant turn.

use std::sync::Arc;

use runabout_api::{ChatParams, ChatResult, Message, ResponseFormat, Role};
use runabout_engine::TextStart;
use runabout_rpc::{Params, RequestContext, params};
use runabout_text::{self as text, ChatRequest, Trimmed};
use serde_json::{Map, Value};

use super::work::{Outcome, Prompt, Terms, Work};
use super::{MethodResult, in_background};
use crate::convert;
use crate::host::{Facts, Model};
use crate::session::Session;

pub(super) async fn chat(
    params: &Params<'_>,
    session: &Arc<Session>,
    request: &RequestContext,
) -> MethodResult<ChatResult> {
    let params: ChatParams = params::parse(params)?;
    let terms = terms(&params)?;
    let work = Work::begin(session, request, None);
    let options = (params.return_tokens, params.logprobs.is_some());
    let model = match work.model().await? {
        Ok(model) => model,
        Err(outcome) => return Ok(result(&outcome, None, options)),
    };
    let facts = model.facts.clone();
    let prompt = in_background(move || prompt(params, &model)).await?;
    Ok(result(&work.run(terms, prompt, 1).await?, Some(&facts), options))
}

pub(super) fn terms(params: &ChatParams) -> MethodResult<Terms> {
    check_messages(&params.messages)?;
    if !params.tools.is_empty() {
        return Err(convert::unsupported(Some("tools"), "`tools` are not supported by this version"));
    }
    match &params.response_format {
        None | Some(ResponseFormat::Text) => {}
        Some(_) => {
            let message =
                "`response_format` must be of type `text`: this version cannot hold a text to another form";
            return Err(convert::unsupported(Some("response_format"), message));
        }
    }
    Terms::new(
        params.max_tokens,
        params.time_budget_ms,
        params.priority,
        params.stop.clone(),
        params.logprobs,
        params.stream,
    )
    .map(|it| it.speculating(params.speculation))
}

fn check_messages(messages: &[Message]) -> MethodResult<()> {
    if messages.is_empty() {
        return Err(convert::invalid("messages", "`messages` must have at least one message, got none"));
    }
    if let Some(i) = messages.iter().position(|it| it.content.is_none() && it.tool_calls.is_empty()) {
        let field = format!("messages[{i}].content");
        let message = format!("`{field}` must be a string where there are no `tool_calls`");
        return Err(convert::invalid(&field, message));
    }
    Ok(())
}

/// The prompt that the model is given. Blocks for as long as rendering and encoding take.
pub(super) fn prompt(params: ChatParams, model: &Model) -> MethodResult<Prompt> {
    let sampling = convert::sampling(params.sampling(), model.facts.defaults.for_chat());
    sampling.validate(model.description.vocabulary_size).map_err(|e| convert::text_error(&e))?;
    let tokens = encode(params.messages, &params.chat_template_kwargs, &model.facts)?;
    Ok(Prompt {
        tokens,
        trimmed: Trimmed::default(),
        params: sampling,
        rules: None,
        healing: None,
        end_tokens: model.facts.tokenizer.end_tokens().to_vec(),
        text_start: TextStart::Fresh,
        line_end: None,
    })
}

/// A conversation as the model is given it, the start of the assistant's turn included.
pub(super) fn encode(
    messages: Vec<Message>,
    kwargs: &Map<String, Value>,
    facts: &Facts,
) -> MethodResult<Vec<u32>> {
    let messages: Vec<text::Message> = messages.into_iter().map(convert::message).collect();
    let request = ChatRequest { messages: &messages, tools: &[], kwargs, add_generation_prompt: true };
    facts.tokenizer.encode_chat(&request).map_err(|e| convert::text_error(&e))
}

fn result(
    outcome: &Outcome,
    facts: Option<&Facts>,
    (return_tokens, return_logprobs): (bool, bool),
) -> ChatResult {
    let finish = outcome.first();
    let logprobs = facts.map(|it| convert::logprobs(finish, &it.tokenizer)).unwrap_or_default();
    ChatResult {
        message: Message::new(Role::Assistant, finish.text.clone()),
        finish_reason: convert::finish_reason(finish.reason),
        usage: outcome.usage(),
        timing: outcome.timing(),
        tokens: return_tokens.then(|| finish.tokens.clone()),
        logprobs: return_logprobs.then_some(logprobs),
    }
}
