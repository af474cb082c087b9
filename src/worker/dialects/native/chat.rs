//! `chat`: generates the assistant's next message.

use runabout_api::methods::Chat;
use runabout_api::{self as api, ChatParams, ChatResult, ResponseFormat};
use runabout_assist::FinishReason;

use super::method::{Answer, Call, MethodResult};
use super::stream::{self, Streaming};
use super::{errors, from_wire, to_wire};

impl Answer for Chat {
    async fn answer(mut call: Call) -> MethodResult<ChatResult> {
        let params: ChatParams = call.read()?;
        let (return_tokens, return_logprobs) = (params.return_tokens, params.logprobs.is_some());
        let has_format = params.response_format.is_some();
        let is_json = matches!(params.response_format, Some(ResponseFormat::JsonSchema { .. }));
        let streaming = if params.stream { Streaming::One } else { Streaming::Off };
        let conversation = from_wire::conversation(params)?;
        let run = call.client.assistant.chat(conversation).map_err(|it| errors::of_request(&it))?;
        let outcome = stream::outcome(run, &call.request, streaming).await?;
        let (usage, timing) = (to_wire::usage(&outcome), to_wire::timing(&outcome));
        let finish = &outcome.finishes[0];
        let logprobs =
            outcome.tokenizer.as_deref().map(|it| to_wire::logprobs(finish, it)).unwrap_or_default();
        Ok(ChatResult {
            message: to_wire::message(&outcome.turn),
            // The model ended its turn in order to get the results of its calls.
            finish_reason: match finish.reason {
                FinishReason::Eos if !outcome.turn.calls.is_empty() => api::FinishReason::ToolCalls,
                reason => to_wire::finish_reason(reason),
            },
            tool_call_errors: outcome.turn.faults.iter().map(to_wire::tool_call_error).collect(),
            // A call that was cut off is among the errors.
            incomplete: to_wire::incomplete(finish, is_json).filter(|_| has_format),
            usage,
            timing,
            tokens: return_tokens.then(|| finish.tokens.clone()),
            logprobs: return_logprobs.then_some(logprobs),
        })
    }
}
