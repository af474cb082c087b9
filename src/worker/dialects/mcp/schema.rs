//! JSON Schemas of the tools' arguments and outputs, in the plainest form that agents and their validators take.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

/// The schema of a tool's arguments: unknown ones are errors.
pub(super) fn of_arguments<T: JsonSchema>() -> Value {
    let mut schema = plain::<T>();
    schema["additionalProperties"] = json!(false);
    schema
}

/// The schema of a tool's output. It may get more members in later versions.
pub(super) fn of_output<T: JsonSchema>() -> Value {
    plain::<T>()
}

/// Without references, since some clients show a schema to their model as it is.
fn plain<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    // It is the default in MCP.
    settings.meta_schema = None;
    let settings = settings.with_transform(RecursiveTransform(simplify));
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    // Described by the tool itself.
    schema.remove("description");
    if schema.get("properties").is_none() {
        schema.insert("properties".to_owned(), json!({}));
    }
    schema.to_value()
}

/// Removes what says nothing to a client: Rust's number formats, which some validators refuse; that an optional member
/// may be `null`; and the source's line breaks.
fn simplify(schema: &mut Schema) {
    schema.remove("format");
    if schema.get("default") == Some(&Value::Null) {
        schema.remove("default");
    }
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
    if let Some(Value::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|it| it != "null");
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            schema.insert("type".to_owned(), kind);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|it| it["type"] != "null");
        if let [Value::Object(only)] = choices.as_mut_slice() {
            let only = std::mem::take(only);
            schema.remove("anyOf");
            for (name, value) in only {
                if schema.get(&name).is_none() {
                    schema.insert(name, value);
                }
            }
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|it| !it.is_null());
    }
}
