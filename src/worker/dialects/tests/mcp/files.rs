//! The tools that read files themselves.

use std::path::Path;

use runabout_engine::scripted::{ScriptedModel, bytes};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::peer::app;
use super::super::{MANY, one_step};
use super::agent::Agent;
use crate::calls::CallLog;
use crate::front_end::FrontEnd;

/// A folder with these files.
pub(super) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// An agent that may use these folders.
pub(super) fn with_roots(model: ScriptedModel, roots: &[&Path]) -> Agent {
    let roots = roots.iter().map(|it| it.to_path_buf()).collect();
    Agent::behind(FrontEnd { roots, ..FrontEnd::default() }, &app(model))
}

#[tokio::test]
async fn code_is_completed_at_a_place_in_a_file() {
    let folder = folder(&[("a.py", "x = \ny = 2\n")]);
    let model = ScriptedModel::saying("1");
    let recording = model.recording();
    let mut agent = with_roots(model, &[folder.path()]);
    let result = agent.call("complete_code", json!({"path": "a.py", "line": 1})).await;
    assert!(result["structuredContent"]["texts"][0]["text"].is_string(), "{result}");
    let read: Vec<u32> = recording.spans().into_iter().flat_map(|it| it.tokens).collect();
    assert!(read.windows(3).any(|it| it == bytes("y =")), "the model has not read what follows");
    for (arguments, named) in [
        (json!({"line": 1}), "`path`"),
        (json!({"path": "a.py", "line": 9}), "`line` must be from 1 to 3, got 9"),
        (json!({"path": "a.py", "line": 1, "column": 9}), "`column` must be from 1 to 5, got 9"),
        (json!({"path": "a.py", "line": 1, "prefix": "a"}), "`line`"),
        (json!({"path": "a.py", "column": 1, "prefix": "a"}), "`column`"),
        (json!({"path": "b.py", "line": 1}), "`b.py` does not exist"),
        (json!({"path": "../a.py", "line": 1}), "`../a.py`"),
    ] {
        let message = agent.failure("complete_code", arguments.clone()).await;
        assert!(message.contains(named), "{arguments}: {message}");
    }
}

#[tokio::test]
async fn without_a_folder_only_the_tools_for_files_fail() {
    let mut agent = with_roots(ScriptedModel::saying("Sure."), &[Path::new("/no/such/folder")]);
    for (tool, arguments) in [
        ("complete_code", json!({"path": "a.py", "line": 1})),
        ("edit_files", json!({"instruction": "a", "paths": ["a.py"]})),
        ("map_files", json!({"task": "summarize", "paths": ["a.py"]})),
        ("write_tests", json!({"paths": ["a.py"]})),
    ] {
        let message = agent.failure(tool, arguments).await;
        assert!(message.contains("/no/such/folder"), "{message}");
    }
    assert_eq!(agent.call("generate", json!({"prompt": "a"})).await["isError"], false);
}

#[tokio::test]
async fn each_file_is_summarized_and_what_is_left_out_is_named() {
    let folder = folder(&[("src/a.py", "x = 1\n"), ("src/b.py", "y = 1\n"), (".env", "KEY=1\n")]);
    std::fs::write(folder.path().join("src/c.py"), b"\0").unwrap();
    let mut agent = with_roots(ScriptedModel::saying("Sets a number."), &[folder.path()]);
    let paths = json!(["src/*.py", ".env", "missing.py"]);
    let result = agent.call("map_files", json!({"task": "summarize", "paths": paths})).await;
    let output = &result["structuredContent"];
    let files: Vec<_> =
        output["files"].as_array().unwrap().iter().map(|it| (&it["path"], &it["summary"])).collect();
    let summary = json!("Sets a number.");
    assert_eq!(files, [(&json!("src/a.py"), &summary), (&json!("src/b.py"), &summary)], "{output}");
    let mut left_out: Vec<_> =
        output["left_out"].as_array().unwrap().iter().map(|it| it["reason"].as_str().unwrap()).collect();
    left_out.sort_unstable();
    assert_eq!(left_out, ["binary", "not_found", "secret"]);
    assert_eq!(output["truncated"], false);
    assert!(output["evidence"]["completion_tokens"].as_u64().unwrap() > 20, "of both files: {output}");
}

