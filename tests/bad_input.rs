//! Errors name what is wrong, and the next request is answered normally.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::tiny_model::{self, CONTEXT_TOKENS};
use crate::support::{Framing, Worker, endless};

/// Checks that the worker still works.
fn assert_alive(worker: &mut Worker) {
    let result = worker.call("complete", &json!({"prefix": "a", "max_tokens": 2}));
    assert_eq!(result["finish_reason"], "length");
}

/// The error of a message without a readable id.
fn error_without_id(worker: &mut Worker) -> Value {
    worker.wait_for("an error without an id", |it| it["id"].is_null() && it.get("error").is_some())["error"]
        .take()
}

#[test]
fn broken_messages_are_answered_and_skipped() {
    for framing in [Framing::Lines, Framing::Headers] {
        let mut worker = Worker::start(tiny_model::folder(), &[], framing);
        let cases = [
            (r#"{"jsonrpc": "2.0", "method"#, -32700),
            ("[1, 2", -32700),
            (r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#, -32600),
            (r#"{"jsonrpc": "2.0", "id": {}, "method": "status"}"#, -32600),
            ("[]", -32600),
        ];
        for (text, code) in cases {
            worker.send_text(text);
            assert_eq!(error_without_id(&mut worker)["code"], code, "`{text}` with {framing:?}");
            assert_alive(&mut worker);
        }
    }
}

#[test]
fn a_huge_message_is_refused_and_skipped() {
    for framing in [Framing::Lines, Framing::Headers] {
        let mut worker = Worker::start(tiny_model::folder(), &["--max-frame-bytes", "2000"], framing);
        assert_alive(&mut worker);
        let params = json!({"prefix": "a".repeat(5_000_000)});
        worker.request("complete", &params);
        let error = error_without_id(&mut worker);
        assert_eq!((&error["code"], &error["data"]["max_frame_bytes"]), (&json!(-32007), &json!(2000)));
        assert_alive(&mut worker);
    }
}

#[test]
fn wrong_parameters_are_named() {
    let mut worker = Worker::tiny();
    let user = json!([{"role": "user", "content": "hi"}]);
    let cases = [
        ("complete", json!({}), "prefix"),
        ("complete", json!({"prefix": 1}), "prefix"),
        ("complete", json!({"prefix": "a", "max_tokens": 0}), "max_tokens"),
        ("complete", json!({"prefix": "a", "max_tokens": 8193}), "max_tokens"),
        ("complete", json!({"prefix": "a", "max_tokens": -1}), "max_tokens"),
        ("complete", json!({"prefix": "a", "n": 9}), "n"),
        ("complete", json!({"prefix": "a", "mode": "word"}), "mode"),
        ("complete", json!({"prefix": "a", "mode": "raw", "suffix": "b"}), "suffix"),
        ("complete", json!({"prefix": "a", "stop": [""]}), "stop[0]"),
        ("complete", json!({"prefix": "a", "stop": vec!["x"; 17]}), "stop"),
        ("complete", json!({"prefix": "a", "logprobs": 21}), "logprobs"),
        ("complete", json!({"prefix": "a", "time_budget_ms": 0}), "time_budget_ms"),
        ("complete", json!({"prefix": "a", "temperature": 3}), "temperature"),
        ("complete", json!({"prefix": "a", "top_p": 1.5}), "top_p"),
        ("complete", json!({"prefix": "a", "logit_bias": {"99999": 1}}), "logit_bias"),
        ("complete", json!({"prefix": "a", "context": [{"path": "b"}]}), "context[0].text"),
        ("chat", json!({"messages": []}), "messages"),
        ("chat", json!({"messages": [{"role": "pope", "content": "x"}]}), "messages[0].role"),
        ("chat", json!({"messages": [{"role": "user"}]}), "messages[0].content"),
        ("chat", json!({"messages": user, "max_token": 5}), "max_token"),
        ("cancel", json!({"id": null}), "id"),
        ("tokenize", json!({}), "text"),
    ];
    for (method, params, field) in cases {
        let error = worker.call_error(method, &params);
        assert_eq!(error["code"], -32602, "{method} {params}: {error}");
        assert_eq!(error["data"]["field"], field, "{method} {params}: {error}");
    }
    let error = worker.call_error("complete", &json!({"prefix": "a", "max_tokens": 0}));
    assert_eq!(error["message"], "`max_tokens` must be between 1 and 8192, got 0");
    let error = worker.call_error("chat", &json!({"messages": user, "max_token": 5}));
    assert_eq!(error["data"]["nearest"], "max_tokens");
    assert_alive(&mut worker);
    // Names that belong to the client are ignored.
    worker.call("complete", &json!({"prefix": "a", "max_tokens": 1, "x_trace": 1, "_meta": {"a": 1}}));
}

#[test]
fn a_part_that_is_not_a_text_is_named() {
    let mut worker = Worker::tiny();
    let error = |worker: &mut Worker, parts: Value| {
        let error = worker.call_error("chat", &json!({"messages": [{"role": "user", "content": parts}]}));
        assert_eq!(
            (&error["code"], &error["data"]["field"]),
            (&json!(-32602), &json!("messages[0].content"))
        );
        error["message"].as_str().unwrap().to_owned()
    };
    let text = json!({"type": "text", "text": "what is this?"});
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
    assert_eq!(
        error(&mut worker, json!([text, image])),
        "`messages[0].content`: part 1 must be of type `text`, got `image_url`"
    );
    assert_eq!(
        error(&mut worker, json!([{"type": "text", "txt": "a"}])),
        "`messages[0].content`: part 0 must have a `text`, a string"
    );
    let call = json!({"role": "assistant", "tool_calls": [
        {"id": "1", "function": {"name": "f", "arguments": "no object"}}]});
    let error = worker.call_error("chat", &json!({"messages": [call]}));
    assert_eq!(error["data"]["field"], "messages[0].tool_calls[0].function.arguments");
    assert_alive(&mut worker);
}

#[test]
fn an_unknown_method_is_named_with_the_nearest_known_one() {
    let mut worker = Worker::tiny();
    let error = worker.call_error("compelte", &json!({"prefix": "a"}));
    assert_eq!(error["code"], -32601);
    assert!(error["message"].as_str().unwrap().contains("`complete`"), "{error}");
    assert_alive(&mut worker);
}

#[test]
fn a_request_with_an_id_in_flight_is_refused_and_the_first_one_continues() {
    let mut worker = Worker::slow();
    let id = worker.request("complete", &endless("a"));
    worker.send(&json!({"jsonrpc": "2.0", "id": id, "method": "status"}));
    assert_eq!(error_without_id(&mut worker)["code"], -32600);
    worker.assert_unanswered(id);
    worker.notify("cancel", &json!({"id": id}));
    assert_eq!(worker.result(id)["finish_reason"], "cancelled");
    assert_alive(&mut worker);
}

#[test]
fn a_prompt_longer_than_the_context_is_refused_and_not_shortened() {
    let mut worker = Worker::tiny();
    let long = "a".repeat(CONTEXT_TOKENS + 1);
    let error = worker.call_error("complete", &json!({"prefix": long, "mode": "raw"}));
    assert_eq!((&error["code"], &error["data"]["kind"]), (&json!(1002), &json!("prompt_too_long")));
    assert_eq!(error["data"]["prompt_tokens"], CONTEXT_TOKENS + 1);
    let messages = json!([{"role": "user", "content": long}]);
    assert_eq!(worker.call_error("chat", &json!({"messages": messages}))["data"]["kind"], "prompt_too_long");
    assert_alive(&mut worker);
}

#[test]
fn unsupported_parameters_are_refused_and_not_ignored() {
    let mut worker = Worker::tiny();
    let messages = json!([{"role": "user", "content": "hi"}]);
    let unique = json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "array", "uniqueItems": true}}});
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": unique}});
    let params = json!({"messages": messages, "tools": [tool], "tool_choice": "required"});
    let error = worker.call_error("chat", &params);
    assert_eq!(
        (&error["code"], &error["data"]),
        (&json!(1005), &json!({"kind": "unsupported", "field": "tools"}))
    );
    assert_alive(&mut worker);
}

