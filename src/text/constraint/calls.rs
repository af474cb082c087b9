//! The grammar of calls that a model must make: [`grammar`].
//!
//! It is written in llguidance's form of Lark. Where a family has the arguments as JSON, the tool's schema holds as a
//! whole. Where it has them as text between marks, the names of the arguments and the types of their values hold.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::schema;
use crate::turn::{CallFormat, Tools};
use crate::{TextError, Tokenizer};

/// What calls begin with where they have no other mark.
const FUNCTION: &str = "<function=";
/// Any text, up to the control token after it.
const ANY_TEXT: &str = "(/(?s:.+)/)?";

/// The grammar for calls of these tools: one call, or one after the other. `None` if the family's form has none here.
pub(super) fn grammar(
    tokenizer: &Tokenizer,
    tools: &Tools,
    names: &[&str],
    may_repeat: bool,
) -> Result<Option<String>, TextError> {
    let Some(format) = tokenizer.turn_format().calls else { return Ok(None) };
    let mut writer = Writer { tokenizer, rules: String::new(), n_rules: 0 };
    let mut calls = Vec::new();
    for name in names {
        let parameters = tools.parameters(name).cloned().unwrap_or_default();
        match writer.call(format, name, &parameters)? {
            Some(call) => calls.push(call),
            None => return Ok(None),
        }
    }
    let call = writer.rule(&calls.join(" | "));
    let begin = |tag: &str| writer.mark(tag);
    let tag = format.tags().first();
    let (first, last) = tag.map_or((String::new(), String::new()), |it| {
        (begin(it.begin), it.end.map(begin).unwrap_or_default())
    });
    let several =
        |between: &str| if may_repeat { format!("{call} ({between} {call})*") } else { call.clone() };
    let start = match format {
        CallFormat::Hermes | CallFormat::Qwen | CallFormat::Seed => {
            let one = format!("{first} \"\\n\" {call} \"\\n\" {last}");
            if may_repeat { format!("{one} (\"\\n\" {one})*") } else { one }
        }
        CallFormat::Glm | CallFormat::Gemma | CallFormat::FunctionGemma => {
            let one = format!("{first} {call} {last}");
            if may_repeat { format!("({one})+") } else { one }
        }
        CallFormat::Mistral if writer.has_arguments_mark() => {
            let one = format!("{first} {call}");
            if may_repeat { format!("({one})+") } else { one }
        }
        CallFormat::Mistral | CallFormat::Granite => format!("{first} \"[\" {} \"]\"", several("\", \"")),
        CallFormat::Lfm => format!("{first} \"[\" {} \"]\" {last}", several("\", \"")),
        CallFormat::Pythonic => format!("\"[\" {} \"]\"", several("\", \"")),
        CallFormat::Llama => call,
        CallFormat::Harmony => {
            let channel = writer.mark("<|channel|>");
            format!("{} {channel} \"commentary to=functions.\" {call}", analysis(tokenizer))
        }
    };
    Ok(Some(format!("start: {start}\n{}", writer.rules)))
}

/// What may come before the answer in a format, where its beginning has to be written too: on channels.
pub(super) fn before_answer(tokenizer: &Tokenizer) -> Option<String> {
    if tokenizer.turn_format().calls != Some(CallFormat::Harmony) {
        return None;
    }
    let [channel, message] = ["<|channel|>", "<|message|>"].map(|it| mark(tokenizer, it));
    Some(format!("{} {channel} \"final\" {message}", analysis(tokenizer)))
}

/// A message on the channel of reasoning, which may be left out.
fn analysis(tokenizer: &Tokenizer) -> String {
    let marks = ["<|channel|>", "<|message|>", "<|end|>", "<|start|>"];
    let [channel, message, end, start] = marks.map(|it| mark(tokenizer, it));
    format!("({channel} \"analysis\" {message} {ANY_TEXT} {end} {start} \"assistant\")?")
}

/// A text that the tokenizer may have as one token, which is no text otherwise.
fn mark(tokenizer: &Tokenizer, mark: &str) -> String {
    match tokenizer.control_token(mark) {
        Some(token) => format!("<[{token}]>"),
        None => literal(mark),
    }
}

/// Writes rules, each with a name of its own.
struct Writer<'a> {
    tokenizer: &'a Tokenizer,
    rules: String,
    n_rules: usize,
}

