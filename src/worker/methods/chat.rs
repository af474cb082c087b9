//! `chat`: one assistant turn.

use std::sync::Arc;

use runabout_api::{ChatParams, ChatResult, Message, ResponseFormat, Role};
use runabout_engine::{ModelDescription, TextStart};
use runabout_rpc::{Params, RequestContext};
use runabout_text::{self as text, ChatRequest, Trimmed};
use serde_json::{Map, Value};

use super::work::{Order, Outcome, Prompt, Terms, Work};
use super::{MethodResult, check_size, read};
use crate::convert;
use crate::host::{Facts, Model};
use crate::session::Session;

pub(super) async fn chat(
    params: Params<'static>,
    session: &Arc<Session>,
    request: &RequestContext,
) -> MethodResult<ChatResult> {
    let (params, n_bytes): (ChatParams, _) = read(params)?;
    let terms = terms(&params)?;
    let mut work = Work::begin(session, request, &Order::new(n_bytes, &terms))?;
    let options = (params.return_tokens, params.logprobs.is_some());
    let (facts, prompt) = match work.prepare(move |model| prompt(params, model)).await? {
        Ok(prepared) => prepared,
        Err(outcome) => return Ok(result(&outcome, None, options)),
    };
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
    let limit = Some((params.max_tokens, &model.description));
    let tokens = encode(params.messages, &params.chat_template_kwargs, &model.facts, limit)?;
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

/// A conversation as the model is given it, the start of the assistant's turn included. With `limit`, which has the
/// number of output tokens, a conversation that is too long by its size is refused before it is encoded.
pub(super) fn encode(
    messages: Vec<Message>,
    kwargs: &Map<String, Value>,
    facts: &Facts,
    limit: Option<(u32, &ModelDescription)>,
) -> MethodResult<Vec<u32>> {
    let n_least = messages
        .iter()
        .flat_map(|it| &it.content)
        .map(|it| facts.tokenizer.least_tokens(&convert::text_of(it)))
        .sum();
    let messages: Vec<text::Message> = messages.into_iter().map(convert::message).collect();
    let request = ChatRequest { messages: &messages, tools: &[], kwargs, add_generation_prompt: true };
    if let Some((max_tokens, description)) = limit
        && check_size(n_least, max_tokens, description).is_err()
    {
        // A template may leave out some of what was said.
        let rendered = facts.tokenizer.render_chat(&request).map_err(|e| convert::text_error(&e))?;
        check_size(facts.tokenizer.least_tokens(&rendered), max_tokens, description)?;
    }
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
