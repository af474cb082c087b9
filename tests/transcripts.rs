//! Checks the worker against `protocol/`: its transcripts are replayed, and the README's examples are checked.
//!
//! `protocol/README.md` describes the format of transcripts.

mod contract;
mod matching;
mod message;
mod promises;
mod readme;
mod replay;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use self::contract::Names;
use self::replay::Transcript;
use crate::support::repository;

/// Only sent if something takes longer than it does in tests.
const SELDOM_SEEN: &str = "progress";

fn transcripts() -> Vec<Transcript> {
    let entries = std::fs::read_dir(repository().join("protocol/transcripts")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|it| it.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|it| Transcript::read(it)).collect()
}

fn methods(messages: impl IntoIterator<Item = Value>, are_requests: bool) -> BTreeSet<String> {
    let chosen = messages.into_iter().filter(|it| it.get("id").is_some() == are_requests);
    chosen.filter_map(|it| it["method"].as_str().map(str::to_owned)).collect()
}

#[test]
fn the_worker_behaves_as_in_the_transcripts() {
    let failures: Vec<String> = transcripts().iter().filter_map(|it| it.replay().err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_method_and_notification_has_a_transcript() {
    let transcripts = transcripts();
    let names = Names::read();
    let requested = methods(transcripts.iter().flat_map(Transcript::sent), true);
    let missing: Vec<_> = names.methods.difference(&requested).collect();
    assert!(missing.is_empty(), "no transcript requests {missing:?}");
    let notified = methods(transcripts.iter().flat_map(Transcript::sent), false);
    let missing: Vec<_> = names.from_client.difference(&notified).collect();
    assert!(missing.is_empty(), "no transcript notifies the worker of {missing:?}");
    let heard = methods(transcripts.iter().flat_map(Transcript::expected), false);
    let missing: Vec<_> = names.from_worker.difference(&heard).filter(|it| *it != SELDOM_SEEN).collect();
    assert!(missing.is_empty(), "no transcript expects {missing:?}");
}

#[test]
fn a_transcript_that_differs_from_the_worker_fails() {
    let head = r#"{"about": "What the worker does not do."}"#;
    let shutdown = r#"{"to": {"jsonrpc": "2.0", "id": 1, "method": "shutdown"}}"#;
    let table = [
        (
            r#"{"from": {"jsonrpc": "2.0", "id": 1, "result": true}}"#,
            "`message.result` must be true, got null",
        ),
        (r#"{"from": {"jsonrpc": "2.0", "id": 1.0, "result": null}}"#, "`message.id` must be 1.0, got 1"),
        (r#"{"note": "The answer comes unasked."}"#, "nothing more was expected"),
        (r#"{"exit": 0}"#, "nothing more was expected"),
    ];
    for (line, expected) in table {
        let text = format!("{head}\n{shutdown}\n{line}\n{{\"close\": \"stdin\"}}\n");
        let error = Transcript::parse("false", &text).replay().unwrap_err();
        assert!(error.contains(expected), "{line}: {error}");
    }
}
