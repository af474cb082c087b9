//! `warm`: computes the prompt of a later `complete` or `chat` in advance and keeps it in the cache.

use runabout_api::methods;
use runabout_api::{ChatParams, CompleteParams, WarmResult};
use runabout_assist::Warm;
use runabout_rpc::params;

use super::method::{Answer, Call, MethodResult};
use super::stream::{self, Streaming};
use super::{errors, from_wire, to_wire};

impl Answer for methods::Warm {
    async fn answer(mut call: Call) -> MethodResult<WarmResult> {
        let request = if params::has(&call.params, "messages") {
            Warm::Conversation(from_wire::conversation(call.read::<ChatParams>()?)?)
        } else {
            Warm::Completion(from_wire::completion(call.read::<CompleteParams>()?)?)
        };
        let run = call.client.assistant.warm(request).map_err(|it| errors::of_request(&it))?;
        let usage = to_wire::usage(&stream::outcome(run, &call.request, Streaming::Off).await?);
        Ok(WarmResult { prompt_tokens: usage.prompt_tokens, cached_tokens: usage.cached_tokens })
    }
}
