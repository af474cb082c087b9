//! `cargo xtask demo`: a real client session over pipes, shown readably.
//!
//! Builds the worker in release mode, fetches the model, then completes code, chats, cancels a text and prints the
//! measured times. Every figure comes from this run.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cargo::build_worker;
use crate::client::Client;

/// The session's figures, printed at the end.
type Figures = Vec<(&'static str, String)>;

/// Real code, from which the end of a line is cut out.
const HOLE_FILE: &str = include_str!("../../protocol/examples/complete.py");
const HOLE_PATH: &str = "protocol/examples/complete.py";
const HOLE_STARTS_AFTER: &str = "suffix = ";

/// A text without the part between the cursor and the end of its line.
struct Hole {
    before: &'static str,
    inside: &'static str,
    after: &'static str,
}

impl Hole {
    fn cut() -> Result<Self> {
        let (before, rest) = HOLE_FILE
            .find(HOLE_STARTS_AFTER)
            .and_then(|idx| HOLE_FILE.split_at_checked(idx + HOLE_STARTS_AFTER.len()))
            .with_context(|| format!("`{HOLE_PATH}` has no `{HOLE_STARTS_AFTER}`"))?;
        let (inside, after) = rest.split_at(rest.find('\n').unwrap_or(rest.len()));
        Ok(Self { before, inside, after })
    }
}

pub(crate) fn run(root: &Path, model: &str) -> Result<()> {
    step("Building the worker");
    let worker = build_worker(root)?;

    step(&format!("Fetching the model `{model}`"));
    let status = Command::new(&worker).args(["models", "pull", model]).status()?;
    ensure!(status.success(), "cannot fetch `{model}`");

    session(&worker, model)
}

fn session(worker: &Path, model: &str) -> Result<()> {
    step(&format!("Starting `runabout serve --model {model}`"));
    let mut figures = Figures::new();
    let started = Instant::now();
    let mut client = Client::start(worker, model)?;

    let id = client
        .request("initialize", &json!({"client": {"name": "demo", "version": env!("CARGO_PKG_VERSION")}}))?;
    let initialized = client.result(id)?;
    figures.push(("start to first answer", milliseconds(started.elapsed())));
    println!("<- answered while the model loads: {}", summary(&initialized));
    client.wait_until_ready()?;
    figures.push(("start to ready", milliseconds(started.elapsed())));

    let status = client.call("status", &json!({}))?;
    let can_fill_in = status["model"]["fill_in_the_middle"] == true;

    let hole = Hole::cut()?;
    let mut params = json!({"prefix": hole.before, "path": HOLE_PATH, "mode": "line", "max_tokens": 48});
    if can_fill_in {
        step(&format!("Filling in the middle of `{HOLE_PATH}`, after `{}`", HOLE_STARTS_AFTER.trim_end()));
        params["suffix"] = json!(hole.after);
    } else {
        step(&format!("Continuing `{HOLE_PATH}` after `{}`", HOLE_STARTS_AFTER.trim_end()));
    }
    let result = streamed(&mut client, "complete", &params)?;
    println!("   the file has `{}`", hole.inside);
    push_speed(&mut figures, ["complete: first token", "complete: prompt", "complete: generation"], &result);

    step("Chatting");
    let params = json!({
        "messages": [{"role": "user", "content": "Tell me a short joke about cars."}],
        "max_tokens": 48,
        "temperature": 0,
    });
    let result = streamed(&mut client, "chat", &params)?;
    push_speed(&mut figures, ["chat: first token", "chat: prompt", "chat: generation"], &result);

    step("Cancelling during generation");
    // A text that no model ends soon.
    let params = json!({"prefix": "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,", "mode": "raw", "max_tokens": 1000});
    let id = show_request(&mut client, "complete", &params)?;
    for _ in 0..8 {
        let Some(text) = client.delta(id)? else { break };
        show(&text)?;
    }
    println!();
    let cancelled = Instant::now();
    let cancel_id = client.request("cancel", &json!({"id": id}))?;
    println!("-> cancel {{\"id\": {id}}}");
    let outcome = client.result(cancel_id)?;
    let cancel_latency = cancelled.elapsed();
    let result = client.result(id)?;
    println!(
        "<- outcome `{}`, {} tokens by then",
        text_of(&outcome["outcome"]),
        outcome["completion_tokens"]
    );
    println!(
        "<- the completion was answered too, with `finish_reason` `{}`",
        text_of(&result["finish_reason"])
    );
    if outcome["outcome"] == "cancelled" {
        figures.push(("cancel to its answer", milliseconds(cancel_latency)));
    }

    let status = client.call("status", &json!({}))?;
    if let Some(bytes) = status["memory"]["peak_bytes"].as_u64() {
        figures.push(("peak memory", format!("{:.0} MB", bytes as f64 / 1e6)));
    }
    let stopped = Instant::now();
    client.stop()?;
    figures.push(("shutdown to end of process", milliseconds(stopped.elapsed())));

    step("Measured in this run");
    for (name, value) in figures {
        println!("{name:<28} {value:>14}");
    }
    Ok(())
}

/// Sends a request, prints its text as it arrives, and returns its result.
fn streamed(client: &mut Client, method: &str, params: &Value) -> Result<Value> {
    let id = show_request(client, method, params)?;
    let mut text = String::new();
    while let Some(piece) = client.delta(id)? {
        show(&piece)?;
        text += &piece;
    }
    println!();
    let result = client.result(id)?;
    let whole = result["text"].as_str().or_else(|| result["message"]["content"].as_str()).unwrap_or_default();
    ensure!(whole == text, "the deltas differ from the result's text");
    println!("<- finish_reason `{}`, usage {}", text_of(&result["finish_reason"]), result["usage"]);
    Ok(result)
}

fn show_request(client: &mut Client, method: &str, params: &Value) -> Result<i64> {
    let id = client.request(method, params)?;
    println!("-> {method} {}", summary(params));
    Ok(id)
}

fn push_speed(figures: &mut Figures, names: [&'static str; 3], result: &Value) {
    let timing = &result["timing"];
    let rate = |key: &str| timing[key].as_f64().map(|it| format!("{it:.1} tokens/s"));
    let first = timing["first_token_ms"].as_f64().map(|it| format!("{it:.0} ms"));
    let values = [first, rate("prompt_tokens_per_second"), rate("generation_tokens_per_second")];
    figures.extend(names.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?))));
}

fn step(title: &str) {
    println!("\n== {title}");
}

fn show(text: &str) -> Result<()> {
    print!("{text}");
    std::io::stdout().flush()?;
    Ok(())
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

/// JSON on one line, truncated to fit a terminal.
fn summary(value: &Value) -> String {
    const MAX_CHARS: usize = 300;
    let text = value.to_string();
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
