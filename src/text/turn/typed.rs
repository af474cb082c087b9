//! Gives a value that a model wrote as bare text the type that the tool's schema has for it: [`typed`].

use serde_json::{Map, Value};

/// References that lead to another reference, at most.
const MAX_REFERENCES: usize = 8;

/// The value that `text` stands for as the argument `key` of a function with these `parameters`. A text that has none
/// of the types stays a string: whoever makes the call can tell what is wrong with it.
pub(super) fn typed(text: &str, parameters: Option<&Map<String, Value>>, key: &str) -> Value {
    let schema = parameters.and_then(|it| it.get("properties")?.get(key));
    let mut kinds = Kinds::default();
    if let (Some(schema), Some(parameters)) = (schema, parameters) {
        kinds.read(schema, parameters, MAX_REFERENCES);
    }
    let as_text = || Value::String(text.to_owned());
    if kinds.strings.iter().any(|it| it == text) {
        return as_text();
    }
    let Some(value) = literal(text.trim()) else { return as_text() };
    let fits = match &value {
        Value::Null => kinds.has("null"),
        Value::Bool(_) => kinds.has("boolean"),
        Value::Number(_) => kinds.has("integer") || kinds.has("number"),
        Value::Array(_) => kinds.has("array"),
        Value::Object(_) => kinds.has("object"),
        Value::String(_) => false,
    };
    match value {
        // In JSON's quotes, though a string needs none here.
        Value::String(inner) if !kinds.has("string") && kinds.is_known() => Value::String(inner),
        Value::String(_) => as_text(),
        Value::Number(number) if fits && !kinds.has("number") => whole(&number),
        value if fits || !kinds.is_known() => value,
        // A text where a text may be.
        _ if kinds.has("string") => as_text(),
        value => value,
    }
}

/// The types that a schema allows.
#[derive(Debug, Default)]
struct Kinds {
    names: Vec<String>,
    /// The strings of an enumeration.
    strings: Vec<String>,
}

impl Kinds {
    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|it| it == name)
    }

    fn is_known(&self) -> bool {
        !self.names.is_empty()
    }

    fn read(&mut self, schema: &Value, root: &Map<String, Value>, n_references: usize) {
        match schema.get("type") {
            Some(Value::String(name)) => self.names.push(name.clone()),
            Some(Value::Array(names)) => {
                self.names.extend(names.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            _ => {}
        }
        let values = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
        for value in values.chain(schema.get("const")) {
            let name = match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(_) => "number",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
                Value::String(text) => {
                    self.strings.push(text.clone());
                    "string"
                }
            };
            self.names.push(name.to_owned());
        }
        if n_references == 0 {
            return;
        }
        for several in ["anyOf", "oneOf", "allOf"] {
            for one in schema.get(several).and_then(Value::as_array).into_iter().flatten() {
                self.read(one, root, n_references - 1);
            }
        }
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix("#/"));
        let target = target.and_then(|it| {
            let mut parts = it.split('/').map(|part| part.replace("~1", "/").replace("~0", "~"));
            let first = root.get(&parts.next()?)?;
            parts.try_fold(first, |schema, part| schema.get(&part))
        });
        if let Some(target) = target {
            self.read(target, root, n_references - 1);
        }
    }
}

/// A JSON value, or one of Python's words for truth and nothing.
fn literal(text: &str) -> Option<Value> {
    match text {
        "True" | "TRUE" => Some(Value::Bool(true)),
        "False" | "FALSE" => Some(Value::Bool(false)),
        "None" => Some(Value::Null),
        _ => serde_json::from_str(text).ok(),
    }
}

/// An integer without its point, `3.0` as 3.
fn whole(number: &serde_json::Number) -> Value {
    /// Beyond these, a float cannot tell one integer from the next.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => {
            serde_json::from_str(&format!("{float:.0}")).unwrap_or_else(|_| number.clone().into())
        }
        _ => number.clone().into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_gets_the_type_of_its_schema() {
        let parameters = json!({
            "properties": {
                "text": {"type": "string"}, "n": {"type": "integer"}, "x": {"type": "number"},
                "on": {"type": "boolean"}, "list": {"type": "array"}, "object": {"type": "object"},
                "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "either": {"type": ["integer", "string"]},
                "choice": {"enum": ["1", 2]}, "far": {"$ref": "#/$defs/Far"}, "any": {},
            },
            "$defs": {"Far": {"type": "integer"}},
        });
        for (key, text, value) in [
            ("text", "5", json!("5")),
            ("text", "null", json!("null")),
            ("text", "\"quoted\"", json!("\"quoted\"")),
            ("text", "{\"a\": 1}", json!("{\"a\": 1}")),
            ("n", " 5 ", json!(5)),
            ("n", "5.0", json!(5)),
            ("n", "five", json!("five")),
            ("x", "5", json!(5)),
            ("x", "5.5", json!(5.5)),
            ("on", "True", json!(true)),
            ("on", "false", json!(false)),
            ("list", "[1, \"a\"]", json!([1, "a"])),
            ("object", "{\"a\": [null]}", json!({"a": [null]})),
            ("maybe", "null", json!(null)),
            ("maybe", "nothing", json!("nothing")),
            ("either", "7", json!(7)),
            ("either", "seven", json!("seven")),
            ("choice", "1", json!("1")),
            ("choice", "2", json!(2)),
            ("far", "3", json!(3)),
            ("any", "[1]", json!([1])),
            ("any", "word", json!("word")),
            ("unknown", "true", json!(true)),
        ] {
            assert_eq!(typed(text, parameters.as_object(), key), value, "{key}: {text}");
        }
    }
}
