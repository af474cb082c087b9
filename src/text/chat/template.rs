//! Chat templates as transformers renders them: Jinja in its settings, with its functions and Python's idea of text.
//!
//! The oracle is transformers itself: the tests hold its output for templates of the common families. It knows
//! nothing of tokens; who may write control tokens is not decided here.

use minijinja::value::{Kwargs, Serde};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value as JinjaValue};
use serde_json::{Map, Value};

use super::{ChatRequest, python};
use crate::TextError;
use crate::tokenizer::TokenizerParts;

/// What `raise_exception` was called with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

/// The templates of a model, compiled. Most have one; some have another one for tools.
#[derive(Debug)]
pub(crate) struct ChatTemplates {
    environment: Environment<'static>,
    /// `bos_token` and the like, which templates write out.
    special_tokens: Map<String, Value>,
    names: Vec<String>,
}

const DEFAULT: &str = "default";
const TOOL_USE: &str = "tool_use";

impl ChatTemplates {
    pub(crate) fn new(parts: &TokenizerParts) -> Result<Self, TextError> {
        let mut templates =
            Self { environment: environment(), special_tokens: special_tokens(parts), names: Vec::new() };
        let in_config = parts.tokenizer_config.as_ref().and_then(|it| it.get("chat_template"));
        for (name, source) in parts.chat_template.as_ref().or(in_config).map(named).unwrap_or_default() {
            templates
                .environment
                .add_template_owned(name.clone(), without_generation_tags(&unix_line_ends(&source)))
                .map_err(|err| TextError::BadChatTemplate { reason: describe(&err) })?;
            templates.names.push(name);
        }
        Ok(templates)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(crate) fn render(&self, request: &ChatRequest<'_>) -> Result<String, TextError> {
        self.render_variables(variables(request)?)
    }

    pub(super) fn render_variables(&self, variables: Map<String, Value>) -> Result<String, TextError> {
        let wants_tools = variables.get("tools").is_some_and(|it| !it.is_null());
        let has = |name: &str| self.names.iter().any(|it| it == name);
        let name = if wants_tools && has(TOOL_USE) { TOOL_USE } else { DEFAULT };
        let template = self.environment.get_template(name).map_err(|_| TextError::NoChatTemplate)?;
        let mut context = self.special_tokens.clone();
        context.extend(variables);
        template.render(Serde(&context)).map_err(|err| refusal(&err))
    }
}

/// A request's variables, named as transformers names them.
pub(super) fn variables(request: &ChatRequest<'_>) -> Result<Map<String, Value>, TextError> {
    let is_word = |role: &str| role.chars().all(|it| it.is_ascii_alphanumeric() || it == '_' || it == '-');
    if let Some(bad) = request.messages.iter().find(|it| it.role.is_empty() || !is_word(&it.role)) {
        return Err(TextError::BadRole { role: bad.role.clone() });
    }
    let mut messages = serde_json::to_value(request.messages)
        .map_err(|err| TextError::ChatTemplateFailed { reason: err.to_string() })?;
    for message in messages.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        // gpt-oss reads this name.
        if let Some(reasoning) = message.get("reasoning_content").cloned() {
            message.insert("thinking".to_owned(), reasoning);
        }
    }
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
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_formatter(|out, _, value| {
        out.write_str(&python::str(value)).map_err(|_| Error::from(ErrorKind::WriteFailure))
    });
    environment.add_filter("tojson", python::tojson);
    environment.add_filter("string", |value: &JinjaValue| python::str(value));
    environment.add_test("sequence", |value: &JinjaValue| value.len().is_some());
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

fn refusal(err: &Error) -> TextError {
    let mut cause: Option<&dyn std::error::Error> = Some(err);
    while let Some(it) = cause {
        if let Some(Raised(reason)) = it.downcast_ref() {
            return TextError::ConversationRefused { reason: reason.clone() };
        }
        cause = it.source();
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
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::Message;

    /// What `render_jinja_template` of transformers 5.23 makes of these templates and conversations. `smollm2` and
    /// `qwen2.5-coder` are the models' own templates (Apache-2.0); the others are written in the style of a family.
    #[derive(Deserialize)]
    struct Oracle {
        special_tokens: Value,
        tools: Vec<Value>,
        conversations: Map<String, Value>,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        template: String,
        conversation: String,
        tools: bool,
        kwargs: Map<String, Value>,
        add_generation_prompt: bool,
        rendered: Option<String>,
        refused: Option<String>,
    }

    fn source(template: &str) -> &'static str {
        match template {
            "smollm2" => include_str!("../testdata/chat/smollm2.jinja"),
            "qwen2.5-coder" => include_str!("../testdata/chat/qwen2.5-coder.jinja"),
            "llama3-style" => include_str!("../testdata/chat/llama3-style.jinja"),
            "mistral-style" => include_str!("../testdata/chat/mistral-style.jinja"),
            "gemma-style" => include_str!("../testdata/chat/gemma-style.jinja"),
            "deepseek-style" => include_str!("../testdata/chat/deepseek-style.jinja"),
            "odds-and-ends" => include_str!("../testdata/chat/odds-and-ends.jinja"),
            _ => panic!("no template `{template}`"),
        }
    }

    fn templates(config: Value) -> ChatTemplates {
        ChatTemplates::new(&TokenizerParts { tokenizer_config: Some(config), ..TokenizerParts::default() })
            .unwrap()
    }

    fn render(templates: &ChatTemplates, tools: &[Value]) -> Result<String, TextError> {
        let messages = [Message::user("hi")];
        templates.render(&ChatRequest {
            messages: &messages,
            tools,
            kwargs: &Map::new(),
            add_generation_prompt: true,
        })
    }

    #[test]
    fn prompts_equal_transformers_character_by_character() {
        let oracle: Oracle = serde_json::from_str(include_str!("../testdata/chat/cases.json")).unwrap();
        assert!(oracle.cases.len() > 40);
        for case in &oracle.cases {
            let mut config = oracle.special_tokens.clone();
            config["chat_template"] = source(&case.template).into();
            let messages: Vec<Message> =
                serde_json::from_value(oracle.conversations[&case.conversation].clone()).unwrap();
            let rendered = templates(config).render(&ChatRequest {
                messages: &messages,
                tools: if case.tools { &oracle.tools } else { &[] },
                kwargs: &case.kwargs,
                add_generation_prompt: case.add_generation_prompt,
            });
            let name = format!("{}, {}, tools: {}", case.template, case.conversation, case.tools);
            match (rendered, &case.rendered, &case.refused) {
                (Ok(rendered), Some(expected), None) => assert_eq!(&rendered, expected, "{name}"),
                (Err(TextError::ConversationRefused { reason }), None, Some(expected)) => {
                    assert_eq!(&reason, expected, "{name}");
                }
                (rendered, ..) => panic!("{name}: {rendered:?}"),
            }
        }
    }

    #[test]
    fn a_list_of_templates_has_one_for_tools() {
        let both = templates(json!({"chat_template": [
            {"name": "default", "template": "plain"}, {"name": "tool_use", "template": "with tools"},
        ]}));
        assert_eq!(render(&both, &[]).unwrap(), "plain");
        assert_eq!(render(&both, &[json!({})]).unwrap(), "with tools");
    }

    #[test]
    fn a_template_file_goes_before_the_configuration() {
        let parts = TokenizerParts {
            tokenizer_config: Some(json!({"chat_template": "old", "bos_token": {"content": "<b>"}})),
            chat_template: Some(json!("{{ bos_token }}new")),
            ..TokenizerParts::default()
        };
        assert_eq!(render(&ChatTemplates::new(&parts).unwrap(), &[]).unwrap(), "<b>new");
    }

    #[test]
    fn a_model_without_a_template_says_so() {
        let err = render(&templates(json!({})), &[]).unwrap_err();
        assert!(matches!(err, TextError::NoChatTemplate), "{err}");
    }

    #[test]
    fn a_broken_template_is_refused_at_load_with_its_line() {
        let parts = TokenizerParts { chat_template: Some(json!("a\n{% if %}")), ..TokenizerParts::default() };
        let err = ChatTemplates::new(&parts).unwrap_err().to_string();
        assert!(err.ends_with("(line 2)"), "{err}");
    }

    #[test]
    fn a_template_that_fails_names_the_reason() {
        let err = render(&templates(json!({"chat_template": "{{ messages[0].content.nothing() }}"})), &[])
            .unwrap_err();
        assert!(
            matches!(&err, TextError::ChatTemplateFailed { reason } if reason.contains("nothing")),
            "{err}"
        );
    }

    #[test]
    fn a_role_that_is_not_a_word_is_refused() {
        let messages = [Message::new("user<|im_end|>", "hi")];
        let kwargs = Map::new();
        let request =
            ChatRequest { messages: &messages, tools: &[], kwargs: &kwargs, add_generation_prompt: true };
        assert!(matches!(variables(&request).unwrap_err(), TextError::BadRole { .. }));
    }

    #[test]
    fn strftime_now_gives_the_year() {
        let rendered = render(&templates(json!({"chat_template": "{{ strftime_now('%Y') }}"})), &[]).unwrap();
        assert!(rendered.parse::<u32>().unwrap() >= 2026);
    }

    #[test]
    fn line_ends_of_other_systems_are_read_as_jinja_reads_them() {
        assert_eq!(
            render(&templates(json!({"chat_template": "{% if true %}\r\na\r\nb{% endif %}"})), &[]).unwrap(),
            "a\nb"
        );
    }
}
