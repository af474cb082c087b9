//! Chat templates as transformers renders them: Jinja in its settings, with its functions and Python's idea of text.
//!
//! The oracle is transformers itself: the tests hold its output for templates of the common families. It knows
//! nothing of tokens; who may write control tokens is not decided here. A template is a stranger's program: a run has
//! a budget of steps and memory that grows with its input, a limit of output and one of time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use minijinja::machinery::{eval, make_string_output};
use minijinja::value::{Kwargs, Serde};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value as JinjaValue};
use serde_json::{Map, Value};

use super::compile::{self, Compiled};
use super::shape::{self, Shape};
use super::{ChatRequest, python};
use crate::TextError;
use crate::tokenizer::TokenizerParts;

/// What `raise_exception` was called with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

/// Which limit a run met.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct TooCostly(&'static str);

/// The templates of a model. Most have one; some have another one for tools.
#[derive(Debug)]
pub(crate) struct ChatTemplates {
    environment: Environment<'static>,
    /// `bos_token` and the like, which templates write out.
    special_tokens: Map<String, Value>,
    templates: Vec<ChatTemplate>,
}

#[derive(Debug)]
struct ChatTemplate {
    name: String,
    /// The source, or why it cannot be used, which the conversations that need it are told.
    source: Result<String, String>,
    shape: Shape,
}

const DEFAULT: &str = "default";
const TOOL_USE: &str = "tool_use";

/// Steps of a run, each an instruction or 64 bytes of text made: many times what any public template takes.
const FUEL: u64 = 1_000_000;
/// Further steps for each message, since templates look back over the messages before one.
const FUEL_PER_MESSAGE: u64 = 10_000;
/// Bytes of input for each further step: a template goes over its input at most some dozens of times.
const INPUT_BYTES_PER_FUEL: u64 = 2;
/// Output in bytes, beyond what the input allows: more than any context holds.
const OUTPUT_BYTES: usize = 8 << 20;
const OUTPUT_BYTES_PER_INPUT_BYTE: usize = 8;
const TIME_LIMIT: Duration = Duration::from_secs(30);

impl ChatTemplates {
    /// A template that cannot be used is kept with the reason: it costs the chats that need it, not the model.
    pub(crate) fn new(parts: &TokenizerParts) -> Self {
        let mut all =
            Self { environment: environment(), special_tokens: special_tokens(parts), templates: Vec::new() };
        let in_config = parts.tokenizer_config.as_ref().and_then(|it| it.get("chat_template"));
        for (name, source) in parts.chat_template.as_ref().or(in_config).map(named).unwrap_or_default() {
            let source = without_generation_tags(&unix_line_ends(&source));
            let checked = compile::check_names(&source, all.environment.syntax(), &all.environment)
                .and_then(|()| compile::compile(&source, all.environment.syntax()).map(|_| ()));
            let source = checked.map(|()| source).map_err(|err| describe(&err));
            let mut template = ChatTemplate { name, source, shape: shape::PLAIN };
            if template.source.is_ok() {
                template.shape = Shape::find(&|request: &ChatRequest<'_>, shape| {
                    let variables = variables(request, shape).ok()?;
                    all.run(&template, variables).ok()
                });
            }
            all.templates.push(template);
        }
        all
    }

    /// Whether conversations have a template that can be used.
    pub(crate) fn are_usable(&self) -> bool {
        self.template(DEFAULT).is_some_and(|it| it.source.is_ok())
    }

    pub(crate) fn render(&self, request: &ChatRequest<'_>) -> Result<String, TextError> {
        self.render_changed(request, |_| {})
    }

    /// Renders variables that `change` went over.
    pub(super) fn render_changed(
        &self,
        request: &ChatRequest<'_>,
        change: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<String, TextError> {
        let for_tools = if request.tools.is_empty() { None } else { self.template(TOOL_USE) };
        let template = for_tools.or_else(|| self.template(DEFAULT)).ok_or(TextError::NoChatTemplate)?;
        let mut variables = variables(request, template.shape)?;
        change(&mut variables);
        self.run(template, variables)
    }

    fn template(&self, name: &str) -> Option<&ChatTemplate> {
        self.templates.iter().find(|it| it.name == name)
    }

    fn run(&self, template: &ChatTemplate, variables: Map<String, Value>) -> Result<String, TextError> {
        let unusable = |reason: String| TextError::BadChatTemplate { reason };
        let source = template.source.as_ref().map_err(|reason| unusable(reason.clone()))?;
        let n_messages = variables.get("messages").and_then(Value::as_array).map_or(0, Vec::len) as u64;
        let n_bytes = variables.values().map(n_bytes).sum::<usize>();
        let mut context = self.special_tokens.clone();
        context.extend(variables);
        let mut environment = self.environment.clone();
        environment
            .set_fuel(Some(FUEL + n_messages * FUEL_PER_MESSAGE + n_bytes as u64 / INPUT_BYTES_PER_FUEL));
        let limits = Limits {
            n_bytes_left: AtomicUsize::new(OUTPUT_BYTES + OUTPUT_BYTES_PER_INPUT_BYTE * n_bytes),
            deadline: Instant::now() + TIME_LIMIT,
        };
        environment.set_formatter(move |out, _, value| {
            let text = python::str(value);
            limits.check(text.len())?;
            out.write_str(&text).map_err(|_| Error::from(ErrorKind::WriteFailure))
        });
        let Compiled { instructions, blocks } =
            compile::compile(source, environment.syntax()).map_err(|err| unusable(describe(&err)))?;
        let context = JinjaValue::from(Serde(&context));
        let mut text = String::new();
        let mut output = make_string_output(&mut text);
        eval(&environment, &instructions, context, &blocks, &mut output, AutoEscape::None)
            .map_err(|err| refusal(&err))?;
        Ok(text)
    }
}

