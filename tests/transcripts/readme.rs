//! Checks the examples in `protocol/README.md`: they must be messages of existing methods, with parameters and results
//! of the documented types.

use std::collections::HashMap;

use serde_json::Value;

use super::contract::{self, Names};
use crate::support::repository;

fn text() -> String {
    std::fs::read_to_string(repository().join("protocol/README.md")).unwrap()
}

/// The messages in the blocks marked as JSON, with the line numbers where their blocks begin.
fn examples() -> Vec<(usize, Value)> {
    let text = text();
    let mut examples = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (i, line) in text.lines().enumerate() {
        match (&mut block, line.trim()) {
            (None, "```json") => block = Some((i + 1, String::new())),
            (Some(_), "```") => {
                let (n, json) = block.take().expect("a block is open");
                for message in serde_json::Deserializer::from_str(&json).into_iter() {
                    examples.push((n, message.unwrap_or_else(|e| panic!("README.md:{n}: {e}"))));
                }
            }
            (Some((_, json)), _) => {
                json.push_str(line);
                json.push('\n');
            }
            _ => {}
        }
    }
    assert!(block.is_none(), "the last block does not end");
    examples
}

#[test]
fn every_example_is_a_message_of_the_documented_types() {
    let examples = examples();
    assert!(examples.len() > 20, "too few to be all: {}", examples.len());
    let messages: Vec<&Value> = examples.iter().map(|(_, it)| it).collect();
    let exchanges = Exchanges::of(&messages);
    for (n, message) in &examples {
        exchanges.check(message).unwrap_or_else(|e| panic!("README.md:{n}: {e}"));
    }
}

/// The examples are meant to show what users see, so not a build without optimisation or a machine that does other work:
/// the slowest CPUs of today read half a gigabyte of weights much more often than ten times a second.
#[test]
fn the_times_of_the_examples_agree_with_each_other_and_are_those_of_an_optimised_build() {
    const LEAST_PER_SECOND: f64 = 10.0;
    let near = |a: f64, b: f64| (a - b).abs() <= 0.05 * a.max(b) + 0.5;
    let mut n_checked = 0;
    for (n, message) in examples() {
        let (usage, timing) = (&message["result"]["usage"], &message["result"]["timing"]);
        if timing.is_null() {
            continue;
        }
        let count = |name: &str| usage[name].as_f64().unwrap();
        let of = |name: &str| timing[name].as_f64();
        let ms = |name: &str| of(name).unwrap_or_else(|| panic!("README.md:{n}: no `{name}`"));
        let new_tokens = count("prompt_tokens") - count("cached_tokens");
        let rates = [
            (new_tokens, ms("prefill_ms"), of("prompt_tokens_per_second")),
            (count("completion_tokens") - 1.0, ms("decode_ms"), of("generation_tokens_per_second")),
        ];
        for (n_tokens, ms, rate) in rates {
            assert!(rate.is_some() || n_tokens == 0.0 || ms == 0.0, "README.md:{n}: no rate");
            let Some(rate) = rate else { continue };
            assert!(
                near(n_tokens / ms * 1e3, rate),
                "README.md:{n}: {n_tokens} in {ms} ms are not {rate} a second"
            );
            assert!(
                rate >= LEAST_PER_SECOND,
                "README.md:{n}: {rate} tokens a second\nhint: `cargo xtask record`"
            );
        }
        let parts = ms("queue_ms") + ms("prefill_ms") + ms("decode_ms");
        assert!(near(parts, ms("total_ms")), "README.md:{n}: the parts take {parts} ms, the whole {timing}");
        assert!(near(ms("queue_ms") + ms("prefill_ms"), ms("first_token_ms")), "README.md:{n}: {timing}");
        n_checked += 1;
    }
    assert!(n_checked >= 4, "too few to be all: {n_checked}");
}

/// What the examples say about each other.
struct Exchanges<'a> {
    names: Names,
    /// The methods of requests, by id.
    methods: HashMap<String, &'a str>,
    /// The parameters for which requests are refused, by id.
    refused: HashMap<String, &'a str>,
}

impl<'a> Exchanges<'a> {
    fn of(messages: &[&'a Value]) -> Self {
        let by_id = |of: fn(&'a Value) -> Option<&'a str>| {
            messages.iter().filter_map(|it| Some((it.get("id")?.to_string(), of(it)?))).collect()
        };
        Self {
            names: Names::read(),
            methods: by_id(|it| it["method"].as_str()),
            refused: by_id(|it| it["error"]["data"]["field"].as_str()),
        }
    }

    fn check(&self, message: &Value) -> Result<(), String> {
        if message["jsonrpc"] != "2.0" {
            return Err(format!("no message: {message}"));
        }
        let id = message.get("id").map(Value::to_string);
        match (id, message["method"].as_str()) {
            (Some(id), Some(method)) => self.check_request(&id, method, &message["params"]),
            (None, Some(method)) if self.names.from_worker.contains(method) => {
                contract::check_notification(message)
            }
            (None, Some(method)) if self.names.from_client.contains(method) => {
                contract::check_params(method, &message["params"])
            }
            (Some(_), None) if message.get("error").is_some() => contract::check_error(&message["error"]),
            (Some(id), None) => {
                let method = self.methods.get(&id).ok_or_else(|| format!("request {id} is not shown"))?;
                contract::check_result(method, &message["result"])
            }
            (None, _) => Err(format!("no message: {message}")),
        }
    }

    fn check_request(&self, id: &str, method: &str, params: &Value) -> Result<(), String> {
        if !self.names.methods.contains(method) {
            return Err(format!("no such method: `{method}`"));
        }
        let known = contract::param_names(method);
        let mut given = params.as_object().into_iter().flatten().map(|(name, _)| name);
        let refused = self.refused.get(id).copied();
        match given.find(|name| !known.contains(*name) && Some(name.as_str()) != refused) {
            Some(unknown) => Err(format!("`{method}` has no parameter `{unknown}`")),
            None => contract::check_params(method, params),
        }
    }
}

#[test]
fn every_method_and_notification_has_a_section() {
    let text = text();
    let headings: Vec<&str> = text.lines().filter(|it| it.starts_with('#')).collect();
    let names = Names::read();
    for name in names.methods.iter().chain(&names.from_client).chain(&names.from_worker) {
        let quoted = format!("`{name}`");
        assert!(headings.iter().any(|it| it.contains(&quoted)), "no heading names {quoted}");
    }
}

#[test]
fn every_error_is_in_the_table() {
    let text = text();
    let document = runabout_api::openrpc();
    for (kind, error) in document["components"]["errors"].as_object().unwrap() {
        let code = &error["code"];
        let is_row = |line: &str| line.starts_with(&format!("| {code} |"));
        assert!(text.lines().any(is_row), "the table of errors has no row for {kind}, {code}");
    }
}
