//! Converts the types of the protocol to the requests of [`runabout_assist`].

use std::collections::HashSet;
use std::time::Duration;

use runabout_api::{
    self as api, ChatParams, CompleteParams, CompletionMode, CompletionRule, NextEditParams, ResponseFormat,
    Speculation, Tool, ToolChoiceMode,
};
use runabout_assist::{
    AtCursor, Completion, Content, ContextFile, Conversation, Form, Format, Generation, Goal, Message,
    NextEdit, NextEditForm, NextEditFormat, Priority, RecentEdit, Rule, Sampling, ToolCall, ToolChoice,
    ToolUse,
};
use serde_json::Value;

use super::errors;
use super::method::MethodResult;

/// How the text is generated. A macro, since `CompleteParams` and `ChatParams` have the same fields but are different
/// types.
macro_rules! generation {
    ($params:ident) => {
        Generation {
            sampling: sampling($params.sampling()),
            max_tokens: $params.max_tokens,
            max_kv_tokens: None,
            time_budget: $params.time_budget_ms.map(Duration::from_millis),
            priority: priority($params.priority),
            stop: $params.stop,
            end_tokens: Vec::new(),
            top_logprobs: $params.logprobs,
            format: $params.response_format.and_then(format),
            speculate: $params.speculation == Speculation::Auto,
        }
    };
}

pub(super) fn completion(params: CompleteParams) -> MethodResult<Completion> {
    check_confidence(params.min_confidence)?;
    let generation = generation!(params);
    let goal = match params.mode {
        CompletionMode::Raw => None,
        CompletionMode::Auto => Some(Goal::Auto),
        CompletionMode::Line => Some(Goal::Line),
        CompletionMode::Block => Some(Goal::Block),
    };
    let form = if let Some(goal) = goal {
        let context = params.context.into_iter().map(|it| ContextFile { path: it.path, text: it.text });
        Form::AtCursor(AtCursor {
            suffix: params.suffix,
            language: params.language,
            context: context.collect(),
            goal,
            rules_off: params.rules.off.into_iter().map(rule).collect(),
            healing: params.healing,
            patience: params.patience_ms.map(Duration::from_millis),
        })
    } else {
        only_at_cursor("suffix", params.suffix.is_some())?;
        only_at_cursor("context", !params.context.is_empty())?;
        Form::Raw
    };
    Ok(Completion {
        prefix: params.prefix,
        form,
        path: params.path,
        document: params.document,
        n_choices: params.n,
        generation,
        min_confidence: params.min_confidence,
        needs_tokens: params.return_tokens,
    })
}

pub(super) fn next_edit(params: NextEditParams) -> MethodResult<NextEdit> {
    check_confidence(params.min_confidence)?;
    let mut generation = Generation::of(params.max_tokens, priority(params.priority));
    generation.time_budget = params.time_budget_ms.map(Duration::from_millis);
    generation.speculate = params.speculation == Speculation::Auto;
    let context = params.context.into_iter().map(|it| ContextFile { path: it.path, text: it.text });
    let edits = params.edits.into_iter().map(|it| RecentEdit {
        path: it.path,
        original: it.original,
        updated: it.updated,
        // No document has more lines than that.
        line: it.line.and_then(|line| usize::try_from(line).ok()),
    });
    Ok(NextEdit {
        prefix: params.prefix,
        suffix: params.suffix,
        path: params.path,
        language: params.language,
        context: context.collect(),
        edits: edits.collect(),
        form: match params.format {
            api::NextEditFormat::Auto => None,
            api::NextEditFormat::Sweep => Some(NextEditForm::Rewrite(NextEditFormat::Sweep)),
            api::NextEditFormat::SweepV2 => Some(NextEditForm::Rewrite(NextEditFormat::SweepV2)),
            api::NextEditFormat::Zeta2 => Some(NextEditForm::Rewrite(NextEditFormat::Zeta2)),
            api::NextEditFormat::Zeta21 => Some(NextEditForm::Rewrite(NextEditFormat::Zeta21)),
            api::NextEditFormat::FillInTheMiddle => Some(NextEditForm::FillInTheMiddle),
        },
        generation,
        min_confidence: params.min_confidence,
    })
}

fn check_confidence(least: f64) -> MethodResult<()> {
    if (0.0..=1.0).contains(&least) {
        return Ok(());
    }
    let message = format!("`min_confidence` must be between 0 and 1, got {least}");
    Err(errors::invalid("min_confidence", message))
}

pub(super) fn conversation(params: ChatParams) -> MethodResult<Conversation> {
    let generation = generation!(params);
    let tools = ToolUse { tools: tools(&params.tools)?, choice: tool_choice(params.tool_choice) };
    Ok(Conversation {
        tools,
        messages: params.messages.into_iter().map(message).collect(),
        template_variables: params.chat_template_kwargs,
        generation,
    })
}