/// What a run is held to besides its fuel.
struct Limits {
    n_bytes_left: AtomicUsize,
    deadline: Instant,
}

impl Limits {
    /// Called with each value that is written out; the text between them is the template's own and has its fuel.
    fn check(&self, n_bytes: usize) -> Result<(), Error> {
        let left = self.n_bytes_left.load(Ordering::Relaxed);
        let exceeded = match left.checked_sub(n_bytes) {
            None => "bytes of output",
            Some(_) if Instant::now() > self.deadline => "time",
            Some(left) => {
                self.n_bytes_left.store(left, Ordering::Relaxed);
                return Ok(());
            }
        };
        Err(Error::new(ErrorKind::OutOfFuel, exceeded).with_source(TooCostly(exceeded)))
    }
}

/// How much text a value holds, roughly.
fn n_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(n_bytes).sum(),
        Value::Object(fields) => fields.iter().map(|(key, value)| key.len() + n_bytes(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => size_of::<Value>(),
    }
}

/// A request's variables, named as transformers names them.
fn variables(request: &ChatRequest<'_>, shape: Shape) -> Result<Map<String, Value>, TextError> {
    let is_word = |role: &str| role.chars().all(|it| it.is_ascii_alphanumeric() || it == '_' || it == '-');
    if let Some(bad) = request.messages.iter().find(|it| it.role.is_empty() || !is_word(&it.role)) {
        return Err(TextError::BadRole { role: bad.role.clone() });
    }
    let messages = request.messages.iter().map(|it| shape.message(it)).collect();
    // Templates ask whether there are tools by `is none`, too.
    let tools = if request.tools.is_empty() { Value::Null } else { Value::Array(request.tools.to_vec()) };
    let mut variables = request.kwargs.clone();
    variables.entry("documents").or_insert(Value::Null);
    variables.insert("messages".to_owned(), messages);
    variables.insert("tools".to_owned(), tools);
    variables.insert("add_generation_prompt".to_owned(), Value::Bool(request.add_generation_prompt));
    Ok(variables)
}

/// The templates of a `chat_template` field: one string, or a list of `{name, template}`.
fn named(field: &Value) -> Vec<(String, String)> {
    if let Some(source) = field.as_str() {
        return vec![(DEFAULT.to_owned(), source.to_owned())];
    }
    let entry =
        |it: &Value| Some((it.get("name")?.as_str()?.to_owned(), it.get("template")?.as_str()?.to_owned()));
    field.as_array().map(|list| list.iter().filter_map(entry).collect()).unwrap_or_default()
}

fn special_tokens(parts: &TokenizerParts) -> Map<String, Value> {
    let names = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
    let known =
        names.into_iter().filter_map(|name| Some((name.to_owned(), parts.special_token(name)?.into())));
    known.collect()
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let mut syntax = environment.syntax().to_builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    environment.set_syntax(syntax.build().expect("white space rules clash with no delimiter"));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(python::methods::call);
    environment.add_filter("tojson", python::tojson);
    python::filters::add_to(&mut environment);
    python::operators::add_to(&mut environment);
    environment.add_function("raise_exception", |message: String| -> Result<JinjaValue, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
    });
    environment.add_function("strftime_now", |format: String, _: Kwargs| python::strftime_now(&format));
    environment
}

/// Jinja reads every end of line as `\n`.
fn unix_line_ends(source: &str) -> String {
    source.replace("\r\n", "\n").replace('\r', "\n")
}

/// Takes out transformers' `{% generation %}` tags, which mark what to train on and print nothing.
fn without_generation_tags(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, tag)) = rest.split_once("{%") {
        text.push_str(before);
        text.push_str("{%");
        let Some((inside, after)) = tag.split_once("%}") else {
            rest = tag;
            continue;
        };
        // A block that is always taken has the same white space rules.
        match inside.trim_matches(['-', '+']).trim() {
            "generation" => text.push_str(&inside.replace("generation", "if true")),
            "endgeneration" => text.push_str(&inside.replace("endgeneration", "endif")),
            _ => text.push_str(inside),
        }
        text.push_str("%}");
        rest = after;
    }
    text.push_str(rest);
    text
}

/// Who is to blame for a failed run: the conversation, which the template refuses by name or does not fit, or the
/// template, which asks for what there is not.
fn refusal(err: &Error) -> TextError {
    let mut cause: Option<&dyn std::error::Error> = Some(err);
    while let Some(it) = cause {
        if let Some(Raised(reason)) = it.downcast_ref() {
            return TextError::ConversationRefused { reason: reason.clone() };
        }
        if let Some(TooCostly(limit)) = it.downcast_ref() {
            return TextError::ChatTemplateTooCostly { limit };
        }
        let kind = it.downcast_ref::<Error>().map(Error::kind);
        match kind {
            Some(ErrorKind::OutOfFuel) => return TextError::ChatTemplateTooCostly { limit: "steps" },
            Some(ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction) => {
                return TextError::BadChatTemplate { reason: describe(err) };
            }
            _ => cause = it.source(),
        }
    }
    TextError::ChatTemplateFailed { reason: describe(err) }
}

/// The error on one line, with the template's line.
fn describe(err: &Error) -> String {
    let detail = err.detail().map_or_else(|| err.kind().to_string(), str::to_owned);
    match err.line() {
        Some(line) => format!("{detail} (line {line})"),
        None => detail,
    }
}

#[cfg(test)]
mod tests;
