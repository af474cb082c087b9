//! Reads the text of calls in each family's form: [`parsed`].

mod glm;
mod json;
mod mistral;
mod pythonic;
mod unquoted;
mod xml;

use serde_json::{Map, Value};

use super::call::{Call, Parsed};
use super::format::{CallFormat, CallTag};
use super::tools::Tools;

/// Reads what is between two tags.
pub(super) fn parsed(format: CallFormat, tag: CallTag, body: &str, tools: &Tools) -> Parsed {
    match format {
        CallFormat::Hermes | CallFormat::Llama => json::parsed(body),
        CallFormat::Granite => json::parsed(body.trim().trim_end_matches("<|/tool_call|>")),
        // Without the outer tag, the text goes on from the inner one.
        CallFormat::Qwen if tag.begin == xml::FUNCTION => {
            Parsed::of(xml::calls(&format!("{}{body}</function>", xml::FUNCTION), tools))
        }
        CallFormat::Qwen | CallFormat::Seed => Parsed::of(xml::calls(body, tools)),
        CallFormat::Glm => Parsed::of(glm::call(body, tools).map(|it| vec![it])),
        CallFormat::Mistral => mistral::parsed(body),
        CallFormat::Gemma => Parsed::of(unquoted::calls(body, "<|\"|>")),
        CallFormat::FunctionGemma => Parsed::of(unquoted::calls(body, "<escape>")),
        CallFormat::Lfm | CallFormat::Pythonic => Parsed::of(pythonic::calls(body, tools)),
        CallFormat::Harmony => arguments_object(body),
    }
}

/// Reads a whole text as calls.
pub(super) fn parsed_bare(format: CallFormat, text: &str, tools: &Tools) -> Parsed {
    match format {
        CallFormat::Pythonic => Parsed::of(pythonic::calls(text, tools)),
        _ => json::parsed(text),
    }
}

/// Whether a text that begins like this may be a call as a whole; `None` if more is needed to tell.
pub(super) fn begins_bare(format: CallFormat, text: &str, is_end: bool) -> Option<bool> {
    let begins = match format {
        CallFormat::Pythonic => pythonic::begins(text),
        _ => json::begins(text),
    };
    begins.or(is_end.then_some(false))
}

/// Whether a text that is no call is meant as one: it names a tool where a call would.
pub(super) fn names_tool(format: CallFormat, text: &str, tools: &Tools) -> bool {
    tools.names().any(|name| match format {
        CallFormat::Pythonic => text
            .trim_start()
            .strip_prefix('[')
            .is_some_and(|it| it.trim_start().strip_prefix(name).is_some_and(|it| it.starts_with('('))),
        _ => text.contains(&format!("\"{name}\"")),
    })
}

/// A text that is the arguments alone, as one call without a name.
pub(super) fn arguments_object(text: &str) -> Parsed {
    // A function without arguments is called with nothing.
    if text.trim().is_empty() {
        return Parsed::Calls(vec![Call { id: None, name: String::new(), arguments: Map::new() }]);
    }
    match json::value(text) {
        Ok(Value::Object(arguments)) => {
            Parsed::Calls(vec![Call { id: None, name: String::new(), arguments }])
        }
        Ok(_) => Parsed::Bad("the arguments must be an object".to_owned()),
        Err(parsed) => parsed,
    }
}

#[cfg(test)]
mod tests;
