//! Calls as JSON: `{"name": "f", "arguments": {...}}`, a list of such objects, or several with `;` or line ends between.

use serde_json::{Map, Value};

use crate::turn::call::{Call, Parsed};

/// Reads one or several calls.
pub(super) fn parsed(text: &str) -> Parsed {
    let mut rest = text.trim();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => match calls(value) {
                Ok(calls) => found.extend(calls),
                Err(reason) => return Parsed::Bad(reason),
            },
            Some(Err(err)) => return refused(&err),
            None => break,
        }
        rest = rest[values.byte_offset()..].trim_start().trim_start_matches([';', ',']).trim_start();
    }
    Parsed::of(Ok(found))
}

/// Reads the only value of a text.
pub(super) fn value(text: &str) -> Result<Value, Parsed> {
    serde_json::from_str(text).map_err(|err| refused(&err))
}

/// Whether a text may become a call: an object that begins with the name of the function.
pub(super) fn begins(text: &str) -> Option<bool> {
    let Some(rest) = text.strip_prefix('{').map(str::trim_start) else {
        return if text.is_empty() { None } else { Some(false) };
    };
    let keys = ["\"name\"", "\"function\"", "\"type\"", "\"parameters\"", "\"arguments\"", "\"id\""];
    if keys.iter().any(|it| rest.starts_with(it)) {
        Some(true)
    } else if keys.iter().any(|it| it.starts_with(rest)) {
        None
    } else {
        Some(false)
    }
}

fn refused(err: &serde_json::Error) -> Parsed {
    let reason = format!("the call must be JSON: {err}");
    if err.is_eof() { Parsed::Incomplete(reason) } else { Parsed::Bad(reason) }
}

/// The calls that a value stands for.
pub(super) fn calls(value: Value) -> Result<Vec<Call>, String> {
    match value {
        Value::Array(list) => list.into_iter().map(call).collect(),
        other => Ok(vec![call(other)?]),
    }
}

/// Models write the same object with several names.
fn call(value: Value) -> Result<Call, String> {
    let Value::Object(mut fields) = value else { return Err("a call must be an object".to_owned()) };
    let id = match fields.remove("id").or_else(|| fields.remove("tool_call_id")) {
        Some(Value::String(id)) if !id.is_empty() => Some(id),
        _ => None,
    };
    if let Some(Value::Object(inner)) = fields.get("function") {
        fields = inner.clone();
    }
    let Some(Value::String(name)) = fields.remove("name").or_else(|| fields.remove("function")) else {
        return Err("a call must have a `name`".to_owned());
    };
    let arguments = match fields.remove("arguments").or_else(|| fields.remove("parameters")) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(arguments)) => arguments,
        // Some models quote them once more.
        Some(Value::String(text)) if text.trim().is_empty() => Map::new(),
        Some(Value::String(text)) => match serde_json::from_str(&text) {
            Ok(Value::Object(arguments)) => arguments,
            _ => return Err("the `arguments` must be an object".to_owned()),
        },
        Some(_) => return Err("the `arguments` must be an object".to_owned()),
    };
    Ok(Call { id, name, arguments })
}
