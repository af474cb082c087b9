//! `complete`: text at the cursor.

use std::sync::Arc;

use runabout_api::{Choice, CompleteParams, CompleteResult, CompletionMode};
use runabout_engine::{Finish, FinishReason, TextStart};
use runabout_rpc::{Params, RequestContext};
use runabout_text::{
    CompletionPrompt, ContextFile, Cursor, Goal, Healing, InLf, LineEnd, Rule, Rules, Surroundings,
    Tokenizer, Trimmed, continuation_prompt, healing_start,
};

use super::work::{Order, Outcome, Prompt, Terms, Work, within};
use super::{MethodResult, check_size, read};
use crate::convert;
use crate::host::{Facts, Model};
use crate::session::{MAX_CHOICES, Session};

/// At least this part of the context is the prompt's, however long the output may be.
const MIN_PROMPT_SHARE: usize = 2;

pub(super) async fn complete(
    params: Params<'static>,
    session: &Arc<Session>,
    request: &RequestContext,
) -> MethodResult<CompleteResult> {
    let (params, n_bytes): (CompleteParams, _) = read(params)?;
    let terms = terms(&params)?;
    let mut work = Work::begin(session, request, &Order::new(n_bytes, &terms).of_completion(&params))?;
    let n = params.n;
    let wanted = Wanted { tokens: params.return_tokens, logprobs: params.logprobs.is_some() };
    let (facts, prompt) = match work.prepare(move |model| prompt(&params, model)).await? {
        Ok(prepared) => prepared,
        Err(outcome) => return Ok(result(outcome, None, wanted)),
    };
    Ok(result(work.run(terms, prompt, n).await?, Some(&facts), wanted))
}

pub(super) fn terms(params: &CompleteParams) -> MethodResult<Terms> {
    within("n", params.n, 1, MAX_CHOICES)?;
    if params.mode == CompletionMode::Raw {
        for (field, is_given) in
            [("suffix", params.suffix.is_some()), ("context", !params.context.is_empty())]
        {
            if is_given {
                let message =
                    format!("`{field}` must not be given in mode `raw`, whose prompt is `prefix` alone");
                return Err(convert::invalid(field, message));
            }
        }
    }
    let terms = Terms::new(
        params.max_tokens,
        params.time_budget_ms,
        params.priority,
        params.stop.clone(),
        params.logprobs,
        params.stream,
    )?;
    let document = params.document.as_deref().or(params.path.as_deref());
    Ok(terms.speculating(params.speculation).in_document(document))
}

/// The prompt that the model is given. Blocks for as long as encoding takes.
pub(super) fn prompt(params: &CompleteParams, model: &Model) -> MethodResult<Prompt> {
    let Model { facts, description } = model;
    let tokenizer = &facts.tokenizer;
    let sampling = convert::sampling(params.sampling(), facts.defaults.for_complete());
    sampling.validate(description.vocabulary_size).map_err(|e| convert::text_error(&e))?;
    let mut end_tokens = tokenizer.end_tokens().to_vec();
    let (mut rules, mut healing, mut line_end) = (None, None, None);
    let CompletionPrompt { tokens, trimmed } = if params.mode == CompletionMode::Raw {
        check_size(tokenizer.least_tokens(&params.prefix), params.max_tokens, description)?;
        CompletionPrompt { tokens: tokenizer.encode_prompt(&params.prefix), trimmed: Trimmed::default() }
    } else {
        let file = InLf::new(&params.prefix, params.suffix.as_deref().unwrap_or_default());
        line_end = Some(file.line_end);
        rules = Some(self::rules(params, &file));
        healing = healed(params, &file, tokenizer);
        let taken_back = healing.as_ref().map_or("", Healing::text);
        // Each may end its lines in its own way.
        let others: Vec<_> =
            params.context.iter().map(|it| (&it.path, LineEnd::of(&[&it.text]).to_lf(&it.text))).collect();
        let context: Vec<_> = others.iter().map(|(path, text)| ContextFile { path, text }).collect();
        let whole = Surroundings {
            prefix: file.prefix.strip_suffix(taken_back).unwrap_or(&file.prefix),
            suffix: &file.suffix,
            path: params.path.as_deref(),
            language: params.language.as_deref(),
            context: &context,
        };
        let max_output = (params.max_tokens as usize).min(description.context_length / MIN_PROMPT_SHARE);
        let limit = description.context_length - max_output;
        let prompt = match &facts.fim {
            Some(fim) => {
                end_tokens.extend(fim.stop_tokens());
                fim.prompt(tokenizer, &whole, limit)
            }
            None => continuation_prompt(tokenizer, &whole, limit),
        };
        CompletionPrompt { trimmed: file.trimmed(prompt.trimmed), ..prompt }
    };
    if tokens.is_empty() {
        return Err(convert::invalid(
            "prefix",
            "`prefix` must not be empty for a model that cannot fill in the middle",
        ));
    }
    let text_start = TextStart::Continuing;
    Ok(Prompt { tokens, trimmed, params: sampling, end_tokens, rules, healing, text_start, line_end })
}

