//! One JSON Schema document of all types of the protocol.
//!
//! It is generated from the lists of methods and notifications; a test compares it with `protocol/schema.json`.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::error::{CancelledData, ErrorData, InvalidParamsData};
use crate::protocol::{Method, Notification};
use crate::{for_each_method, for_each_notification};

/// All types of the protocol as one JSON Schema document (draft 2020-12), in `$defs`; always the same.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "runabout, native protocol, version 1",
        "description": "The types of the JSON-RPC 2.0 messages. `openrpc.json` tells which method uses which.",
        "$defs": definitions(SchemaSettings::draft2020_12()),
    })
}

/// The schemas of all types by name, in alphabetical order.
pub(crate) fn definitions(settings: SchemaSettings) -> Map<String, Value> {
    let mut generator = settings.with_transform(RecursiveTransform(join_lines)).into_generator();
    let mut names_of_params = Vec::new();
    macro_rules! add_methods {
        ($($method:ty),*) => {$(
            generator.subschema_for::<<$method as Method>::Params>();
            generator.subschema_for::<<$method as Method>::Result>();
            names_of_params.push(<$method as Method>::Params::schema_name());
        )*};
    }
    for_each_method!(add_methods);
    macro_rules! add_notifications {
        ($($notification:ty),*) => {$(
            generator.subschema_for::<<$notification as Notification>::Params>();
        )*};
    }
    for_each_notification!(add_notifications);
    generator.subschema_for::<ErrorData>();
    generator.subschema_for::<InvalidParamsData>();
    generator.subschema_for::<CancelledData>();
    let mut definitions = generator.take_definitions(true);
    for name in names_of_params {
        if let Some(Value::Object(definition)) = definitions.get_mut(&*name) {
            close(definition);
        }
    }
    definitions.sort_keys();
    definitions
}

/// Removes the line breaks of the source from a description, except blank lines.
fn join_lines(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        let paragraphs: Vec<String> = description.split("\n\n").map(|text| text.replace('\n', " ")).collect();
        *description = paragraphs.join("\n\n");
    }
}

/// States that unknown names among a method's params are errors, except those that belong to the client.
fn close(definition: &mut Map<String, Value>) {
    // The params of `warm` are those of other methods, which are closed themselves.
    if definition.contains_key("anyOf") {
        return;
    }
    definition.insert("additionalProperties".into(), json!(false));
    definition.insert("patternProperties".into(), json!({ "^(x_|_meta$)": {} }));
}