impl Writer<'_> {
    /// The rule for one call, without what is around all calls.
    fn call(
        &mut self,
        format: CallFormat,
        name: &str,
        parameters: &Map<String, Value>,
    ) -> Result<Option<String>, TextError> {
        let arguments = |it: &mut Self| it.json(&arguments_schema(parameters));
        Ok(Some(match format {
            CallFormat::Mistral if self.has_arguments_mark() => {
                format!("{} {} {}", literal(name), self.mark("[ARGS]"), arguments(self)?)
            }
            CallFormat::Hermes | CallFormat::Granite | CallFormat::Mistral => {
                format!(
                    "{} {} \"}}\"",
                    literal(&format!("{{\"name\": \"{name}\", \"arguments\": ")),
                    arguments(self)?
                )
            }
            CallFormat::Llama => {
                format!(
                    "{} {} \"}}\"",
                    literal(&format!("{{\"name\": \"{name}\", \"parameters\": ")),
                    arguments(self)?
                )
            }
            CallFormat::Harmony => format!(
                "{} {} \"json\" {} {}",
                literal(&format!("{name} ")),
                self.mark("<|constrain|>"),
                self.mark("<|message|>"),
                arguments(self)?
            ),
            CallFormat::Qwen | CallFormat::Seed => {
                let around = if format == CallFormat::Qwen { "\n" } else { "" };
                let mut call = literal(&format!("{FUNCTION}{name}>\n"));
                for parameter in Parameter::all(parameters) {
                    let begin = literal(&format!("<parameter={}>{around}", parameter.name));
                    let value = self.text_or_json(&parameter, &format!("{around}</parameter>\n"))?;
                    call += &optional(&format!(" {begin} {value}"), parameter.is_required);
                }
                call + " \"</function>\""
            }
            CallFormat::Glm => {
                let mut call = literal(name);
                let marks = ["<arg_key>", "</arg_key>", "<arg_value>"].map(|it| self.mark(it));
                for parameter in Parameter::all(parameters) {
                    let value = self.text_or_json(&parameter, "</arg_value>")?;
                    let [key, end_of_key, begin] = &marks;
                    let name = literal(parameter.name);
                    let one = format!(" \"\\n\"? {key} {name} {end_of_key} \"\\n\"? {begin} {value}");
                    call += &optional(&one, parameter.is_required);
                }
                call + " \"\\n\"?"
            }
            CallFormat::Lfm | CallFormat::Pythonic => {
                let arguments = self.row(parameters, "=", ", ", Self::value)?;
                let Some(arguments) = arguments else { return Ok(None) };
                format!("{} {arguments} \")\"", literal(&format!("{name}(")))
            }
            CallFormat::Gemma | CallFormat::FunctionGemma => {
                let mark = if format == CallFormat::Gemma { "<|\"|>" } else { "<escape>" };
                let arguments =
                    self.row(parameters, ":", ",", |it, parameter| it.unquoted(parameter, mark))?;
                let Some(arguments) = arguments else { return Ok(None) };
                format!("{} {arguments} \"}}\"", literal(&format!("call:{name}{{")))
            }
        }))
    }

    /// Arguments in a row with separators, in the order of the schema. `None` if a value has no grammar.
    fn row(
        &mut self,
        parameters: &Map<String, Value>,
        equals: &str,
        between: &str,
        value: impl Fn(&mut Self, &Parameter<'_>) -> Result<Option<String>, TextError>,
    ) -> Result<Option<String>, TextError> {
        let (mut first, mut later) = ("\"\"".to_owned(), "\"\"".to_owned());
        for parameter in Parameter::all(parameters).into_iter().rev() {
            let Some(value) = value(self, &parameter)? else { return Ok(None) };
            let named = literal(&format!("{}{equals}", parameter.name));
            let skipped =
                |rest: &str| if parameter.is_required { String::new() } else { format!(" | {rest}") };
            let [next_first, next_later] = [
                format!("{named} {value} {later}{}", skipped(&first)),
                format!("{} {named} {value} {later}{}", literal(between), skipped(&later)),
            ];
            (first, later) = (self.rule(&next_first), self.rule(&next_later));
        }
        Ok(Some(first))
    }

    #[allow(clippy::unnecessary_wraps, reason = "it has the form of `unquoted`")]
    fn value(&mut self, parameter: &Parameter<'_>) -> Result<Option<String>, TextError> {
        self.json(&parameter.schema()).map(Some)
    }

    /// A value without quotes; `None` if it nests.
    fn unquoted(&mut self, parameter: &Parameter<'_>, mark: &str) -> Result<Option<String>, TextError> {
        match parameter.kind() {
            Some("string") => {
                let (begin, end) = (self.mark(mark), self.text_until(mark));
                Ok(Some(format!("{begin} {end}")))
            }
            Some("integer" | "number" | "boolean" | "null") => self.json(&parameter.schema()).map(Some),
            _ => Ok(None),
        }
    }

    /// A value between marks: a string as it is, anything else as JSON.
    fn text_or_json(&mut self, parameter: &Parameter<'_>, end: &str) -> Result<String, TextError> {
        let words = parameter.schema.get("enum").and_then(Value::as_array);
        let words: Option<Vec<&str>> = words.and_then(|it| it.iter().map(Value::as_str).collect());
        if let Some(words) = words.filter(|it| !it.is_empty()) {
            let words: Vec<String> = words.into_iter().map(literal).collect();
            return Ok(format!("({}) {}", words.join(" | "), self.mark(end)));
        }
        match parameter.kind() {
            Some("string") | None => Ok(self.text_until(end)),
            Some(_) => Ok(format!("{} {}", self.json(&parameter.schema())?, self.mark(end))),
        }
    }

    /// Any text up to a mark, and the mark.
    fn text_until(&mut self, end: &str) -> String {
        if self.tokenizer.control_token(end).is_some() {
            return format!("{ANY_TEXT} {}", self.mark(end));
        }
        let name = self.name();
        let _ = writeln!(self.rules, "{name}[suffix={}]: /(?s:.*)/", literal(end));
        name
    }

    fn mark(&self, text: &str) -> String {
        mark(self.tokenizer, text)
    }

    /// Whether Mistral's calls have a mark before their arguments. The older ones are JSON.
    fn has_arguments_mark(&self) -> bool {
        self.tokenizer.control_token("[ARGS]").is_some()
    }

    fn json(&mut self, schema: &Value) -> Result<String, TextError> {
        let prepared = schema::prepared(&schema.to_string())?;
        Ok(self.rule(&format!("%json {prepared}")))
    }

    fn rule(&mut self, body: &str) -> String {
        let name = self.name();
        let _ = writeln!(self.rules, "{name}: {body}");
        name
    }

    fn name(&mut self) -> String {
        self.n_rules += 1;
        format!("r{}", self.n_rules)
    }
}

