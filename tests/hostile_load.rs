//! One request's work does not delay others, and the memory for what a client sends is limited.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use runabout_text::Tokenizer;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Worker, named_model, runabout, tiny_model};

/// A model that never finishes loading, since one of its files is endless.
fn never_loading() -> TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    tiny_model::write(folder.path());
    let tokenizer = folder.path().join("tokenizer.json");
    std::fs::remove_file(&tokenizer).unwrap();
    assert!(Command::new("mkfifo").arg(&tokenizer).status().unwrap().success());
    folder
}

fn is_loading(worker: &mut Worker) -> bool {
    worker.call("status", &json!({}))["state"] == "loading"
}

/// A text that takes seconds to encode, and can be divided anywhere.
fn long_text() -> String {
    "word ".repeat(1_500_000)
}

#[test]
fn cancels_that_name_themselves_or_each_other_are_answered_immediately() {
    let mut worker = Worker::tiny();
    let unknown = json!({"outcome": "unknown", "completion_tokens": 0});
    worker.send(&json!({"jsonrpc": "2.0", "id": "self", "method": "cancel", "params": {"id": "self"}}));
    let answer = worker.wait_for("the answer to itself", |it| it["id"] == "self");
    assert_eq!(answer["result"], unknown);
    let cancel =
        |id: &str, of: &str| json!({"jsonrpc": "2.0", "id": id, "method": "cancel", "params": {"id": of}});
    worker.send(&json!([cancel("a", "b"), cancel("b", "c"), cancel("c", "a")]));
    let answers = worker.wait_for("the answers to a ring", Value::is_array);
    for answer in answers.as_array().unwrap() {
        assert_eq!(answer["result"], unknown, "{answer}");
    }
}

#[test]
fn a_time_budget_runs_while_the_model_loads() {
    let folder = never_loading();
    let mut worker = Worker::serving(folder.path(), &[]);
    let messages = json!([{"role": "user", "content": "hi"}]);
    for (method, mut params) in
        [("complete", json!({"prefix": "a"})), ("chat", json!({"messages": messages}))]
    {
        params["time_budget_ms"] = json!(20);
        let result = worker.call(method, &params);
        assert_eq!(result["finish_reason"], "budget", "{method}");
        assert_eq!(result["usage"]["completion_tokens"], 0, "{method}");
    }
    assert!(is_loading(&mut worker));
}

#[test]
fn a_time_budget_runs_while_a_text_is_encoded() {
    let mut worker = Worker::tiny();
    // While this is encoded, other long or background texts wait.
    let long = worker.request("tokenize", &json!({"text": long_text()}));
    let messages = json!([{"role": "user", "content": "hi"}]);
    let result = worker.call("chat", &json!({"messages": messages, "time_budget_ms": 20, "max_tokens": 1}));
    assert_eq!(result["finish_reason"], "budget");
    worker.assert_unanswered(long);
}

#[test]
fn the_bytes_of_waiting_requests_are_limited_and_the_error_has_the_figures() {
    let folder = never_loading();
    // An eighth is for the texts of waiting requests: 8 MiB.
    let mut worker = Worker::serving(folder.path(), &["--memory-limit", "64"]);
    let limits = worker.call("initialize", &json!({}))["limits"].take();
    assert_eq!(limits["max_queued_bytes"], 8 << 20);
    let large = json!({"prefix": "x".repeat(3 << 20)});
    let waiting = [0, 1].map(|_| worker.request("complete", &large));
    let error = worker.call_error("complete", &large);
    assert_eq!((&error["code"], &error["data"]["kind"]), (&json!(1003), &json!("overloaded")));
    assert_eq!(error["data"]["queued"], 2);
    let (needed, available) = (&error["data"]["needed_bytes"], &error["data"]["available_bytes"]);
    assert_eq!((needed, available), (&json!(3 << 20), &json!(2 << 20)));
    // A small request still fits, and one that ends makes room.
    let small = worker.request("complete", &json!({"prefix": "a"}));
    worker.call("cancel", &json!({"id": waiting[0]}));
    let third = worker.request("complete", &large);
    assert!(is_loading(&mut worker));
    for id in [waiting[1], small, third] {
        worker.assert_unanswered(id);
    }
}

#[test]
fn a_completion_does_not_wait_for_long_background_texts() {
    let mut worker = Worker::tiny();
    worker.call("complete", &json!({"prefix": "a", "max_tokens": 1}));
    let text = json!({"text": long_text()});
    let long: Vec<i64> = (0..8).map(|_| worker.request("tokenize", &text)).collect();
    worker.call("complete", &json!({"prefix": "a", "max_tokens": 1}));
    for id in &long[2..] {
        worker.assert_unanswered(*id);
    }
    for id in long {
        worker.call("cancel", &json!({"id": id}));
    }
}

#[test]
fn a_cancel_does_not_wait_until_a_text_is_encoded() {
    let mut worker = Worker::tiny();
    worker.call("complete", &json!({"prefix": "a", "max_tokens": 1}));
    let texts = [0, 1].map(|_| worker.request("tokenize", &json!({"text": long_text()})));
    // After this, both have been read: one of them is being encoded and the other one waits.
    worker.call("status", &json!({}));
    for id in texts {
        worker.notify("$/cancelRequest", &json!({"id": id}));
        assert_eq!(worker.error(id)["code"], -32800);
    }
    // Nothing remains that others would wait for.
    assert_eq!(worker.call("tokenize", &json!({"text": "abc"}))["count"], 3);
}

