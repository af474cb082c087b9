//! However a connection ends, and whatever is running, the process exits quickly and cleanly.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::tiny_model;
use crate::support::{Framing, Worker, endless, runabout};

/// A worker in the middle of a long generation.
fn generating() -> (Worker, i64) {
    let mut worker = Worker::slow();
    let id = worker.request("complete", &endless("a"));
    worker.wait_for_delta(id);
    (worker, id)
}

/// Checks that request `id` has exactly one answer at the end: a result, cancelled.
fn assert_cancelled(worker: &mut Worker, id: i64) {
    let messages = worker.remaining();
    let answers: Vec<&Value> =
        messages.iter().filter(|it| it["id"] == id && it.get("method").is_none()).collect();
    let [answer] = answers.as_slice() else { panic!("expected one answer, got {answers:?}") };
    assert_eq!(answer["result"]["finish_reason"], "cancelled", "{answer}");
}

#[test]
fn the_end_of_stdin_cancels_requests_answers_them_and_ends_the_process() {
    let (mut worker, id) = generating();
    worker.close_stdin();
    assert_eq!(worker.wait_for_exit().code(), Some(0));
    assert_cancelled(&mut worker, id);
}

#[test]
fn sigterm_cancels_requests_answers_them_and_ends_the_process() {
    let (mut worker, id) = generating();
    let status = Command::new("kill").arg("-TERM").arg(worker.process_id().to_string()).status().unwrap();
    assert!(status.success());
    assert_eq!(worker.wait_for_exit().code(), Some(0));
    assert_cancelled(&mut worker, id);
}

#[test]
fn a_closed_stdout_ends_the_process_during_generation() {
    let mut command = runabout();
    command.args(["serve", "--model"]).arg(tiny_model::slow_folder());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "complete", "params": endless("a")});
    std::io::Write::write_all(&mut stdin, format!("{request}\n").as_bytes()).unwrap();
    drop(child.stdout.take());
    // Stdin stays open: the closed stdout ends the process.
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(stdin);
}

#[test]
fn shutdown_refuses_new_requests_and_exit_ends_the_process() {
    for framing in [Framing::Lines, Framing::Headers] {
        let mut worker = Worker::start(tiny_model::folder(), &[], framing);
        assert_eq!(worker.call("shutdown", &json!({})), Value::Null);
        let error = worker.call_error("complete", &json!({"prefix": "a"}));
        assert_eq!((&error["code"], &error["data"]["kind"]), (&json!(1006), &json!("shutting_down")));
        worker.notify("exit", &json!({}));
        assert_eq!(worker.wait_for_exit().code(), Some(0));
    }
}

#[test]
fn exit_without_shutdown_is_an_error_as_in_lsp() {
    let mut worker = Worker::tiny();
    worker.call("status", &json!({}));
    worker.notify("exit", &json!({}));
    assert_eq!(worker.wait_for_exit().code(), Some(1));
}

#[test]
fn a_connection_that_ends_while_the_model_loads_ends_the_process_immediately() {
    let mut worker = Worker::slow();
    let id = worker.request("complete", &endless("a"));
    worker.close_stdin();
    assert_eq!(worker.wait_for_exit().code(), Some(0));
    assert_cancelled(&mut worker, id);
}