#[test]
fn requests_beyond_the_queue_limit_are_refused() {
    let mut worker = Worker::serving(tiny_model::slow_folder(), &["--max-queued", "1"]);
    let params = endless("a");
    let running = worker.request("complete", &params);
    worker.wait_for_delta(running);
    let others = [0, 1, 2].map(|_| worker.request("complete", &params));
    let refused = worker.wait_for("a refusal", |it| it["error"]["data"]["kind"] == "overloaded");
    assert!(others.contains(&refused["id"].as_i64().unwrap()), "{refused}");
    assert_eq!(refused["error"]["code"], 1003);
    for id in others.into_iter().chain([running]) {
        worker.call("cancel", &json!({"id": id}));
    }
    assert_alive(&mut worker);
}

#[test]
fn a_damaged_file_is_named_and_the_worker_keeps_running() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage, &str); 6] = [
        ("no-weights", |it| fs::remove_file(it.join("model.safetensors")).unwrap(), ".safetensors"),
        ("missing-shard", missing_shard, "model-00002-of-00002.safetensors"),
        ("corrupt-header", corrupt_header, "model.safetensors"),
        ("truncated", truncate, "model.safetensors"),
        ("unknown-architecture", unknown_architecture, "`perceptron`"),
        ("no-tokenizer", |it| fs::remove_file(it.join("tokenizer.json")).unwrap(), "tokenizer.json"),
    ];
    for (name, damage, named) in cases {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        tiny_model::write(folder.path());
        damage(folder.path());
        let mut worker = Worker::serving(folder.path(), &[]);
        let error = worker.call_error("complete", &json!({"prefix": "a"}));
        assert_eq!(
            (&error["code"], &error["data"]["kind"]),
            (&json!(1001), &json!("model_load_failed")),
            "{name}"
        );
        let cause = error["data"]["cause"].as_str().unwrap();
        assert!(cause.contains(named), "{name}: expected `{named}` in `{cause}`");
        let status = worker.call("status", &json!({}));
        assert_eq!(status["state"], "failed", "{name}");
        worker.close_stdin();
        assert!(worker.wait_for_exit().success(), "{name}");
    }
}

fn missing_shard(folder: &Path) {
    let (first, second) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    fs::rename(folder.join("model.safetensors"), folder.join(first)).unwrap();
    let index = json!({"weight_map": {"model.embed_tokens.weight": first, "model.norm.weight": second}});
    fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
}

fn corrupt_header(folder: &Path) {
    let path = folder.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8..12].copy_from_slice(b"!!!!");
    fs::write(path, bytes).unwrap();
}

fn truncate(folder: &Path) {
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn unknown_architecture(folder: &Path) {
    let path = folder.join("config.json");
    let config = fs::read_to_string(&path).unwrap().replace("\"llama\"", "\"perceptron\"");
    fs::write(path, config).unwrap();
}
