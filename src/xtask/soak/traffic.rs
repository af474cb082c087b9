//! What the programs are asked: [`Traffic`], one action at a time.
//!
//! A person types in a file and each key supersedes the completion before; beside it, chats run, of which some are
//! cancelled at a random moment, texts are held to a schema, and an agent calls tools.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use crate::program::Program;

/// What somebody types.
const FILE: &str = include_str!("../program/ledger.rs");
/// The most requests that a program has open, beside the completions.
const MAX_OPEN: usize = 6;
/// The time between keys.
const KEY: Duration = Duration::from_millis(120);
/// A cancelled request runs for at most this long before.
const MAX_RUN: Duration = Duration::from_millis(900);

const QUESTIONS: [&str; 4] = [
    "What does this function do?",
    "Name a bug that code like this often has.",
    "Write a test for it.",
    "Say in one sentence why somebody would write this.",
];

pub(super) struct Traffic {
    random: fastrand::Rng,
    /// The bytes of the file that have been typed.
    n_typed: usize,
    next_key: Instant,
    /// Requests to the worker, and calls of the server's tools, that will be cancelled.
    to_cancel: Vec<(Instant, u64)>,
    calls_to_cancel: Vec<(Instant, u64)>,
}

impl Traffic {
    pub(super) fn new() -> Self {
        let random = fastrand::Rng::with_seed(1);
        Self {
            random,
            n_typed: 0,
            next_key: Instant::now(),
            to_cancel: Vec::new(),
            calls_to_cancel: Vec::new(),
        }
    }

    /// Opens the connection to the tools.
    pub(super) fn greet(mcp: &mut Program) -> Result<()> {
        let params = json!({
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "soak", "version": "1"},
        });
        mcp.ask("initialize", &params, |_| Ok(()))?;
        mcp.settle()?;
        mcp.notify("notifications/initialized", &json!({}))
    }

    /// Does what is due.
    pub(super) fn go_on(&mut self, worker: &mut Program, mcp: &mut Program) -> Result<()> {
        let now = Instant::now();
        if now >= self.next_key {
            self.next_key = now + KEY;
            self.type_key(worker)?;
        }
        for (_, id) in self.to_cancel.extract_if(.., |it| it.0 <= now) {
            worker.notify("cancel", &json!({"id": id}))?;
        }
        for (_, id) in self.calls_to_cancel.extract_if(.., |it| it.0 <= now) {
            // Nothing need come for it from now on.
            mcp.ledger().drop_answer(id);
            mcp.notify("notifications/cancelled", &json!({"requestId": id}))?;
        }
        if worker.ledger().n_open() < MAX_OPEN {
            self.ask(worker, now)?;
        }
        if mcp.ledger().n_open() == 0 {
            self.call(mcp, now)?;
        }
        Ok(())
    }

    /// Types up to five characters, or goes on at another place.
    fn type_key(&mut self, worker: &mut Program) -> Result<()> {
        self.n_typed += self.random.usize(1..6);
        if self.n_typed >= FILE.len() || self.random.u8(0..40) == 0 {
            self.n_typed = self.random.usize(0..FILE.len());
        }
        let place = floor(FILE, self.n_typed);
        let (prefix, suffix) = FILE.split_at(place);
        let params = json!({
            "document": "file:///ledger.rs", "prefix": prefix, "suffix": suffix, "mode": "line", "max_tokens": 24,
        });
        worker.ask("complete", &params, has_text)?;
        Ok(())
    }

    fn ask(&mut self, worker: &mut Program, now: Instant) -> Result<()> {
        let start = floor(FILE, self.random.usize(0..FILE.len() / 2));
        let end = floor(FILE, start + self.random.usize(100..1500));
        let code = &FILE[start..end];
        let max_tokens = self.random.usize(8..64);
        let question = QUESTIONS[self.random.usize(0..QUESTIONS.len())];
        let mut params = json!({
            "messages": [{"role": "user", "content": format!("{question}\n\n```\n{code}\n```")}],
            "max_tokens": max_tokens, "priority": "background",
        });
        let id = if self.random.u8(0..3) == 0 {
            params["max_tokens"] = json!(200);
            params["temperature"] = json!(0.8);
            params["response_format"] = json!({"type": "json_schema", "schema": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "maxLength": 20},
                    "lines": {"type": "integer", "minimum": 0, "maximum": 999},
                    "kind": {"enum": ["function", "struct", "test", "other"]},
                },
                "required": ["name", "lines", "kind"],
                "additionalProperties": false,
            }});
            worker.ask("chat", &params, has_form)?
        } else {
            worker.ask("chat", &params, has_content)?
        };
        if self.random.u8(0..3) == 0 {
            let at = now + self.moment();
            self.to_cancel.push((at, id));
        }
        Ok(())
    }

    fn call(&mut self, mcp: &mut Program, now: Instant) -> Result<()> {
        let (name, arguments) = match self.random.u8(0..4) {
            0 => ("status", json!({})),
            1 => (
                "complete_code",
                json!({"prefix": &FILE[..floor(FILE, 900)], "suffix": "\n", "max_tokens": 16}),
            ),
            _ => {
                ("generate", json!({"prompt": "Name three colours.", "max_tokens": self.random.usize(4..40)}))
            }
        };
        let id = mcp.ask("tools/call", &json!({"name": name, "arguments": arguments}), is_no_failure)?;
        if self.random.u8(0..4) == 0 {
            let at = now + self.moment();
            self.calls_to_cancel.push((at, id));
        }
        Ok(())
    }

    fn moment(&mut self) -> Duration {
        MAX_RUN.mul_f64(self.random.f64())
    }
}

fn has_text(result: &Value) -> Result<(), String> {
    let is_whole = result["text"].is_string() && result["finish_reason"].is_string();
    if is_whole { Ok(()) } else { Err(format!("no text and reason in {result}")) }
}

fn has_content(result: &Value) -> Result<(), String> {
    let is_whole = result["message"]["content"].is_string() && result["finish_reason"].is_string();
    if is_whole { Ok(()) } else { Err(format!("no content and reason in {result}")) }
}

/// JSON of the schema's form, unless it was cut off.
fn has_form(result: &Value) -> Result<(), String> {
    has_content(result)?;
    if result["finish_reason"] != "stop" {
        return Ok(());
    }
    let content = result["message"]["content"].as_str().unwrap_or_default();
    let json: Value = serde_json::from_str(content).map_err(|_| format!("no JSON: {content}"))?;
    let has_form = json["name"].is_string() && json["lines"].is_u64() && json["kind"].is_string();
    if has_form { Ok(()) } else { Err(format!("not of the schema's form: {content}")) }
}

fn is_no_failure(result: &Value) -> Result<(), String> {
    if result["isError"] == true { Err(format!("a tool failed: {result}")) } else { Ok(()) }
}

/// The last place up to `at` where the text can be divided.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}