fn rules(params: &CompleteParams, file: &InLf<'_>) -> Rules {
    let cursor = Cursor {
        prefix: &file.prefix,
        suffix: &file.suffix,
        language: params.language.as_deref(),
        path: params.path.as_deref(),
    };
    let goal = match params.mode {
        CompletionMode::Line => Goal::Line,
        CompletionMode::Block => Goal::Block,
        CompletionMode::Auto | CompletionMode::Raw => Goal::Auto,
    };
    let off: Vec<Rule> = params.rules.off.iter().map(|it| convert::rule(*it)).collect();
    Rules::new(&cursor, goal, &off)
}

/// What is taken back of the prefix. A model that goes on must keep something to go on from.
fn healed(params: &CompleteParams, file: &InLf<'_>, tokenizer: &Arc<Tokenizer>) -> Option<Healing> {
    let start = if params.healing { healing_start(tokenizer, &file.prefix) } else { file.prefix.len() };
    let (kept, taken_back) = file.prefix.split_at(start);
    if kept.is_empty() {
        return None;
    }
    Healing::new(Arc::clone(tokenizer), taken_back)
}

/// What a result shall tell beside the text.
#[derive(Clone, Copy)]
struct Wanted {
    tokens: bool,
    logprobs: bool,
}

fn result(outcome: Outcome, facts: Option<&Facts>, wanted: Wanted) -> CompleteResult {
    let (usage, timing) = (outcome.usage(), outcome.timing());
    let n_texts = outcome.finishes.len();
    let all = (0..).zip(outcome.finishes).map(|(index, it)| choice(index, it, facts, wanted));
    let mut choices: Vec<Choice> = Vec::new();
    for choice in all {
        // Texts that differed only in what a rule cut are one.
        if choices.iter().all(|it| it.text != choice.text) {
            choices.push(choice);
        }
    }
    let first = if n_texts > 1 { choices[0].clone() } else { choices.remove(0) };
    CompleteResult {
        text: first.text,
        finish_reason: first.finish_reason,
        rule: first.rule,
        choices: (!choices.is_empty()).then_some(choices),
        usage,
        timing,
        tokens: first.tokens,
        logprobs: first.logprobs,
    }
}

fn choice(index: u32, finish: Finish, facts: Option<&Facts>, wanted: Wanted) -> Choice {
    let logprobs = facts.map(|it| convert::logprobs(&finish, &it.tokenizer)).unwrap_or_default();
    Choice {
        index,
        finish_reason: convert::finish_reason(finish.reason),
        rule: match finish.reason {
            FinishReason::Rule { rule } => Some(convert::completion_rule(rule)),
            _ => None,
        },
        logprobs: wanted.logprobs.then_some(logprobs),
        tokens: wanted.tokens.then_some(finish.tokens),
        text: finish.text,
    }
}