#[test]
fn a_prompt_that_cannot_fit_is_refused_by_its_size() {
    let mut worker = Worker::tiny();
    let text = long_text();
    let raw = json!({"prefix": text, "mode": "raw"});
    let chat = json!({"messages": [{"role": "user", "content": text}]});
    for (method, params) in [("complete", raw), ("chat", chat)] {
        let error = worker.call_error(method, &params);
        assert_eq!(error["data"]["kind"], "prompt_too_long", "{method}");
        // Not counted, but estimated as if all were the longest token.
        let n_tokens = error["data"]["prompt_tokens"].as_u64().unwrap();
        assert!(n_tokens > tiny_model::CONTEXT_TOKENS as u64, "{method}: {n_tokens}");
        assert!(n_tokens < text.len() as u64 / 10, "{method}: {n_tokens}");
    }
}

#[test]
fn closing_stdin_ends_a_worker_whose_client_does_not_read() {
    // Ending the relay closes its end of the pipe, whatever it still has to write.
    let mut relay = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut command = runabout();
    command.args(["serve", "--model"]).arg(tiny_model::folder());
    command.stdin(relay.stdout.take().unwrap()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut worker = command.spawn().unwrap();
    drop(command);
    let mut to_relay = relay.stdin.take().unwrap();
    let n_written = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&n_written);
    std::thread::spawn(move || {
        for id in 0.. {
            let request = json!({"jsonrpc": "2.0", "id": id, "method": "rpc.discover"});
            if to_relay.write_all(format!("{request}\n").as_bytes()).is_err() {
                return;
            }
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut before = usize::MAX;
    while before != n_written.load(Ordering::Relaxed) {
        before = n_written.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs(1));
    }
    relay.kill().unwrap();
    relay.wait().unwrap();
    assert_eq!(worker.wait().unwrap().code(), Some(0));
    let mut answers = Vec::new();
    worker.stdout.take().unwrap().read_to_end(&mut answers).unwrap();
    assert!(answers.starts_with(b"{"), "the beginning of the pipe's contents is intact");
}

/// The tokens of the text encoded in pieces of `piece_bytes`, and as a whole.
fn both_ways(tokenizer: &Tokenizer, text: &str, piece_bytes: usize) -> (Vec<u32>, Vec<u32>) {
    (tokenizer.encode_in_pieces(text, piece_bytes), tokenizer.encode_in_pieces(text, usize::MAX))
}

/// The number of times that encoding in pieces of the usual size checks whether to stop.
fn n_pieces(tokenizer: &Tokenizer, text: &str) -> usize {
    let n_asked = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&n_asked);
    let may_go_on = move || counted.fetch_add(1, Ordering::Relaxed) < usize::MAX;
    runabout_text::interruptible(may_go_on, || tokenizer.encode_text(text));
    n_asked.load(Ordering::Relaxed)
}

fn source(path: &Path) -> String {
    let mut text = String::new();
    File::open(path).unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn long_texts_encoded_in_pieces_have_the_same_tokens_as_the_whole() {
    for name in ["smollm2-135m", "qwen2.5-coder-0.5b"] {
        let tokenizer = Tokenizer::from_folder(&named_model(name)).unwrap();
        let own = source(&crate::support::repository().join("tests/support.rs"));
        let readme = source(&crate::support::repository().join("protocol/README.md"));
        let text = format!("{own}{readme}").repeat(8);
        assert!(n_pieces(&tokenizer, &text) >= text.len() / 40_000, "{name} has no cuts");
        for piece_bytes in [1, 7, 100, 32 * 1024] {
            let (pieces, whole) = both_ways(&tokenizer, &text[..text.len() / 8], piece_bytes);
            assert!(pieces == whole, "{name}, {piece_bytes}");
        }
        // Everything that splitting depends on, in any combination.
        let strategy = prop::collection::vec(
            prop::sample::select(vec![
                "a",
                "Z",
                "word",
                "don",
                "'s",
                "'",
                "\u{2019}t",
                "1",
                "12",
                "1234",
                " ",
                "  ",
                "    ",
                "\t",
                "\n",
                "\n\n",
                "\r\n",
                "\r",
                "(",
                ")",
                "();",
                "{",
                "}",
                "_",
                "-",
                "--",
                ".",
                ",",
                ";",
                ":",
                "/",
                "//",
                "/*",
                "\"",
                "=",
                "==",
                "<",
                ">",
                "<|im_end|>",
                "<tool_call>",
                "#",
                "\u{4f60}",
                "\u{597d}",
                "\u{d55c}",
                "\u{e9}",
                "e\u{301}",
                "\u{1F355}",
                "\u{a0}",
                "\u{3000}",
                "\u{200b}",
                "\u{e01}\u{e33}",
                "\u{fb01}",
                "\u{2028}",
                "\u{1100}\u{1161}",
                "\u{0}",
            ]),
            0..60,
        );
        TestRunner::new(ProptestConfig {
            cases: 2000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })
        .run(&(strategy, 1_usize..40), |(parts, piece_bytes)| {
            let (pieces, whole) = both_ways(&tokenizer, &parts.concat(), piece_bytes);
            prop_assert_eq!(pieces, whole);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
