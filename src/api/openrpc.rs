//! The protocol as an OpenRPC document: what `rpc.discover` answers.
//!
//! OpenRPC knows requests only; notifications stand in the extension `x-notifications`.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::schema::{Method, Notification, all_methods, all_notifications, definitions};
use crate::{codes, methods};

/// `(kind, code, message)` of the errors beyond JSON-RPC's own.
const ERRORS: &[(&str, i32, &str)] = &[
    ("model_load_failed", codes::MODEL_LOAD_FAILED, "the model could not be loaded"),
    ("prompt_too_long", codes::PROMPT_TOO_LONG, "the prompt does not fit the model's context"),
    ("overloaded", codes::OVERLOADED, "the queue is full"),
    ("generation_failed", codes::GENERATION_FAILED, "something failed in this job"),
    ("unsupported", codes::UNSUPPORTED, "the model, or this build, cannot do what was asked"),
    ("shutting_down", codes::SHUTTING_DOWN, "the worker takes no more work"),
    ("out_of_memory", codes::OUT_OF_MEMORY, "it would not fit into memory"),
    ("request_cancelled", codes::REQUEST_CANCELLED, "the request was stopped by `$/cancelRequest`"),
];

/// The protocol as an OpenRPC 1.3 document. The same every time.
pub fn openrpc() -> Value {
    let definitions = definitions(SchemaSettings::draft07().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    }));
    let mut all: Vec<Value> =
        all_methods().iter().map(|method| method_object(method, &definitions)).collect();
    all.push(json!({
        "name": methods::DISCOVER,
        "summary": "This document",
        "paramStructure": "by-name",
        "params": [],
        "result": { "name": "OpenRPC", "schema": { "type": "object" } },
    }));
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
                or with Content-Length headers. Parameters go by name; an unknown one is an error, except for names that \
                begin with `x_`, and `_meta`. Clients ignore members of results and notifications that they do not know.",
        },
        "methods": all,
        "x-notifications": all_notifications().iter().map(notification_object).collect::<Vec<_>>(),
        "components": { "schemas": definitions, "errors": errors },
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn method_object(method: &Method, definitions: &Map<String, Value>) -> Value {
    let params = (method.params.name)();
    let result = match method.result {
        Some(result) => json!({ "name": (result.name)(), "schema": reference(&(result.name)()) }),
        None => json!({ "name": "null", "schema": { "type": "null" } }),
    };
    let errors: Vec<Value> =
        method.errors.iter().map(|kind| json!({ "$ref": format!("#/components/errors/{kind}") })).collect();
    json!({
        "name": method.name,
        "summary": method.summary,
        "description": definitions[&params]["description"],
        "paramStructure": "by-name",
        "params": content_descriptors(&params, definitions),
        "x-params": reference(&params),
        "result": result,
        "errors": errors,
    })
}

/// The fields of a params type, one by one. Of a choice of types, those of all; none of them is always required.
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

fn notification_object(notification: &Notification) -> Value {
    let mut object = json!({
        "name": notification.name,
        "summary": notification.summary,
        "from": if notification.from_client { "client" } else { "worker" },
    });
    if let Some(params) = notification.params {
        object["params"] = reference(&(params.name)());
    }
    object
}