#[tokio::test]
async fn the_arguments_of_a_task_must_fit_it() {
    let folder = folder(&[("a.py", "x = 1\n")]);
    let mut agent = with_roots(ScriptedModel::hashing(), &[folder.path()]);
    for (arguments, named) in [
        (json!({"paths": ["a.py"]}), "`task`"),
        (json!({"task": "summarize"}), "`paths`"),
        (json!({"task": "summarize", "paths": []}), "`paths`"),
        (json!({"task": "summarize", "paths": ["a.py"], "labels": ["a", "b"]}), "`labels`"),
        (json!({"task": "summarize", "paths": ["a.py"], "schema": {}}), "`schema`"),
        (json!({"task": "classify", "paths": ["a.py"]}), "`labels`"),
        (json!({"task": "classify", "paths": ["a.py"], "labels": ["a"]}), "`labels`"),
        (json!({"task": "extract", "paths": ["a.py"]}), "`schema`"),
        (json!({"task": "extract", "paths": ["a.py"], "schema": "{}"}), "`schema`"),
        (json!({"task": "summarize", "paths": ["b.py"]}), "`b.py` does not exist"),
        (json!({"task": "summarize", "paths": ["a.py"], "time_limit_seconds": -1}), "`time_limit_seconds`"),
    ] {
        let message = agent.failure("map_files", arguments.clone()).await;
        assert!(message.contains(named), "{arguments}: {message}");
    }
    for (tool, arguments, named) in [
        ("edit_files", json!({"instruction": " ", "paths": ["a.py"]}), "`instruction`"),
        ("review_diff", json!({"diff": "no diff"}), "`diff`"),
        ("write_tests", json!({"paths": ["/etc/passwd"]}), "`/etc/passwd` is outside"),
    ] {
        let message = agent.failure(tool, arguments).await;
        assert!(message.contains(named), "{tool}: {message}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_edited_says_why_and_stays_as_it_is() {
    let folder = folder(&[("a.py", "x = 1\n")]);
    let mut agent = with_roots(ScriptedModel::saying("I cannot do that."), &[folder.path()]);
    let arguments = json!({"instruction": "make x a list", "paths": ["a.py"], "apply": true});
    let result = agent.call("edit_files", arguments).await;
    let output = &result["structuredContent"];
    assert_eq!(output["applied"], false, "{output}");
    let file = &output["files"][0];
    assert_eq!((&file["path"], file.get("diff")), (&json!("a.py"), None), "{file}");
    assert!(file["error"]["message"].is_string(), "{file}");
    assert_eq!(std::fs::read_to_string(folder.path().join("a.py")).unwrap(), "x = 1\n");
}

#[tokio::test]
async fn a_rename_is_right_whatever_the_model_would_say() {
    let folder = folder(&[("a.py", "x = 1\nprint(x, 'x')\n")]);
    let mut agent = with_roots(ScriptedModel::saying("I cannot do that."), &[folder.path()]);
    let arguments = json!({"instruction": "rename x to y", "paths": ["a.py"], "apply": true});
    let output = agent.call("edit_files", arguments).await["structuredContent"].clone();
    assert_eq!(
        (&output["applied"], &output["files"][0]["outcome"]),
        (&json!(true), &json!("changed")),
        "{output}"
    );
    assert_eq!(std::fs::read_to_string(folder.path().join("a.py")).unwrap(), "y = 1\nprint(y, 'x')\n");
}

#[tokio::test]
async fn work_on_many_files_can_be_withdrawn() {
    let folder = folder(&[("a.py", "x = 1\n"), ("b.py", "x = 1\n"), ("c.py", "x = 1\n")]);
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let mut agent = with_roots(model, &[folder.path()]);
    let arguments = json!({"task": "summarize", "paths": ["*.py"], "max_tokens": MANY});
    let id = agent.begin("map_files", arguments).await;
    let gate = one_step(gate).await;
    agent.notify("notifications/cancelled", json!({"requestId": id})).await;
    agent.result("ping", json!({})).await;
    drop(gate);
    assert_eq!(agent.call("generate", json!({"prompt": "a", "max_tokens": 2})).await["isError"], false);
    assert!(agent.peer.close().await.is_empty());
}

#[tokio::test]
async fn calls_of_the_model_are_counted_and_nothing_else_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let log = CallLog::new(folder.path().join("calls.jsonl"));
    let front = FrontEnd { calls: Some(log.path().to_owned()), ..FrontEnd::default() };
    let mut agent = Agent::behind(front, &app(ScriptedModel::saying("Sure.")));
    agent.call("generate", json!({"prompt": "a secret"})).await;
    agent.failure("generate", json!({})).await;
    agent.call("status", json!({})).await;
    let calls = log.read();
    let seen: Vec<_> = calls.iter().map(|it| (it.tool.as_ref(), it.failed, it.completion_tokens)).collect();
    assert_eq!(seen, [("generate", false, 6), ("generate", true, 0)]);
    assert!(calls[0].prompt_tokens > 0);
    let text = std::fs::read_to_string(log.path()).unwrap();
    assert!(!text.contains("secret") && !text.contains("Sure"), "{text}");
    let _: Vec<Value> = text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
}
