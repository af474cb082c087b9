//! Chat templates as transformers renders them: Jinja in its settings, with its functions and Python's idea of text.
//!
//! The tests compare with the output of transformers for templates of the common families. This file does not know about
//! tokens; [`super::marking`] keeps control tokens out of messages. A template is an untrusted program, so each run has
//! limited fuel, output, nesting of values and time; fuel and output grow with the input.

use std::cell::Cell;
use std::sync::Arc;

use minijinja::machinery::{eval, make_string_output};
use minijinja::value::{Kwargs, Rest, Serde};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value as JinjaValue};
use minijinja_contrib::globals;
use serde_json::{Map, Value};

use super::compile::{self, Compiled};
use super::deletions::deleted_texts;
use super::integers::Exact;
use super::limits::{self, Limits, TooCostly};
use super::shape::{self, Shape};
use super::{ChatRequest, python};
use crate::TextError;
use crate::tokenizer::{SPECIAL_TOKENS, TokenizerParts};

/// What `raise_exception` was called with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

/// The templates of a model. Most models have one; some have a second one for requests with tools.
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
    /// The source, or the reason why it cannot be used, for the error of the chats that need it.
    source: Result<String, String>,
    shape: Shape,
    /// The texts that the template deletes from others, so that what was around them comes together.
    deleted: Vec<String>,
}

const DEFAULT: &str = "default";
const TOOL_USE: &str = "tool_use";

/// Fuel of a run, in minijinja's steps: an instruction, or 64 bytes of text that are made. Of 70 public templates the
/// hungriest takes 0.6 million steps for 100 messages of 1 kB and 132 million for 2,000 of them, since it puts the prompt
/// together by appending to it, which copies it each time. The next takes 19 million, since it looks back over all
/// messages at each one. Both last 1 to 3 s. The budget is about four times that, for a short conversation much more. A
/// million steps of a hostile template last 0.1 to 3 s.
const FUEL: u64 = 1_000_000;
const FUEL_PER_MESSAGE: u64 = 5_000;
const FUEL_PER_PAIR_OF_MESSAGES: u64 = 50;
/// Bytes of input for each further step, beside the copies for each message.
const INPUT_BYTES_PER_FUEL: u64 = 2;

