//! The client with peers that play a part, see `protocol/clients/peer.py`: what the real worker never does.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use runabout_client::protocol::{ChatParams, CompleteParams, FinishReason, Message, WarmParams};
use runabout_client::{Client, Error, Notification, Settings};
use serde_json::json;
use tempfile::TempDir;

/// A client of a peer, and the folder that it is in.
fn client(part: &str, settings: Settings) -> (Client, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join(part);
    let peer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../peer.py");
    fs::write(&program, format!("#!/bin/sh\nexec python3 '{}' {part} \"$@\"\n", peer.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    (Client::new(Settings { program: Some(program), ..settings }), folder)
}

#[tokio::test]
async fn what_a_later_protocol_adds_does_no_harm() {
    let (client, _folder) = client("future", Settings::default());
    let mut notifications = client.notifications();
    let mut stream = client.complete_stream(CompleteParams::new("a"));
    assert_eq!(stream.next().await.unwrap().text, "tex");
    let result = stream.result().await.unwrap();
    assert_eq!(
        (result.text.as_str(), result.finish_reason),
        ("text", FinishReason::Other("bored".to_owned()))
    );
    let result: serde_json::Value = client.request("complete", &json!({"prefix": "a"})).await.unwrap();
    assert_eq!(result["new"], json!([1]));
    let Notification::Other { method, params } = notifications.recv().await.unwrap() else { panic!() };
    assert_eq!((method.as_str(), params), ("forecast", json!([1, 2])));
    assert!(matches!(notifications.recv().await.unwrap(), Notification::Progress(it) if it.done == 1));
}

#[tokio::test]
async fn an_unknown_kind_of_error_is_an_error_with_its_kind_and_hint() {
    let (client, _folder) = client("future", Settings::default());
    let error = client.warm(WarmParams::Complete(CompleteParams::new("a"))).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot\nhint: wait");
    let Error::Failed { code, kind, hint, data, .. } = error else { panic!("{error:?}") };
    assert_eq!((code, kind.as_deref(), hint.as_deref()), (1999, Some("too_tired"), Some("wait")));
    assert_eq!(data["new"], 1);
}

#[tokio::test]
async fn stray_output_is_skipped() {
    let (client, _folder) = client("noisy", Settings::default());
    for _ in 0..2 {
        let result: serde_json::Value = client.request("complete", &json!({"prefix": "a"})).await.unwrap();
        assert_eq!(result["text"], "text");
    }
}

#[tokio::test]
async fn extra_parameters_are_passed_on() {
    let (client, _folder) = client("future", Settings::default());
    let mut params = CompleteParams { n: Some(2), ..CompleteParams::new("a") };
    params.extra.insert("x_new".to_owned(), json!([1]));
    let result: serde_json::Value = client.request("complete", &params).await.unwrap();
    assert_eq!(result["params"], json!({"prefix": "a", "n": 2, "x_new": [1]}));
}

#[tokio::test]
async fn a_message_that_is_too_large_fails_before_it_is_sent() {
    let (client, _folder) = client("noisy", Settings::default());
    let error = client.complete(CompleteParams::new("a".repeat(1000))).await.unwrap_err();
    assert!(matches!(error, Error::Failed { code: -32007, .. }), "{error:?}");
    let _: serde_json::Value = client.request("complete", &json!({"prefix": "a"})).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_was_cut_off_is_no_value_although_it_looks_whole() {
    let (client, _folder) = client("future", Settings::default());
    let params = ChatParams::new([Message::user("a")]);
    let answer = client.chat_json::<u32>(params, json!({"type": "integer"})).await;
    assert!(matches!(answer, Err(Error::Incomplete(_))), "{answer:?}");
}

#[tokio::test]
async fn closing_fails_what_is_not_answered() {
    let (client, _folder) = client("deaf", Settings::default());
    let stream = client.complete_stream(CompleteParams::new("a"));
    assert!(stream.is_sent().await);
    client.close().await;
    let error = stream.result().await.unwrap_err();
    assert!(matches!(error, Error::Closed), "{error:?}");
}

#[tokio::test]
async fn restarts_wait_longer_and_longer() {
    let (client, _folder) = client("crash", Settings::default());
    let mut ends = Vec::new();
    for _ in 0..4 {
        let error = client.complete(CompleteParams::new("a")).await.unwrap_err();
        ends.push(Instant::now());
        let Error::WorkerEnded(end) = error else { panic!("{error:?}") };
        assert_eq!(end.status.unwrap().code(), Some(3));
        assert_eq!(end.log, ["one line of the log"]);
    }
    // The second start is immediate.
    assert!(ends[2] - ends[1] >= Duration::from_millis(250), "{ends:?}");
    assert!(ends[3] - ends[2] >= Duration::from_millis(500), "{ends:?}");
}

#[tokio::test]
async fn without_restart_the_client_stays_ended() {
    let (client, _folder) = client("crash", Settings { restart: false, ..Settings::default() });
    assert!(matches!(client.complete(CompleteParams::new("a")).await, Err(Error::WorkerEnded(_))));
    let pid = client.pid().await;
    assert!(matches!(client.complete(CompleteParams::new("a")).await, Err(Error::WorkerEnded(_))));
    assert_eq!(client.pid().await, pid);
}

#[tokio::test]
async fn requests_beyond_the_queue_of_the_worker_wait_and_those_that_give_up_make_room() {
    let (client, _folder) = client("deaf", Settings::default());
    let mut waiting: Vec<_> = (0..4).map(|_| client.complete_stream(CompleteParams::new("a"))).collect();
    let outcome = tokio::time::timeout(Duration::from_millis(300), waiting[0].next()).await;
    assert!(outcome.is_err(), "it never answers");
    let fifth = client.complete_stream(CompleteParams::new("a"));
    // It has no place, so it is not sent, and its cancel waits.
    assert!(tokio::time::timeout(Duration::from_millis(100), fifth.is_sent()).await.is_err());
    drop(waiting);
    fifth.is_sent().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let settings = Settings { program: Some("/no/such/program".into()), ..Settings::default() };
    let error = Client::new(settings).start().await.unwrap_err();
    assert!(error.to_string().contains("/no/such/program"), "{error}");
}
