//! Tests of calls that are answered with a task.

use runabout_engine::scripted::ScriptedModel;
use serde_json::{Value, json};

use super::agent::Agent;
use super::files::{folder, with_roots};

const EXTENSION: &str = "io.modelcontextprotocol/tasks";

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {EXTENSION: {}}},
    })
}

async fn begin(agent: &mut Agent) -> Value {
    let arguments = json!({"task": "summarize", "paths": ["a.py"]});
    agent.result("tools/call", json!({"name": "map_files", "arguments": arguments, "_meta": meta()})).await
}

async fn get(agent: &mut Agent, task: &Value) -> Value {
    agent.result("tasks/get", json!({"taskId": task["taskId"], "_meta": meta()})).await
}

#[tokio::test]
async fn a_long_call_is_a_task_that_ends_with_its_result() {
    let folder = folder(&[("a.py", "x = 1\n")]);
    let mut agent = with_roots(ScriptedModel::saying("Sure."), &[folder.path()]);
    let found = agent.result("server/discover", json!({"_meta": meta()})).await;
    assert!(found["capabilities"]["extensions"][EXTENSION].is_object(), "{found}");
    let task = begin(&mut agent).await;
    assert_eq!((&task["resultType"], &task["status"]), (&json!("task"), &json!("working")));
    assert!(task["taskId"].is_string() && task["createdAt"].is_string() && task["ttlMs"].is_null(), "{task}");
    let done = loop {
        let told = get(&mut agent, &task).await;
        assert_eq!((&told["resultType"], &told["taskId"]), (&json!("complete"), &task["taskId"]));
        if told["status"] != "working" {
            break told;
        }
        assert!(told["statusMessage"].is_string(), "{told}");
    };
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(done["result"]["structuredContent"]["files"][0]["path"], "a.py", "{done}");
}

#[tokio::test]
async fn a_task_that_is_given_up_ends_as_cancelled() {
    let folder = folder(&[("a.py", "x = 1\n")]);
    let mut model = ScriptedModel::saying("Sure.");
    let gate = model.gate();
    let mut agent = with_roots(model, &[folder.path()]);
    let task = begin(&mut agent).await;
    agent.result("tasks/cancel", json!({"taskId": task["taskId"], "_meta": meta()})).await;
    drop(gate);
    let done = loop {
        let told = get(&mut agent, &task).await;
        if told["status"] != "working" {
            break told;
        }
    };
    assert_eq!((&done["status"], &done["result"]), (&json!("cancelled"), &Value::Null), "{done}");
}

#[tokio::test]
async fn without_the_extension_there_are_no_tasks() {
    let folder = folder(&[("a.py", "x = 1\n")]);
    let mut agent = with_roots(ScriptedModel::saying("Sure."), &[folder.path()]);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let arguments = json!({"task": "summarize", "paths": ["a.py"]});
    let params = json!({"name": "map_files", "arguments": arguments, "_meta": meta});
    assert_eq!(agent.result("tools/call", params).await["resultType"], "complete");
    let answer = agent.request("tasks/get", json!({"taskId": "x", "_meta": meta})).await;
    assert_eq!(answer["error"]["code"], -32021, "{answer}");
    assert!(answer["error"]["data"]["requiredCapabilities"]["extensions"][EXTENSION].is_object(), "{answer}");
    let answer = agent.request("tasks/get", json!({"taskId": "x", "_meta": self::meta()})).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
}