impl ChatTemplates {
    /// A template that cannot be used is kept with the reason: chats that need it fail, everything else works.
    pub(crate) fn new(parts: &TokenizerParts) -> Self {
        let mut all =
            Self { environment: environment(), special_tokens: special_tokens(parts), templates: Vec::new() };
        let in_config = parts.tokenizer_config.as_ref().and_then(|it| it.get("chat_template"));
        for (name, source) in parts.chat_template.as_ref().or(in_config).map(named).unwrap_or_default() {
            let source = source.and_then(|source| {
                let source = without_generation_tags(&unix_line_ends(&source));
                compile::check_names(&source, all.environment.syntax(), &all.environment)
                    .and_then(|()| compile::compile(&source, all.environment.syntax()).map(|_| ()))
                    .map(|()| source)
                    .map_err(|err| describe(&err))
            });
            let unknown = source.as_deref().ok().and_then(|it| {
                compile::unknown_functions(it, all.environment.syntax(), &all.environment).ok()
            });
            for (function, line) in unknown.into_iter().flatten() {
                tracing::warn!(
                    template = name,
                    "the chat template calls `{function}`, which does not exist (line {line}): chats that come to it will fail"
                );
            }
            let deleted = source.as_deref().map(deleted_texts).unwrap_or_default();
            let mut template = ChatTemplate { name, source, shape: shape::PLAIN, deleted };
            if template.source.is_ok() {
                // A template that spends the whole budget on a few short messages gets no further trials.
                let is_too_costly = Cell::new(false);
                template.shape = Shape::find(&|request: &ChatRequest<'_>, shape| {
                    if is_too_costly.get() {
                        return None;
                    }
                    let result = all.run(&template, variables(request, shape).ok()?);
                    is_too_costly.set(matches!(result, Err(TextError::ChatTemplateTooCostly { .. })));
                    result.ok()
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

    /// The texts of the templates that can be used, one after the other.
    pub(crate) fn sources(&self) -> String {
        self.templates.iter().filter_map(|it| it.source.as_deref().ok()).collect::<Vec<_>>().join("\n")
    }

    /// Whether a template has a use for tools.
    pub(crate) fn take_tools(&self) -> bool {
        self.sources().contains("tools")
    }

    pub(crate) fn render(&self, request: &ChatRequest<'_>) -> Result<String, TextError> {
        self.render_changed(request, |_, _| {})
    }

    /// Renders a conversation after `change` has edited its variables. It is also given the texts that the template
    /// deletes from others.
    pub(super) fn render_changed(
        &self,
        request: &ChatRequest<'_>,
        change: impl FnOnce(&mut Map<String, Value>, &[String]),
    ) -> Result<String, TextError> {
        let for_tools = if request.tools.is_empty() { None } else { self.template(TOOL_USE) };
        let template = for_tools.or_else(|| self.template(DEFAULT)).ok_or(TextError::NoChatTemplate)?;
        let mut variables = variables(request, template.shape)?;
        change(&mut variables, &template.deleted);
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
        environment.set_fuel(Some(fuel(n_messages, n_bytes as u64)));
        let limits = Arc::new(Limits::new(n_bytes));
        let in_loops = Arc::clone(&limits);
        environment.add_filter(compile::TURN, move |_: &JinjaValue| in_loops.turn());
        environment.set_formatter(move |out, state, value| {
            limits::check_value(state, value)?;
            let text = python::str(value);
            limits.write(text.len())?;
            out.write_str(&text).map_err(|_| Error::from(ErrorKind::WriteFailure))
        });
        let Compiled { instructions, blocks } =
            compile::compile(source, environment.syntax()).map_err(|err| unusable(describe(&err)))?;
        let context = Value::Object(context);
        let context = JinjaValue::from(Serde(&Exact(&context)));
        let mut text = String::new();
        let mut output = make_string_output(&mut text);
        eval(&environment, &instructions, context, &blocks, &mut output, AutoEscape::None)
            .map_err(|err| refusal(&err))?;
        Ok(text)
    }
}

fn fuel(n_messages: u64, n_bytes: u64) -> u64 {
    let for_bytes = n_bytes / INPUT_BYTES_PER_FUEL;
    let per_message = FUEL_PER_MESSAGE
        .saturating_add(n_messages.saturating_mul(FUEL_PER_PAIR_OF_MESSAGES))
        .saturating_add(for_bytes);
    n_messages.saturating_mul(per_message).saturating_add(FUEL + for_bytes)
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

/// The templates of a `chat_template` field, by name: one string, a list of `{name, template}`, or an object of them. What
/// is none of these is a template that cannot be used, as in transformers.
fn named(field: &Value) -> Vec<(String, Result<String, String>)> {
    let source = |it: Option<&Value>| match it.and_then(Value::as_str) {
        Some(source) => Ok(source.to_owned()),
        None => Err("`chat_template` must be a string, or a list of `name` and `template`".to_owned()),
    };
    match field {
        Value::Null => Vec::new(),
        Value::Array(list) => {
            let entry = |it: &Value| {
                let name = it.get("name").and_then(Value::as_str).unwrap_or(DEFAULT);
                (
                    name.to_owned(),
                    source(it.get("template").filter(|_| it.get("name").is_some_and(Value::is_string))),
                )
            };
            list.iter().map(entry).collect()
        }
        Value::Object(by_name) => by_name.iter().map(|(name, it)| (name.clone(), source(Some(it)))).collect(),
        other => vec![(DEFAULT.to_owned(), source(Some(other)))],
    }
}

fn special_tokens(parts: &TokenizerParts) -> Map<String, Value> {
    let known = SPECIAL_TOKENS
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), parts.special_token(name)?.into())));
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
    environment.add_filter(compile::CHECKED, |state: &State, value: JinjaValue| {
        limits::check_value(state, &value).map(|_| value)
    });
    environment.add_filter(compile::ITEM, limits::item);
    environment.add_filter(compile::LIST, limits::list);
    environment.add_filter(compile::SET_ATTRIBUTE, limits::set_attribute);
    environment.add_function("namespace", limits::namespace);
    environment.add_function("cycler", |items: Rest<JinjaValue>| globals::cycler(items.to_vec()));
    environment.add_function("joiner", globals::joiner);
    environment.add_function("strftime_now", |format: String, _: Kwargs| python::strftime_now(&format));
    environment
}

/// Jinja reads every end of line as `\n`.
fn unix_line_ends(source: &str) -> String {
    source.replace("\r\n", "\n").replace('\r', "\n")
}

/// Removes the effect of transformers' `{% generation %}` tags, which mark text for training.
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

/// The error of a failed run: the template refuses the conversation, exceeds a limit, uses a name that does not exist, or
/// fails in another way.
fn refusal(err: &Error) -> TextError {
    let causes = || std::iter::successors(Some(err as &dyn std::error::Error), |it| it.source());
    for it in causes() {
        if let Some(Raised(reason)) = it.downcast_ref() {
            return TextError::ConversationRefused { reason: reason.clone() };
        }
        if let Some(TooCostly(limit)) = it.downcast_ref() {
            return TextError::ChatTemplateTooCostly { limit };
        }
    }
    for it in causes().filter_map(|it| it.downcast_ref::<Error>()) {
        match it.kind() {
            ErrorKind::OutOfFuel => return TextError::ChatTemplateTooCostly { limit: "steps" },
            ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::TemplateNotFound => {
                return TextError::BadChatTemplate { reason: describe(err) };
            }
            _ => {}
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
