//! `response_format`: texts of the built worker have the form that was asked for, whatever the model would say.

use serde_json::{Value, json};

use crate::support::{Worker, named_model};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "file": {"type": "string", "maxLength": 12},
            "severity": {"enum": ["low", "high"]},
            "lines": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 999}, "maxItems": 3},
        },
        "required": ["file", "severity", "lines"],
        "additionalProperties": false,
    })
}

fn ask(format: &Value, more: Value) -> Value {
    let mut params = json!({
        "messages": [{"role": "user", "content": "Name a bug."}],
        "response_format": format, "max_tokens": 400, "temperature": 1, "seed": 1,
    });
    let Value::Object(more) = more else { unreachable!("more parameters are an object") };
    params.as_object_mut().unwrap().extend(more);
    params
}

/// Asserts that the text is JSON of [`schema`].
fn assert_valid(text: &str) {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|err| panic!("{err}: {text}"));
    assert_eq!(value.as_object().unwrap().len(), 3, "{text}");
    assert!(value["file"].as_str().unwrap().chars().count() <= 12, "{text}");
    assert!(["low", "high"].contains(&value["severity"].as_str().unwrap()), "{text}");
    let lines = value["lines"].as_array().unwrap();
    assert!(lines.len() <= 3 && lines.iter().all(|it| it.as_u64().unwrap() <= 999), "{text}");
}

#[test]
fn whatever_a_random_model_says_is_valid_by_the_schema() {
    let mut worker = Worker::tiny();
    let by_schema = json!({"type": "json_schema", "schema": schema()});
    let as_openai =
        json!({"type": "json_schema", "json_schema": {"name": "bug", "strict": true, "schema": schema()}});
    for format in [by_schema, as_openai] {
        for seed in 0..10 {
            let id = worker.request("chat", &ask(&format, json!({"seed": seed})));
            let result = worker.result(id);
            let streamed = worker.streamed_text(id);
            assert_eq!(
                (&result["finish_reason"], &result["incomplete"]),
                (&json!("eos"), &Value::Null),
                "{result}"
            );
            assert_eq!(result["message"]["content"], streamed);
            assert_valid(&streamed);
        }
    }
    let result = worker.call("chat", &ask(&json!({"type": "json_object"}), json!({"max_tokens": 2})));
    assert_eq!(result["message"]["content"].as_str().unwrap().chars().next(), Some('{'));
}

#[test]
fn several_choices_at_once_and_beside_other_work_all_have_the_form() {
    let mut worker = Worker::tiny();
    let other = worker.request("complete", &json!({"prefix": "a", "mode": "raw", "max_tokens": 300}));
    let params = json!({
        "prefix": "bug = ", "response_format": {"type": "json_schema", "schema": schema()}, "n": 4,
        "temperature": 1, "max_tokens": 400, "logprobs": 1,
    });
    let result = worker.call("complete", &params);
    let choices = result["choices"].as_array().unwrap();
    assert!(choices.len() > 1, "{result}");
    for choice in choices {
        assert_valid(choice["text"].as_str().unwrap());
        assert!(choice["incomplete"].is_null(), "{choice}");
        assert_eq!(choice["finish_reason"], "eos", "no rule ends a text with a form");
    }
    assert!(worker.result(other)["incomplete"].is_null());
}

#[test]
fn a_word_at_the_cursor_is_completed_in_the_form() {
    let mut worker = Worker::serving(&named_model("smollm2-135m"), &[]);
    let params = |format: Value| json!({"prefix": "def is_even(n):\n    ret", "temperature": 0, "max_tokens": 30, "response_format": format});
    let pattern = json!({"type": "regex", "pattern": "urn n % [0-9] == [0-9]"});
    assert_eq!(worker.call("complete", &params(pattern))["text"], "urn n % 2 == 0");
    let grammar = "start: \"urn \" (\"True\" | \"n\" TEST)\nTEST: / % [0-9] == [0-9]/\n";
    let text = worker.call("complete", &params(json!({"type": "lark", "grammar": grammar})))["text"].clone();
    assert!(["urn True", "urn n % 2 == 0"].contains(&text.as_str().unwrap()), "{text}");
    assert!(
        worker.call("complete", &params(json!({"type": "text"})))["text"]
            .as_str()
            .unwrap()
            .starts_with("urn")
    );
}

