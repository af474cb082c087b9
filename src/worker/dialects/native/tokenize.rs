//! `tokenize`: counts the tokens of a text or a conversation.

use runabout_api::{TokenizeParams, TokenizeResult, methods};
use runabout_assist::Tokenize;

use super::method::{Answer, Call, MethodResult};
use super::stream::Ended;
use super::{errors, from_wire};

impl Answer for methods::Tokenize {
    async fn answer(mut call: Call) -> MethodResult<TokenizeResult> {
        let TokenizeParams { text, messages, tools, chat_template_kwargs, return_tokens } = call.read()?;
        let request = match (text, messages) {
            (Some(text), None) => Tokenize::Text(text),
            (None, Some(messages)) => Tokenize::Conversation {
                messages: messages.into_iter().map(from_wire::message).collect(),
                tools: from_wire::tools(&tools)?,
                template_variables: chat_template_kwargs,
            },
            _ => return Err(errors::invalid("text", "exactly one of `text` and `messages` must be given")),
        };
        let tokens = tokio::select! {
            tokens = call.client.assistant.tokenize(request) => tokens.map_err(|it| errors::of_request(&it))?,
            _ = call.request.cancelled() => {
                call.request.note(Ended { by_cancel: true, completion_tokens: 0 });
                return Err(errors::request_cancelled(String::new()));
            }
        };
        Ok(TokenizeResult { count: tokens.len() as u64, tokens: return_tokens.then_some(tokens) })
    }
}
