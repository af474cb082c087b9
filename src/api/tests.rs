//! The wire types compared with the protocol's examples, and the generated files compared with the types.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;

/// Compares a generated document with its file, or writes the file if `RUNABOUT_UPDATE` is set.
fn check_file(name: &str, document: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../protocol").join(name);
    let text = serde_json::to_string_pretty(document).unwrap() + "\n";
    if std::env::var_os("RUNABOUT_UPDATE").is_some() {
        std::fs::write(&path, text).unwrap();
    } else {
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "protocol/{name} differs from the types\nhint: RUNABOUT_UPDATE=1 cargo test -p runabout-api"
        );
    }
}

#[test]
fn schema_files_are_fresh() {
    check_file("schema.json", &schema());
    check_file("openrpc.json", &openrpc());
}

/// All values of the key `$ref`.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(path) if key == "$ref" => found.push(path.clone()),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_has_a_definition() {
    for document in [schema(), openrpc()] {
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20);
        for path in found {
            let pointer = path.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{path}");
        }
    }
}

#[test]
fn every_method_has_its_params_by_name() {
    let document = openrpc();
    let method = |name: &str| {
        document["methods"].as_array().unwrap().iter().find(|method| method["name"] == name).unwrap().clone()
    };
    let param = |method: &Value, name: &str| {
        method["params"].as_array().unwrap().iter().find(|param| param["name"] == name).cloned()
    };
    let complete = method("complete");
    assert_eq!(param(&complete, "prefix").unwrap()["required"], true);
    assert_eq!(param(&complete, "max_tokens").unwrap()["schema"]["default"], 128);
    assert_eq!(param(&complete, "xtc_threshold").unwrap()["required"], false);
    assert_eq!(param(&method("chat"), "max_tokens").unwrap()["schema"]["default"], 1024);
    let warm = method("warm");
    assert_eq!(param(&warm, "prefix").unwrap()["required"], false);
    assert!(param(&warm, "messages").is_some());
    assert_eq!(method("status")["params"], json!([]));
    for method in document["methods"].as_array().unwrap() {
        assert!(method["result"]["schema"].is_object(), "{method}");
    }
}

#[test]
fn every_type_and_field_is_described() {
    // These names need no comment.
    let plain = ["name", "version", "path", "text", "token", "count", "usage", "timing", "speculation"];
    for (name, definition) in schema()["$defs"].as_object().unwrap() {
        assert!(definition["description"].is_string(), "{name}");
        for (field, property) in definition["properties"].as_object().into_iter().flatten() {
            let is_described = property["description"].is_string() || property.get("$ref").is_some();
            assert!(is_described || plain.contains(&field.as_str()), "{name}.{field}");
        }
    }
}

#[test]
fn params_are_closed_except_for_names_that_belong_to_the_client() {
    let document = schema();
    for name in [
        "CompleteParams",
        "NextEditParams",
        "ChatParams",
        "CancelParams",
        "TokenizeParams",
        "InitializeParams",
        "NoParams",
    ] {
        assert_eq!(document["$defs"][name]["additionalProperties"], false, "{name}");
        assert!(document["$defs"][name]["patternProperties"]["^(x_|_meta$)"].is_object(), "{name}");
    }
    assert!(
        document["$defs"]["DeltaParams"]["additionalProperties"].is_null(),
        "clients ignore unknown fields"
    );
}

#[test]
fn only_the_prefix_is_required_to_complete() {
    let params: CompleteParams = serde_json::from_value(json!({"prefix": "fn "})).unwrap();
    assert_eq!(params, CompleteParams::new("fn "));
    assert_eq!((params.max_tokens, params.n, params.stream), (128, 1, true));
    assert_eq!((params.mode, params.priority), (CompletionMode::Auto, Priority::Interactive));
    assert_eq!(params.sampling(), Sampling::default());
    assert!(serde_json::from_value::<CompleteParams>(json!({})).is_err());
}

#[test]
fn only_the_prefix_is_required_for_the_next_edit() {
    let params: NextEditParams = serde_json::from_value(json!({"prefix": "fn "})).unwrap();
    assert_eq!(params, NextEditParams::new("fn ", ""));
    assert_eq!((params.max_tokens, params.format), (1024, NextEditFormat::Auto));
    let zeta: NextEditFormat = serde_json::from_value(json!("zeta-2.1")).unwrap();
    assert_eq!(zeta, NextEditFormat::Zeta21);
}

#[test]
fn only_messages_are_required_to_chat() {
    let message = json!({"role": "user", "content": "hi"});
    let params: ChatParams = serde_json::from_value(json!({"messages": [message]})).unwrap();
    assert_eq!(params, ChatParams::new(vec![Message::new(Role::User, "hi")]));
    assert_eq!((params.max_tokens, params.stream, params.priority), (1024, true, Priority::Background));
}

