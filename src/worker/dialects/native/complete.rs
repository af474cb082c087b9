//! `complete`: continues a text, or fills in at the cursor.

use runabout_api::methods::Complete;
use runabout_api::{Choice, CompleteParams, CompleteResult, ResponseFormat};
use runabout_assist::{Finish, FinishReason, Outcome};
use runabout_text::Tokenizer;

use super::method::{Answer, Call, MethodResult};
use super::stream::{self, Streaming};
use super::{errors, from_wire, to_wire};

impl Answer for Complete {
    async fn answer(mut call: Call) -> MethodResult<CompleteResult> {
        let params: CompleteParams = call.read()?;
        let details = Details {
            tokens: params.return_tokens,
            logprobs: params.logprobs.is_some(),
            is_json: matches!(params.response_format, Some(ResponseFormat::JsonSchema { .. })),
        };
        let streaming = match (params.stream, params.n) {
            (false, _) => Streaming::Off,
            (true, 1) => Streaming::One,
            (true, _) => Streaming::Several,
        };
        let completion = from_wire::completion(params)?;
        let run = call.client.assistant.complete(completion).map_err(|it| errors::of_request(&it))?;
        Ok(result(stream::outcome(run, &call.request, streaming).await?, details))
    }
}

/// What the result contains besides the text.
#[derive(Clone, Copy)]
struct Details {
    tokens: bool,
    logprobs: bool,
    /// Whether the text is JSON by `response_format`.
    is_json: bool,
}

fn result(outcome: Outcome, details: Details) -> CompleteResult {
    let (usage, timing) = (to_wire::usage(&outcome), to_wire::timing(&outcome));
    let tokenizer = outcome.tokenizer.as_deref();
    let n_texts = outcome.finishes.len();
    let all = (0..).zip(outcome.finishes).map(|(index, it)| choice(index, it, tokenizer, details));
    let mut choices: Vec<Choice> = Vec::new();
    for choice in all {
        // Texts that differed only in what a rule cut off are returned once.
        if choices.iter().all(|it| it.text != choice.text) {
            choices.push(choice);
        }
    }
    let first = if n_texts > 1 { choices[0].clone() } else { choices.remove(0) };
    CompleteResult {
        text: first.text,
        finish_reason: first.finish_reason,
        rule: first.rule,
        confidence: first.confidence,
        incomplete: first.incomplete,
        choices: (!choices.is_empty()).then_some(choices),
        usage,
        timing,
        tokens: first.tokens,
        logprobs: first.logprobs,
    }
}

fn choice(index: u32, finish: Finish, tokenizer: Option<&Tokenizer>, details: Details) -> Choice {
    let logprobs = tokenizer.map(|it| to_wire::logprobs(&finish, it)).unwrap_or_default();
    Choice {
        index,
        finish_reason: to_wire::finish_reason(finish.reason),
        rule: match finish.reason {
            FinishReason::Rule { rule } => Some(to_wire::rule(rule)),
            _ => None,
        },
        confidence: to_wire::confidence(&finish),
        incomplete: to_wire::incomplete(&finish, details.is_json),
        logprobs: details.logprobs.then_some(logprobs),
        tokens: details.tokens.then_some(finish.tokens),
        text: finish.text,
    }
}
