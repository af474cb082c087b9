//! The worker as an MCP server, as agents start it: the real program and a real model.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Framing, Worker, named_model, runabout, tiny_model};

/// An agent connected to `runabout COMMAND`, which has begun as the older revisions do.
fn agent(command: &str, args: &[&str]) -> Worker {
    let mut program = runabout();
    program.args([command, "--model"]).arg(named_model("smollm2-135m")).args(args);
    let mut worker = Worker::spawn(program, Framing::Lines);
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let id = worker.request("initialize", &params);
    let result = worker.result(id);
    assert_eq!(
        (&result["protocolVersion"], &result["serverInfo"]["name"]),
        (&json!("2025-06-18"), &json!("runabout"))
    );
    worker.notify("notifications/initialized", &json!({}));
    worker
}

fn call(worker: &mut Worker, tool: &str, arguments: &Value) -> Value {
    let id = worker.request("tools/call", &json!({"name": tool, "arguments": arguments}));
    let result = worker.result(id);
    assert_eq!(result["isError"], false, "{result}");
    result["structuredContent"].clone()
}

#[test]
fn an_agent_gets_an_answer_from_both_commands() {
    for command in ["mcp", "serve"] {
        let mut worker = agent(command, &[]);
        let arguments =
            json!({"prompt": "What is the capital of France?", "max_tokens": 24, "temperature": 0});
        let output = call(&mut worker, "generate", &arguments);
        assert!(output["text"].as_str().unwrap().contains("Paris"), "{output}");
        assert!(output["evidence"]["mean_logprob"].as_f64().unwrap() < 0.0, "{output}");
        worker.close_stdin();
        assert_eq!(worker.wait_for_exit().code(), Some(0));
    }
}

#[test]
fn an_answer_conforms_to_the_schema_that_was_asked_for() {
    let mut worker = agent("mcp", &[]);
    let schema = json!({
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "capital": {"type": "boolean"}},
        "required": ["city", "capital"],
        "additionalProperties": false,
    });
    let arguments =
        json!({"prompt": "Is Paris a capital? Answer in JSON.", "json_schema": schema, "max_tokens": 100});
    let output = call(&mut worker, "generate", &arguments);
    assert_eq!(output["valid"], true, "{output}");
    let json = &output["json"];
    assert!(json["city"].is_string() && json["capital"].is_boolean(), "{output}");
}

#[test]
fn the_model_is_loaded_only_when_a_tool_needs_it() {
    let mut worker = agent("mcp", &[]);
    worker.call("tools/list", &json!({}));
    assert_eq!(call(&mut worker, "status", &json!({}))["state"], "not_loaded");
    let prefix = "def fibonacci(n):\n    if n < 2:\n        return n\n    return ";
    let output = call(&mut worker, "complete_code", &json!({"prefix": prefix, "path": "fib.py"}));
    assert!(output["texts"][0]["text"].as_str().unwrap().contains("fibonacci("), "{output}");
    assert_eq!(call(&mut worker, "status", &json!({}))["state"], "ready");
    let mut worker = agent("mcp", &["--preload"]);
    let status = call(&mut worker, "status", &json!({}));
    assert!(["loading", "ready"].contains(&status["state"].as_str().unwrap()), "{status}");
}

#[test]
fn a_probe_is_answered_although_there_is_no_model() {
    let mut program = runabout();
    program.args(["mcp", "--offline", "--model", "nobody/has-this-model"]);
    let mut worker = Worker::spawn(program, Framing::Lines);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let found = worker.call("server/discover", &json!({"_meta": meta}));
    assert_eq!(found["supportedVersions"], json!(["2026-07-28"]));
    let params = json!({"name": "generate", "arguments": {"prompt": "a"}, "_meta": meta});
    let result = worker.call("tools/call", &params);
    assert_eq!((&result["isError"], &result["resultType"]), (&json!(true), &json!("complete")));
    let message = result["content"][0]["text"].as_str().unwrap();
    assert!(message.contains("nobody/has-this-model"), "{message}");
    worker.close_stdin();
    assert_eq!(worker.wait_for_exit().code(), Some(0));
}

#[test]
fn a_server_that_is_ended_right_after_a_probe_ends_well() {
    let mut worker = agent("mcp", &[]);
    let status = Command::new("kill").arg("-TERM").arg(worker.process_id().to_string()).status().unwrap();
    assert!(status.success());
    assert_eq!(worker.wait_for_exit().code(), Some(0));
    assert!(worker.remaining().is_empty());
}

#[test]
fn a_long_call_tells_its_progress_and_a_cancelled_one_is_not_heard_of_again() {
    let mut program = runabout();
    program.arg("mcp").arg("--model").arg(tiny_model::slow_folder());
    let mut worker = Worker::spawn(program, Framing::Lines);
    let endless = |token: &str| {
        // The model is random, and could end any other text.
        let arguments = json!({"prompt": "go on", "max_tokens": 8000, "regex": "[ -~]{9000}"});
        json!({"name": "generate", "arguments": arguments, "_meta": {"progressToken": token}})
    };
    let id = worker.request("tools/call", &endless("first"));
    let told = worker.wait_for("progress", |it| it["method"] == "notifications/progress");
    assert_eq!(told["params"]["progressToken"], "first");
    assert!(told["params"]["message"].is_string(), "{told}");
    worker.notify("notifications/cancelled", &json!({"requestId": id, "reason": "test"}));
    worker.call("ping", &json!({}));
    // What came before the answer to `ping` was sent before the cancel was read.
    let status = worker.request("tools/call", &json!({"name": "status", "arguments": {}}));
    worker.result(status);
    worker.close_stdin();
    assert_eq!(worker.wait_for_exit().code(), Some(0));
    let rest = worker.remaining();
    assert!(rest.iter().all(|it| it["id"] != id), "{rest:?}");
}