#[test]
fn sampling_parameters_are_beside_the_others() {
    let params: ChatParams = serde_json::from_value(json!({
        "messages": [], "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "min_tokens_to_keep": 2,
        "xtc_probability": 0.25, "xtc_threshold": 0.125, "repetition_penalty": 1.5, "repetition_context_size": 64,
        "presence_penalty": 0.75, "frequency_penalty": -0.5, "logit_bias": {"13": -100}, "seed": 7
    }))
    .unwrap();
    let expected = Sampling {
        temperature: Some(0.5),
        top_p: Some(0.9),
        top_k: Some(40),
        min_p: Some(0.1),
        min_tokens_to_keep: Some(2),
        xtc_probability: Some(0.25),
        xtc_threshold: Some(0.125),
        repetition_penalty: Some(1.5),
        repetition_context_size: Some(64),
        presence_penalty: Some(0.75),
        frequency_penalty: Some(-0.5),
        logit_bias: Some([(13, -100.0)].into()),
        seed: Some(7),
    };
    assert_eq!(params.sampling(), expected);
}

#[test]
fn an_id_is_kept_as_it_was_written() {
    for id in ["1", "1.50", "1e2", "18446744073709551616", r#""\u0061""#] {
        let text = format!(r#"{{"id":{id},"seq":0,"text":"x"}}"#);
        let delta: DeltaParams = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&delta).unwrap(), text);
    }
}

#[test]
fn absent_fields_are_not_written() {
    let usage = Usage { prompt_tokens: 3, ..Usage::default() };
    let expected = json!({
        "prompt_tokens": 3, "cached_tokens": 0, "completion_tokens": 0, "drafted_tokens": 0, "accepted_tokens": 0
    });
    assert_eq!(serde_json::to_value(usage).unwrap(), expected);
    let delta = DeltaParams {
        id: serde_json::from_str("1").unwrap(),
        seq: 0,
        text: "x".into(),
        choice: None,
        reasoning: true,
    };
    assert_eq!(
        serde_json::to_value(delta).unwrap(),
        json!({"id": 1, "seq": 0, "text": "x", "reasoning": true})
    );
}

#[test]
fn a_results_message_can_be_sent_back() {
    let message = Message {
        role: Role::Assistant,
        content: None,
        reasoning: Some("hm".into()),
        tool_calls: vec![ToolCall {
            id: "call_1".into(),
            kind: ToolType::Function,
            function: FunctionCall {
                name: "add".into(),
                arguments: json!({"a": 1}).as_object().unwrap().clone(),
            },
            index: None,
        }],
        tool_call_id: None,
        name: None,
    };
    let written = serde_json::to_value(&message).unwrap();
    assert_eq!(written["content"], Value::Null);
    assert_eq!(written["tool_calls"][0]["type"], "function");
    assert_eq!(serde_json::from_value::<Message>(written).unwrap(), message);
}

#[test]
fn a_message_may_have_any_of_its_documented_forms() {
    let read = |value: Value| serde_json::from_value::<Message>(value).map_err(|error| error.to_string());
    let other = json!({"role": "developer", "content": "a", "name": "n", "reasoning_content": "hm"});
    let message = read(other).unwrap();
    assert_eq!((message.role, message.name.as_deref()), (Role::System, Some("n")));
    assert_eq!(message.reasoning.as_deref(), Some("hm"));
    let call = json!({"id": "1", "index": 0, "function": {"name": "f"}});
    assert!(read(json!({"role": "assistant", "tool_calls": [call]})).is_ok());
    let arguments = |written: Value| {
        let call = json!({"id": "1", "function": {"name": "f", "arguments": written}});
        read(json!({"role": "assistant", "tool_calls": [call]}))
            .map(|it| Value::Object(it.tool_calls[0].function.arguments.clone()))
    };
    assert_eq!(arguments(json!({"a": 1})), Ok(json!({"a": 1})));
    assert_eq!(arguments(json!(" {\"a\": 1}")), Ok(json!({"a": 1})));
    assert_eq!(arguments(json!("")), Ok(json!({})));
    assert_eq!(arguments(json!(null)), Ok(json!({})));
    for wrong in [json!("[1]"), json!("{"), json!([1]), json!(1)] {
        assert_eq!(arguments(wrong), Err("must be an object, or a string that holds one".to_owned()));
    }
    let long = r#"{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"a": 18446744073709551616}}}]}"#;
    let message: Message = serde_json::from_str(long).unwrap();
    let expected = json!({"a": {"__integer__": "18446744073709551616"}});
    assert_eq!(Value::Object(message.tool_calls[0].function.arguments.clone()), expected);
    assert_eq!(arguments(json!("{\"a\": 18446744073709551616}")), Ok(expected));
    assert!(arguments(json!("18446744073709551616")).is_err());
    let content = |written: Value| read(json!({"role": "user", "content": written})).map(|it| it.content);
    let parts = json!([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "b"}]);
    let text = |text: &str| TextPart { kind: TextPartType::Text, text: text.to_owned() };
    assert_eq!(content(parts), Ok(Some(Content::Parts(vec![text("a"), text("b")]))));
    assert_eq!(content(json!(null)), Ok(None));
    assert!(content(json!([{"type": "image_url", "image_url": {}}])).unwrap_err().contains("`image_url`"));
    assert!(content(json!([{"type": "text", "text": "a", "x": 1}])).unwrap_err().contains("`x`"));
    assert!(content(json!([{"text": "a"}])).is_err());
    assert!(content(json!(["a"])).is_err());
    assert!(content(json!(1)).is_err());
}

