//! The tool `generate`: the model answers a message or continues a conversation.

use runabout_assist::{
    Conversation, Format, Generation, Message, OpenJson, Priority, Sampling, TemplateVariables, ToolUse,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::errand;
use super::evidence::{Evidence, FinishReason};
use super::failure::Failure;
use super::outcome;
use super::tool::{Call, Effect, Report, Tool, capped};

const DEFAULT_MAX_TOKENS: u32 = 1024;

pub(super) enum Generate {}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// The task with everything that the model needs to know, as one message. Give this or `messages`.
    prompt: Option<String>,
    /// A conversation, the last message of which is answered. Give this or `prompt`.
    messages: Option<Vec<ChatMessage>>,
    /// How the model should behave.
    system: Option<String>,
    /// The most tokens of the answer. Default: 1024.
    #[schemars(range(min = 1))]
    max_tokens: Option<u32>,
    /// After this time the answer ends with the text so far. Default: no limit.
    #[schemars(range(min = 0.001))]
    time_limit_seconds: Option<f64>,
    /// Strings that end the answer and are not part of it.
    #[serde(default)]
    stop: Vec<String>,
    /// 0 always takes the most likely token. By default the model's own.
    #[schemars(range(min = 0))]
    temperature: Option<f32>,
    /// Keeps only the most likely tokens whose probabilities add up to this.
    #[schemars(range(min = 0, max = 1))]
    top_p: Option<f32>,
    /// Keeps only this number of the most likely tokens; 0 keeps all.
    top_k: Option<u32>,
    /// Keeps only tokens at least this fraction as likely as the most likely one.
    #[schemars(range(min = 0, max = 1))]
    min_p: Option<f32>,
    /// The same seed gives the same answer.
    seed: Option<u64>,
    /// A JSON Schema to which the answer conforms, with certainty unless it is cut off. The answer is then also in `json`.
    json_schema: Option<Map<String, Value>>,
    /// A pattern that the whole answer matches, in the syntax of Rust's `regex`.
    regex: Option<String>,
    /// A grammar that generates the answer from its rule `start`, in llguidance's form of Lark.
    grammar: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct ChatMessage {
    role: Role,
    content: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Role {
    System,
    User,
    Assistant,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Output {
    text: String,
    finish_reason: FinishReason,
    /// Whether the text was cut off by a limit, so that its end is missing.
    truncated: bool,
    /// Whether the text has the form that was asked for; absent if none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid: Option<bool>,
    /// The value that conforms to `json_schema`.
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<Value>,
    /// If the JSON was cut off: the JSON Pointer of the innermost value that is not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete_at: Option<String>,
    evidence: Evidence,
}

impl Tool for Generate {
    const NAME: &'static str = "generate";
    const TITLE: &'static str = "Ask the local model";
    const DESCRIPTION: &'static str = "A small local model answers a message. It knows nothing but what you write, and \
        reads no files: name paths to `map_files` or `edit_files` instead of pasting files here. Good for short, \
        well-defined texts: names, messages, rewrites, classifications.";
    const EFFECT: Effect = Effect::ReadsOnly;
    type Arguments = Arguments;
    type Output = Output;

    async fn call(call: &Call, arguments: Arguments) -> Result<Report<Output>, Failure> {
        let max_tokens = arguments.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
        let format = format(arguments.json_schema, arguments.regex, arguments.grammar)?;
        let has_format = format.is_some();
        let is_json = matches!(format, Some(Format::JsonSchema(_)));
        let conversation = Conversation {
            generation: Generation {
                format,
                time_budget: arguments.time_limit_seconds.map(errand::time_limit).transpose()?,
                stop: arguments.stop,
                sampling: Sampling {
                    temperature: arguments.temperature,
                    top_p: arguments.top_p,
                    top_k: arguments.top_k.map(|it| it as usize),
                    min_p: arguments.min_p,
                    seed: arguments.seed,
                    ..Sampling::default()
                },
                ..Generation::of(max_tokens, Priority::Interactive)
            },
            messages: messages(arguments.system, arguments.prompt, arguments.messages)?,
            tools: ToolUse::default(),
            template_variables: TemplateVariables::new(),
        };
        call.progress.expect(max_tokens);
        let run = call.assistant().chat(conversation)?;
        let mut outcome = outcome::of(run, call).await?;
        let evidence = Evidence::of(&outcome, call);
        let finish = outcome.finishes.swap_remove(0);
        let finish_reason = FinishReason::from(finish.reason);
        let formed = finish.text.trim();
        let json: Option<Value> =
            if is_json && !finish.is_incomplete { serde_json::from_str(formed).ok() } else { None };
        let valid = has_format.then_some(!finish.is_incomplete && (json.is_some() || !is_json));
        let incomplete_at = (is_json && finish.is_incomplete).then(|| OpenJson::of(formed).pointer);
        let (text, is_capped) = capped(finish.text);
        let json = json.filter(|_| !is_capped);
        let truncated = is_capped || finish_reason.is_cut();
        let note = match (truncated, is_capped) {
            (false, _) => String::new(),
            (true, false) => format!("cut off: {}; ", finish_reason.name()),
            (true, true) => "cut off: too long; ".to_owned(),
        };
        let texts = vec![text.clone(), format!("[{note}{}]", evidence.line())];
        Ok(Report {
            output: Output { text, finish_reason, truncated, valid, json, incomplete_at, evidence },
            texts,
        })
    }
}

/// The form that the answer must have. Only one can be asked for.
fn format(
    json_schema: Option<Map<String, Value>>,
    regex: Option<String>,
    grammar: Option<String>,
) -> Result<Option<Format>, Failure> {
    match (json_schema, regex, grammar) {
        (None, None, None) => Ok(None),
        (Some(schema), None, None) => Ok(Some(Format::JsonSchema(Value::Object(schema).to_string()))),
        (None, Some(pattern), None) => Ok(Some(Format::Regex(pattern))),
        (None, None, Some(grammar)) => Ok(Some(Format::Lark(grammar))),
        (Some(_), Some(_), _) => Err(Failure::argument("regex", "must be absent if `json_schema` is given")),
        (_, _, Some(_)) => {
            Err(Failure::argument("grammar", "must be absent if `json_schema` or `regex` is given"))
        }
    }
}

fn messages(
    system: Option<String>,
    prompt: Option<String>,
    messages: Option<Vec<ChatMessage>>,
) -> Result<Vec<Message>, Failure> {
    let rest = match (prompt, messages) {
        (Some(prompt), None) => vec![Message::user(prompt)],
        (None, Some(messages)) if !messages.is_empty() => messages.into_iter().map(Message::from).collect(),
        (None, Some(_)) => return Err(Failure::argument("messages", "must have at least one message")),
        (Some(_), Some(_)) => {
            return Err(Failure::argument("messages", "must be absent if `prompt` is given"));
        }
        (None, None) => return Err(Failure::argument("prompt", "must be given, or else `messages`")),
    };
    Ok(system.map(Message::system).into_iter().chain(rest).collect())
}

impl From<ChatMessage> for Message {
    fn from(ChatMessage { role, content }: ChatMessage) -> Self {
        match role {
            Role::System => Self::system(content),
            Role::User => Self::user(content),
            Role::Assistant => Self::assistant(content),
        }
    }
}
