//! One JSON Schema document of all types, and the table of what the protocol consists of.
//!
//! The same table makes the OpenRPC document, so a method that is missing here is missing everywhere, and a test
//! holds both against the files in `protocol/`.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::{
    CancelParams, CancelResult, CancelledData, ChatParams, ChatResult, CompleteParams, CompleteResult,
    DeltaParams, ErrorData, InitializeParams, InitializeResult, InvalidParamsData, NoParams, ProgressParams,
    StatusParams, StatusResult, TokenizeParams, TokenizeResult, WarmParams, WarmResult, methods,
};

/// A type, as a way to its schema.
#[derive(Clone, Copy)]
pub(crate) struct Type {
    pub(crate) schema: fn(&mut SchemaGenerator) -> Schema,
    /// Its name among the definitions.
    pub(crate) name: fn() -> String,
}

impl Type {
    fn of<T: JsonSchema>() -> Self {
        Self { schema: SchemaGenerator::subschema_for::<T>, name: || T::schema_name().into_owned() }
    }
}

/// A request that the worker answers.
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) params: Type,
    /// `None`: null.
    pub(crate) result: Option<Type>,
    /// The worker's own errors that it may be answered with, by kind.
    pub(crate) errors: &'static [&'static str],
}

/// A message without an answer.
pub(crate) struct Notification {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    /// Whether the client sends it, and not the worker.
    pub(crate) from_client: bool,
    pub(crate) params: Option<Type>,
}

/// What work may fail with.
const WORK_ERRORS: &[&str] = &[
    "model_load_failed",
    "prompt_too_long",
    "overloaded",
    "generation_failed",
    "unsupported",
    "shutting_down",
    "out_of_memory",
    "request_cancelled",
];

pub(crate) fn all_methods() -> Vec<Method> {
    vec![
        Method {
            name: methods::INITIALIZE,
            summary: "Who is there, and what it can do",
            params: Type::of::<InitializeParams>(),
            result: Some(Type::of::<InitializeResult>()),
            errors: &["shutting_down"],
        },
        Method {
            name: methods::COMPLETE,
            summary: "Text at the cursor",
            params: Type::of::<CompleteParams>(),
            result: Some(Type::of::<CompleteResult>()),
            errors: WORK_ERRORS,
        },
        Method {
            name: methods::CHAT,
            summary: "One assistant turn",
            params: Type::of::<ChatParams>(),
            result: Some(Type::of::<ChatResult>()),
            errors: WORK_ERRORS,
        },
        Method {
            name: methods::CANCEL,
            summary: "Stop a request",
            params: Type::of::<CancelParams>(),
            result: Some(Type::of::<CancelResult>()),
            errors: &["shutting_down"],
        },
        Method {
            name: methods::WARM,
            summary: "Put a prefix into the cache",
            params: Type::of::<WarmParams>(),
            result: Some(Type::of::<WarmResult>()),
            errors: WORK_ERRORS,
        },
        Method {
            name: methods::TOKENIZE,
            summary: "Count tokens",
            params: Type::of::<TokenizeParams>(),
            result: Some(Type::of::<TokenizeResult>()),
            errors: &["model_load_failed", "unsupported", "shutting_down"],
        },
        Method {
            name: methods::STATUS,
            summary: "How the worker is",
            params: Type::of::<NoParams>(),
            result: Some(Type::of::<StatusResult>()),
            errors: &["shutting_down"],
        },
        Method {
            name: methods::SHUTDOWN,
            summary: "Take no more work; `exit` ends the process",
            params: Type::of::<NoParams>(),
            result: None,
            errors: &["shutting_down"],
        },
    ]
}

pub(crate) fn all_notifications() -> Vec<Notification> {
    vec![
        Notification {
            name: methods::DELTA,
            summary: "A piece of the text of a request",
            from_client: false,
            params: Some(Type::of::<DeltaParams>()),
        },
        Notification {
            name: methods::PROGRESS,
            summary: "How far something long has got",
            from_client: false,
            params: Some(Type::of::<ProgressParams>()),
        },
        Notification {
            name: methods::STATUS,
            summary: "The worker's state has changed, or memory has got short",
            from_client: false,
            params: Some(Type::of::<StatusParams>()),
        },
        Notification {
            name: methods::CANCEL,
            summary: "Stop a request, which is answered with a result and the text so far",
            from_client: true,
            params: Some(Type::of::<CancelParams>()),
        },
        Notification {
            name: methods::CANCEL_REQUEST,
            summary: "Stop a request in LSP's way: it is answered with error -32800",
            from_client: true,
            params: Some(Type::of::<CancelParams>()),
        },
        Notification { name: methods::EXIT, summary: "End the process", from_client: true, params: None },
    ]
}

/// All types of the protocol as one JSON Schema document (draft 2020-12), in `$defs`. The same every time.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "runabout, native protocol, version 1",
        "description": "Types of the JSON-RPC 2.0 messages. `openrpc.json` says which method has which.",
        "$defs": definitions(SchemaSettings::draft2020_12()),
    })
}

/// The schemas of all types by name, in the alphabet's order.
pub(crate) fn definitions(settings: SchemaSettings) -> Map<String, Value> {
    let mut generator = settings.with_transform(RecursiveTransform(join_lines)).into_generator();
    let methods = all_methods();
    let notifications = all_notifications();
    let errors = [Type::of::<ErrorData>(), Type::of::<InvalidParamsData>(), Type::of::<CancelledData>()];
    let types = methods.iter().flat_map(|method| [Some(method.params), method.result]).flatten();
    for of in types.chain(notifications.iter().filter_map(|it| it.params)).chain(errors) {
        (of.schema)(&mut generator);
    }
    let mut definitions = generator.take_definitions(true);
    for method in &methods {
        if let Some(Value::Object(definition)) = definitions.get_mut(&(method.params.name)()) {
            close(definition);
        }
    }
    definitions.sort_keys();
    definitions
}

/// Takes the line breaks of the source out of a description; a blank line stays.
fn join_lines(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        let paragraphs: Vec<String> = description.split("\n\n").map(|text| text.replace('\n', " ")).collect();
        *description = paragraphs.join("\n\n");
    }
}

/// Says of a method's params that unknown names are errors, except for those that are the client's own.
fn close(definition: &mut Map<String, Value>) {
    // The params of `warm` are those of other methods, which are closed themselves.
    if definition.contains_key("anyOf") {
        return;
    }
    definition.insert("additionalProperties".into(), json!(false));
    definition.insert("patternProperties".into(), json!({ "^(x_|_meta$)": {} }));
}