#[test]
fn a_response_format_has_only_the_field_of_its_type() {
    let read =
        |value: Value| serde_json::from_value::<ResponseFormat>(value).map_err(|error| error.to_string());
    assert_eq!(read(json!({"type": "text"})), Ok(ResponseFormat::Text));
    let format = ResponseFormat::JsonSchema { schema: json!({"type": "object"}) };
    assert_eq!(read(serde_json::to_value(&format).unwrap()), Ok(format));
    assert_eq!(
        read(json!({"type": "regex", "pattern": "a+"})),
        Ok(ResponseFormat::Regex { pattern: "a+".into() })
    );
    let grammar = "start: \"a\"".to_owned();
    assert_eq!(read(json!({"type": "lark", "grammar": grammar})), Ok(ResponseFormat::Lark { grammar }));
    // OpenAI's forms.
    let object = ResponseFormat::JsonSchema { schema: json!({"type": "object"}) };
    let named = json!({"name": "n", "strict": true, "schema": {"type": "object"}});
    assert_eq!(read(json!({"type": "json_schema", "json_schema": named})), Ok(object.clone()));
    assert_eq!(read(json!({"type": "json_object"})), Ok(object));
    for wrong in [
        json!({"type": "json_schema", "json_schema": named, "schema": {}}),
        json!({"type": "json_object", "schema": {}}),
        json!({"type": "regex"}),
        json!({"type": "text", "schema": {}}),
        json!({"type": "lark", "grammar": "x", "pattern": "y"}),
        json!({}),
    ] {
        assert!(read(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn errors_have_a_stable_code_and_kind() {
    let all = [
        (
            ErrorData::ModelLoadFailed { cause: "c".into(), hint: None },
            1001,
            json!({"kind": "model_load_failed", "cause": "c"}),
        ),
        (
            ErrorData::PromptTooLong { prompt_tokens: 9, limit: 8 },
            1002,
            json!({"kind": "prompt_too_long", "prompt_tokens": 9, "limit": 8}),
        ),
        (
            ErrorData::Overloaded { queued: 5, needed_bytes: None, available_bytes: None },
            1003,
            json!({"kind": "overloaded", "queued": 5}),
        ),
        (ErrorData::GenerationFailed {}, 1004, json!({"kind": "generation_failed"})),
        (ErrorData::Unsupported { field: None }, 1005, json!({"kind": "unsupported"})),
        (ErrorData::ShuttingDown {}, 1006, json!({"kind": "shutting_down"})),
        (
            ErrorData::OutOfMemory { needed_bytes: 2, available_bytes: 1 },
            1007,
            json!({"kind": "out_of_memory", "needed_bytes": 2, "available_bytes": 1}),
        ),
    ];
    let document = openrpc();
    for (data, code, written) in all {
        assert_eq!(data.code(), code);
        assert_eq!(serde_json::to_value(&data).unwrap(), written);
        let kind = written["kind"].as_str().unwrap();
        assert_eq!(document["components"]["errors"][kind]["code"], code, "{kind}");
        assert_eq!(serde_json::from_value::<ErrorData>(written).unwrap(), data);
    }
}

#[test]
fn the_params_of_warm_are_those_of_complete_or_of_chat() {
    let read = |value: Value| serde_json::from_value::<WarmParams>(value);
    assert!(matches!(read(json!({"prefix": "x", "max_tokens": 5})), Ok(WarmParams::Complete(_))));
    assert!(matches!(read(json!({"messages": []})), Ok(WarmParams::Chat(_))));
    assert!(read(json!({"text": "x"})).is_err());
}
