//! JSON Schemas as llguidance takes them: [`prepared`].
//!
//! What has no effect on which values are valid is removed where llguidance would refuse it. What it cannot enforce
//! stays, so that it is refused by name; nothing is ignored.

use serde_json::{Map, Value, json};

use super::format::Format;
use crate::TextError;

/// The largest schema, in bytes.
const MAX_BYTES: usize = 512 * 1024;

/// The values of `format` that are enforced. JSON Schema lets others be annotations.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"];

/// Patterns with look-around that schema generators write, and patterns without it that match nothing else.
const PATTERNS: [(&str, &str); 1] = [(
    // The e-mail address of zod: no point at the start of the name, and no two in a row.
    r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$",
    r"^([A-Za-z0-9_'+\-]+\.)*[A-Za-z0-9_'+\-]*[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$",
)];

/// Keywords whose value is a schema, or a list of schemas.
const OF_SCHEMAS: [&str; 12] = [
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "prefixItems",
    "then",
];
/// Keywords whose value is an object of schemas.
const OF_NAMED_SCHEMAS: [&str; 4] = ["$defs", "definitions", "patternProperties", "properties"];

/// Reads a schema and makes it one that llguidance understands.
pub(super) fn prepared(schema: &str) -> Result<Value, TextError> {
    if schema.len() > MAX_BYTES {
        let reason = format!("the schema must have at most {MAX_BYTES} bytes, got {}", schema.len());
        return Err(TextError::BadFormat { reason });
    }
    let mut schema: Value = serde_json::from_str(schema)
        .map_err(|err| TextError::BadFormat { reason: format!("the schema must be JSON: {err}") })?;
    if schema == Value::Bool(true) {
        schema = json!({});
    }
    let Some(fields) = schema.as_object_mut() else {
        let reason = "the schema must be an object".to_owned();
        return Err(TextError::BadFormat { reason });
    };
    simplify(fields);
    // On one line, as Python writes it: what separates two values is certain then, so it takes no step of the model.
    let style = json!({ "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": " });
    fields.insert("x-guidance".to_owned(), style);
    Ok(schema)
}

/// The error for a format that llguidance refuses for this reason.
pub(super) fn refused(format: &Format, reason: &str) -> TextError {
    let reason = in_short(reason);
    let Format::JsonSchema(_) = format else { return TextError::BadFormat { reason: reason.to_owned() } };
    if let Some(keywords) = reason.strip_prefix("Unimplemented keys: ") {
        let keywords = keywords.trim_matches(['[', ']']).replace('"', "`");
        return TextError::UnsupportedFormat { what: format!("the schema's {keywords}") };
    }
    let is_unsupported = ["not supported", "unsupported", "look-around", "disjoint", "Unknown format"];
    let what = reason.to_owned();
    if is_unsupported.iter().any(|it| reason.contains(it)) {
        TextError::UnsupportedFormat { what }
    } else {
        TextError::BadFormat { reason: what }
    }
}

/// What is wrong, without the place in llguidance's own form of the grammar.
pub(super) fn in_short(reason: &str) -> &str {
    let of_pattern = reason.lines().find_map(|it| it.trim_start().strip_prefix("error: "));
    of_pattern.or(reason.lines().next()).unwrap_or_default().trim()
}

/// Says with `properties` and `patternProperties` what `propertyNames` says, if that is the same.
fn name_properties(schema: &mut Map<String, Value>) {
    let Some(Value::Object(mut names)) = schema.get("propertyNames").cloned() else { return };
    // Names are always strings.
    if names.get("type").is_some_and(|it| it == "string") {
        names.remove("type");
    }
    let is_alone = !schema.contains_key("properties") && !schema.contains_key("patternProperties");
    let values = schema.get("additionalProperties").cloned().unwrap_or(Value::Bool(true));
    let named: Map<String, Value> = match (names.iter().next(), names.len()) {
        (None, _) => {
            schema.remove("propertyNames");
            return;
        }
        (Some((keyword, Value::Array(names))), 1) if is_alone && keyword == "enum" => {
            let names = names.iter().filter_map(Value::as_str);
            names.map(|it| (it.to_owned(), values.clone())).collect()
        }
        (Some((keyword, Value::String(pattern))), 1) if is_alone && keyword == "pattern" => {
            let named = Map::from_iter([(pattern.clone(), values)]);
            schema.insert("patternProperties".to_owned(), named.into());
            Map::new()
        }
        _ => return,
    };
    schema.remove("propertyNames");
    if !named.is_empty() {
        schema.insert("properties".to_owned(), named.into());
    }
    schema.insert("additionalProperties".to_owned(), Value::Bool(false));
}

/// Removes keywords that leave all values valid, in this schema and those inside it.
fn simplify(schema: &mut Map<String, Value>) {
    schema.remove("x-guidance");
    let is_annotation = |it: &Value| it.as_str().is_some_and(|it| !FORMATS.contains(&it));
    if schema.get("format").is_some_and(is_annotation) {
        schema.remove("format");
    }
    name_properties(schema);
    if schema.get("uniqueItems") == Some(&Value::Bool(false)) {
        schema.remove("uniqueItems");
    }
    if let Some(Value::String(pattern)) = schema.get_mut("pattern")
        && let Some((_, same)) = PATTERNS.iter().find(|(known, _)| known == pattern)
    {
        (*same).clone_into(pattern);
    }
    for (keyword, value) in schema {
        if OF_SCHEMAS.contains(&keyword.as_str()) {
            let inner = match value {
                Value::Array(list) => list.iter_mut().collect(),
                one => vec![one],
            };
            inner.into_iter().filter_map(Value::as_object_mut).for_each(simplify);
        } else if OF_NAMED_SCHEMAS.contains(&keyword.as_str())
            && let Some(named) = value.as_object_mut()
        {
            named.values_mut().filter_map(Value::as_object_mut).for_each(simplify);
        }
    }
}