/// An argument of a tool.
struct Parameter<'a> {
    name: &'a str,
    schema: &'a Value,
    is_required: bool,
    root: &'a Map<String, Value>,
}

impl<'a> Parameter<'a> {
    fn all(root: &'a Map<String, Value>) -> Vec<Self> {
        let required = root.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|it| it.iter().any(|it| it == name));
        let properties = root.get("properties").and_then(Value::as_object).into_iter().flatten();
        properties.map(|(name, schema)| Self { name, schema, is_required: is_required(name), root }).collect()
    }

    /// Its only type; `None` if it may have several, or any.
    fn kind(&self) -> Option<&'a str> {
        self.schema.get("type").and_then(Value::as_str)
    }

    /// Its schema as one of its own, with what it may refer to.
    fn schema(&self) -> Value {
        let mut schema = self.schema.clone();
        if let Some(fields) = schema.as_object_mut() {
            for shared in ["$defs", "definitions"] {
                if let Some(it) = self.root.get(shared) {
                    fields.entry(shared).or_insert_with(|| it.clone());
                }
            }
        }
        schema
    }
}

/// The schema of all arguments. What it does not describe is no argument.
fn arguments_schema(parameters: &Map<String, Value>) -> Value {
    let mut schema = parameters.clone();
    schema.entry("type").or_insert_with(|| json!("object"));
    if !schema.contains_key("patternProperties") {
        schema.entry("additionalProperties").or_insert_with(|| json!(false));
    }
    Value::Object(schema)
}

fn optional(part: &str, is_required: bool) -> String {
    if is_required { part.to_owned() } else { format!(" ({part})?") }
}

fn literal(text: &str) -> String {
    Value::from(text).to_string()
}
