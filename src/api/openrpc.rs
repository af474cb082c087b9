//! The protocol as an OpenRPC document: the result of `rpc.discover`.
//!
//! It is generated from the lists of methods and notifications; a test compares it with `protocol/openrpc.json`.
//! OpenRPC has no notifications; they are in the extension `x-notifications`.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::error::codes;
use crate::protocol::{Method, Notification, Sender};
use crate::schema::definitions;
use crate::{for_each_method, for_each_notification};

/// `(kind, code, message)` of the errors beyond JSON-RPC's own.
const ERRORS: &[(&str, i32, &str)] = &[
    ("model_load_failed", codes::MODEL_LOAD_FAILED, "the model could not be loaded"),
    ("prompt_too_long", codes::PROMPT_TOO_LONG, "the prompt does not fit into the model's context"),
    ("overloaded", codes::OVERLOADED, "the queue is full"),
    ("generation_failed", codes::GENERATION_FAILED, "generation failed for this request"),
    ("unsupported", codes::UNSUPPORTED, "the model or this build does not support what was asked"),
    ("shutting_down", codes::SHUTTING_DOWN, "the worker is shutting down"),
    ("out_of_memory", codes::OUT_OF_MEMORY, "the request does not fit into memory"),
    ("request_cancelled", codes::REQUEST_CANCELLED, "the request was stopped by `$/cancelRequest`"),
];

/// The protocol as an OpenRPC 1.3 document; always the same.
pub fn openrpc() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    // Makes references to the definitions.
    let mut references = settings.clone().into_generator();
    let definitions = definitions(settings);
    macro_rules! method_objects {
        ($($method:ty),*) => { vec![$(method_object::<$method>(&mut references, &definitions)),*] };
    }
    let methods: Vec<Value> = for_each_method!(method_objects);
    macro_rules! notification_objects {
        ($($notification:ty),*) => { vec![$(notification_object::<$notification>(&mut references)),*] };
    }
    let notifications: Vec<Value> = for_each_notification!(notification_objects);
    let errors: Map<String, Value> = ERRORS
        .iter()
        .map(|(kind, code, message)| ((*kind).to_owned(), json!({ "code": code, "message": message })))
        .collect();
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "runabout",
            "version": "1.0.0",
            "description": "A local language model as a subprocess: JSON-RPC 2.0 over stdin and stdout, newline-delimited \
                or with Content-Length headers. Parameters are passed by name; an unknown one is an error, except for \
                names that begin with `x_`, and `_meta`. Clients must ignore unknown members of results and notifications.",
        },
        "methods": methods,
        "x-notifications": notifications,
        "components": { "schemas": definitions, "errors": errors },
    })
}

fn method_object<M: Method>(references: &mut SchemaGenerator, definitions: &Map<String, Value>) -> Value {
    let params = M::Params::schema_name();
    let errors: Vec<Value> =
        M::ERRORS.iter().map(|kind| json!({ "$ref": format!("#/components/errors/{kind}") })).collect();
    json!({
        "name": M::NAME,
        "summary": M::SUMMARY,
        "description": definitions[&*params]["description"],
        "paramStructure": "by-name",
        "params": content_descriptors(&params, definitions),
        "x-params": references.subschema_for::<M::Params>(),
        "result": { "name": M::Result::schema_name(), "schema": references.subschema_for::<M::Result>() },
        "errors": errors,
    })
}

/// The fields of a params type. For a choice of types: the fields of all of them, with none required.
fn content_descriptors(params: &str, definitions: &Map<String, Value>) -> Vec<Value> {
    let Some(definition) = definitions.get(params) else { return Vec::new() };
    if let Some(choices) = definition["anyOf"].as_array() {
        let mut descriptors: Vec<Value> = Vec::new();
        for choice in choices {
            let name = choice["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
            for mut descriptor in content_descriptors(name, definitions) {
                descriptor["required"] = false.into();
                if descriptors.iter().all(|known| known["name"] != descriptor["name"]) {
                    descriptors.push(descriptor);
                }
            }
        }
        return descriptors;
    }
    let required = definition["required"].as_array();
    let properties = definition["properties"].as_object();
    properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let is_required = required.is_some_and(|names| names.iter().any(|it| it == name));
            json!({ "name": name, "required": is_required, "schema": schema })
        })
        .collect()
}

fn notification_object<N: Notification>(references: &mut SchemaGenerator) -> Value {
    let mut object = json!({
        "name": N::NAME,
        "summary": N::SUMMARY,
        "from": match N::SENDER {
            Sender::Client => "client",
            Sender::Worker => "worker",
        },
    });
    let params: Schema = references.subschema_for::<N::Params>();
    if params != references.subschema_for::<()>() {
        object["params"] = params.into();
    }
    object
}
