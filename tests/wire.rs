//! JSON-RPC through the real program: framings, ids, batches, and nothing except messages on stdout.
//!
//! All of the specification's own examples, in both framings, are tests of the `rpc` crate; this file tests what
//! depends on the rest of the program.

use serde_json::{Value, json};

use crate::support::tiny_model;
use crate::support::{Framing, Worker, endless};

#[test]
fn both_framings_carry_the_same_conversation() {
    let text = |framing| {
        let mut worker = Worker::start(tiny_model::folder(), &[], framing);
        let id = worker.request("complete", &json!({"prefix": "é🍕", "max_tokens": 40}));
        let result = worker.result(id);
        assert_eq!(result["text"], worker.streamed_text(id));
        result["text"].clone()
    };
    assert_eq!(text(Framing::Lines), text(Framing::Headers));
}

#[test]
fn a_byte_order_mark_and_blank_lines_are_skipped() {
    let mut worker = Worker::tiny();
    worker.send_bytes("\u{feff}\n\r\n".as_bytes());
    assert_eq!(worker.call("status", &json!({}))["server"]["name"], "runabout");
}

#[test]
fn ids_are_returned_as_they_were_written() {
    let mut worker = Worker::tiny();
    for id in ["-1", "1.5", "18446744073709551616", r#""a\u0062""#, r#""""#] {
        worker.send_text(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tokenize","params":{{"text":"abc"}}}}"#
        ));
        let meant: Value = serde_json::from_str(id).unwrap();
        let response = worker.wait_for(&format!("the response to {id}"), |it| it["id"] == meant);
        assert_eq!(response["result"]["count"], 3);
    }
}

#[test]
fn a_batch_gets_one_response_and_its_entries_run_concurrently() {
    let mut worker = Worker::slow();
    worker.send(&json!([
        {"jsonrpc": "2.0", "id": "slow", "method": "complete", "params": endless("a")},
        {"jsonrpc": "2.0", "id": "stop", "method": "cancel", "params": {"id": "slow"}},
        {"jsonrpc": "2.0", "method": "cancel", "params": {"id": "nothing"}},
        {"jsonrpc": "2.0", "id": "bad", "method": "no_such_method"},
        1,
    ]));
    let responses = worker.wait_for("the batch's response", Value::is_array);
    let of = |id: &str| responses.as_array().unwrap().iter().find(|it| it["id"] == id).unwrap().clone();
    assert_eq!(responses.as_array().unwrap().len(), 4);
    assert_eq!(of("slow")["result"]["finish_reason"], "cancelled");
    assert_eq!(of("stop")["result"]["outcome"], "cancelled");
    assert_eq!(of("bad")["error"]["code"], -32601);
}

#[test]
fn the_worker_answers_while_the_model_loads_and_reports_when_it_is_ready() {
    let mut worker = Worker::tiny();
    let initialized = worker.call("initialize", &json!({"client": {"name": "test"}, "protocol_version": 1}));
    assert_eq!(initialized["protocol_version"], 1);
    assert_eq!(initialized["limits"]["max_tokens"], 8192);
    let ready = worker.wait_for("the state to change", |it| it["method"] == "status");
    assert_eq!(ready["params"]["state"], "ready");
    let model = &ready["params"]["model"];
    assert_eq!(model["context_length"], tiny_model::CONTEXT_TOKENS);
    assert_eq!(model["fill_in_the_middle"], true);
    assert_eq!(worker.call("status", &json!({}))["state"], "ready");
}

/// If a library prints to stdout, the text goes to the log.
#[test]
#[cfg(target_os = "linux")]
fn only_protocol_messages_are_written_to_stdout() {
    let mut worker = Worker::tiny();
    worker.call("status", &json!({}));
    let target = |descriptor: u32| {
        std::fs::read_link(format!("/proc/{}/fd/{descriptor}", worker.process_id())).unwrap()
    };
    assert_eq!(target(1), target(2), "what is printed to stdout lands on stderr");
}

#[test]
fn rpc_discover_describes_all_methods() {
    let mut worker = Worker::tiny();
    let document = worker.call("rpc.discover", &json!({}));
    let described: Vec<_> =
        document["methods"].as_array().unwrap().iter().filter_map(|it| it["name"].as_str()).collect();
    for method in worker.call("initialize", &json!({}))["capabilities"]["methods"].as_array().unwrap() {
        assert!(described.contains(&method.as_str().unwrap()), "{method} is not in {described:?}");
    }
}