fn format(format: ResponseFormat) -> Option<Format> {
    match format {
        ResponseFormat::Text => None,
        ResponseFormat::JsonSchema { schema } => Some(Format::JsonSchema(schema.to_string())),
        ResponseFormat::Regex { pattern } => Some(Format::Regex(pattern)),
        ResponseFormat::Lark { grammar } => Some(Format::Lark(grammar)),
    }
}

/// Descriptions of tools in the form that chat templates get.
pub(super) fn tools(tools: &[Tool]) -> MethodResult<Vec<Value>> {
    let mut names = HashSet::new();
    for (index, tool) in tools.iter().enumerate() {
        let (field, name) = (format!("tools[{index}].function.name"), tool.function.name.as_str());
        let is_name = |it: char| it.is_alphanumeric() || matches!(it, '_' | '-' | '.');
        if name.is_empty() || !name.chars().all(is_name) {
            let message = format!("`{field}` must be letters, digits, `_`, `-` and `.`, got {name:?}");
            return Err(errors::invalid(&field, message));
        }
        if !names.insert(name) {
            return Err(errors::invalid(
                &field,
                format!("`{field}` must differ from the others, got `{name}` twice"),
            ));
        }
    }
    let described = tools.iter().map(|it| {
        serde_json::to_value(it)
            .map_err(|err| errors::invalid("tools", format!("`tools` cannot be read: {err}")))
    });
    described.collect()
}

fn tool_choice(choice: api::ToolChoice) -> ToolChoice {
    match choice {
        api::ToolChoice::Mode(ToolChoiceMode::Auto) => ToolChoice::Auto,
        api::ToolChoice::Mode(ToolChoiceMode::None) => ToolChoice::None,
        api::ToolChoice::Mode(ToolChoiceMode::Required) => ToolChoice::Required,
        api::ToolChoice::Named(it) => ToolChoice::Named(it.function.name),
    }
}

/// Converts a message to the form that chat templates get.
pub(super) fn message(message: api::Message) -> Message {
    Message {
        role: match message.role {
            api::Role::System => "system",
            api::Role::User => "user",
            api::Role::Assistant => "assistant",
            api::Role::Tool => "tool",
        }
        .to_owned(),
        content: message.content.map(|it| match it {
            api::Content::Text(text) => Content::Text(text),
            api::Content::Parts(parts) => Content::Parts(parts.into_iter().map(|it| it.text).collect()),
        }),
        reasoning: message.reasoning,
        tool_calls: message
            .tool_calls
            .into_iter()
            .map(|it| ToolCall {
                id: Some(it.id),
                name: it.function.name,
                arguments: Value::Object(it.function.arguments),
            })
            .collect(),
        tool_call_id: message.tool_call_id,
        name: message.name,
    }
}

/// Refuses a parameter that mode `raw` does not use.
fn only_at_cursor(field: &str, is_given: bool) -> MethodResult<()> {
    if !is_given {
        return Ok(());
    }
    let message = format!("`{field}` must not be given in mode `raw`, whose prompt is `prefix` alone");
    Err(errors::invalid(field, message))
}

fn priority(priority: api::Priority) -> Priority {
    match priority {
        api::Priority::Interactive => Priority::Interactive,
        api::Priority::Background => Priority::Background,
    }
}

fn sampling(given: api::Sampling) -> Sampling {
    let size = |it: Option<u32>| it.map(|it| it as usize);
    Sampling {
        temperature: given.temperature,
        top_p: given.top_p,
        top_k: size(given.top_k),
        min_p: given.min_p,
        min_tokens_to_keep: size(given.min_tokens_to_keep),
        xtc_probability: given.xtc_probability,
        xtc_threshold: given.xtc_threshold,
        repetition_penalty: given.repetition_penalty,
        repetition_context_size: size(given.repetition_context_size),
        presence_penalty: given.presence_penalty,
        frequency_penalty: given.frequency_penalty,
        logit_bias: given.logit_bias.map(|it| it.into_iter().collect()),
        seed: given.seed,
    }
}

fn rule(rule: CompletionRule) -> Rule {
    match rule {
        CompletionRule::Line => Rule::Line,
        CompletionRule::Statement => Rule::Statement,
        CompletionRule::Block => Rule::Block,
        CompletionRule::Indentation => Rule::Indentation,
        CompletionRule::Bracket => Rule::Bracket,
        CompletionRule::Suffix => Rule::Suffix,
        CompletionRule::Repetition => Rule::Repetition,
        CompletionRule::Blank => Rule::Blank,
    }
}