#[test]
fn speculation_does_not_change_the_text() {
    let mut worker = Worker::serving(&named_model("smollm2-135m"), &[]);
    let log = "app.py:3: error: name 'x' is not defined\napp.py:9: warning: unused variable 'y'\n";
    let schema = json!({"type": "array", "minItems": 2, "maxItems": 2, "items": {
        "type": "object", "required": ["text"], "additionalProperties": false,
        "properties": {"text": {"type": "string", "maxLength": 60}},
    }});
    let texts = ["auto", "off"].map(|speculation| {
        let params = json!({
            "messages": [{"role": "user", "content": format!("Give these lines as JSON, each as {{\"text\": ...}}:\n{log}")}],
            "response_format": {"type": "json_schema", "schema": schema}, "temperature": 0, "speculation": speculation,
        });
        let result = worker.call("chat", &params);
        assert!(result["incomplete"].is_null(), "{result}");
        result["message"]["content"].as_str().unwrap().to_owned()
    });
    assert_eq!(texts[0], texts[1]);
    assert_eq!(serde_json::from_str::<Value>(&texts[0]).unwrap().as_array().unwrap().len(), 2);
}

#[test]
fn a_text_that_is_cut_off_says_what_it_lacks() {
    let mut worker = Worker::tiny();
    let format = json!({"type": "json_schema", "schema": schema()});
    let cut = worker.call("chat", &ask(&format, json!({"max_tokens": 10, "temperature": 0})));
    assert_eq!(cut["finish_reason"], "length");
    assert!(cut["incomplete"]["open"].as_str().unwrap().starts_with('{'), "{cut}");
    assert!(cut["incomplete"]["pointer"].is_string(), "{cut}");
    let stopped = worker.call("chat", &ask(&format, json!({"stop": ["severity"]})));
    assert_eq!((&stopped["finish_reason"], &stopped["incomplete"]["open"]), (&json!("stop"), &json!("{\"")));
    let late = worker.call("chat", &ask(&format, json!({"time_budget_ms": 1, "max_tokens": 1000})));
    assert_eq!(late["incomplete"].is_null(), late["finish_reason"] == "eos", "{late}");
    let pattern = json!({"type": "regex", "pattern": "[a-z]{50}"});
    let cut = worker.call("chat", &ask(&pattern, json!({"max_tokens": 5})));
    assert_eq!(cut["incomplete"], json!({}), "{cut}");
}

#[test]
fn a_cancelled_text_is_incomplete() {
    let mut worker = Worker::slow();
    let pattern = json!({"type": "regex", "pattern": "([a-z]{3} ){4000}"});
    let id = worker.request("chat", &ask(&pattern, json!({"max_tokens": 4000})));
    worker.wait_for_delta(id);
    worker.call("cancel", &json!({"id": id}));
    let result = worker.result(id);
    assert_eq!(
        (&result["finish_reason"], &result["incomplete"]),
        (&json!("cancelled"), &json!({})),
        "{result}"
    );
}

#[test]
fn what_cannot_be_enforced_is_an_error_that_names_it() {
    let mut worker = Worker::tiny();
    let by_schema = |schema: Value| json!({"type": "json_schema", "schema": schema});
    let table = [
        (by_schema(json!({"type": "array", "uniqueItems": true})), 1005, "`uniqueItems`"),
        (by_schema(json!({"not": {"type": "null"}})), 1005, "`not`"),
        (by_schema(json!({"type": "nothing"})), -32602, "nothing"),
        (by_schema(json!({"$ref": "#/$defs/absent"})), -32602, "absent"),
        (json!({"type": "regex", "pattern": "a(?=b)"}), -32602, "look-around"),
        (json!({"type": "regex", "pattern": "("}), -32602, "group"),
        (json!({"type": "lark", "grammar": "begin: \"a\"\n"}), -32602, "start"),
        (json!({"type": "lark", "grammar": "(".repeat(1000)}), -32602, "brackets"),
    ];
    for (format, code, named) in table {
        for method in ["chat", "complete"] {
            let mut params = ask(&format, json!({}));
            if method == "complete" {
                params.as_object_mut().unwrap().remove("messages");
                params["prefix"] = json!("x");
            }
            let error = worker.call_error(method, &params);
            assert_eq!(
                (&error["code"], &error["data"]["field"]),
                (&json!(code), &json!("response_format")),
                "{error}"
            );
            assert!(error["message"].as_str().unwrap().contains(named), "{format}: {error}");
        }
    }
    let result = worker.call("chat", &ask(&by_schema(schema()), json!({})));
    assert_valid(result["message"]["content"].as_str().unwrap());
}
