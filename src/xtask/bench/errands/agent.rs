//! The agent: it starts the worker as an MCP server, and hands a task to its tools or to the model as it is.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::set::{Errand, Kind, LABELS};
use crate::client::Client;

/// The room for an answer that is not a file.
const SHORT_TOKENS: usize = 300;
/// The room for what a file may grow by.
const GROWTH_TOKENS: usize = 400;

pub(super) struct Agent {
    client: Client,
}

/// What a tool said about its answer.
pub(super) struct Told {
    /// Whether it said that it failed.
    pub(super) is_owned_up: bool,
    pub(super) evidence: Value,
}

/// An answer to be checked, or why there is none.
pub(super) type Answer = Result<String, String>;

impl Agent {
    pub(super) fn start(worker: &Path, model: &str, root: &Path, log: &Path) -> Result<Self> {
        let mut command = Command::new(worker);
        command.args(["mcp", "--no-stats", "--model", model, "--root"]).arg(root);
        command.stderr(File::create(log)?);
        Ok(Self { client: Client::spawn(&mut command)? })
    }

    pub(super) fn stop(self) -> Result<()> {
        self.client.close()
    }

    /// Has the tools for files do the task.
    pub(super) fn by_tools(&mut self, errand: &Errand, root: &Path) -> Result<(Answer, Told)> {
        let folder = root.join(&errand.id);
        fs::create_dir_all(&folder)?;
        let file = folder.join(&errand.file_name);
        fs::write(&file, &errand.text)?;
        let paths = json!([format!("{}/{}", errand.id, errand.file_name)]);
        let instruction = &errand.instruction;
        let (tool, arguments) = match errand.kind {
            Kind::Extract => {
                let schema = schema(&errand.json["schema"]);
                ("map_files", json!({"task": "extract", "instruction": instruction, "schema": schema}))
            }
            Kind::Log => {
                ("map_files", json!({"task": "classify", "instruction": instruction, "labels": LABELS}))
            }
            _ => ("edit_files", json!({"instruction": instruction, "apply": true})),
        };
        let mut arguments = arguments;
        arguments["paths"] = paths;
        let output = match self.call(tool, &arguments)? {
            Ok(output) => output,
            Err(why) => return Ok((Err(why), Told { is_owned_up: true, evidence: Value::Null })),
        };
        let result = &output["files"][0];
        let failed = result["error"]["message"].as_str().map(str::to_owned);
        let answer = match (&failed, errand.kind) {
            (Some(why), _) => Err(why.clone()),
            (None, Kind::Extract) => Ok(result["value"].to_string()),
            (None, Kind::Log) => Ok(result["label"].as_str().unwrap_or_default().to_owned()),
            _ if result["outcome"] == "unchanged" => Err("the file is unchanged".to_owned()),
            _ => Ok(fs::read_to_string(&file)?),
        };
        let is_owned_up = answer.is_err();
        Ok((answer, Told { is_owned_up, evidence: output["evidence"].clone() }))
    }

    /// Asks the model for the whole answer, and takes it as it comes.
    pub(super) fn by_chat(&mut self, errand: &Errand) -> Result<(Answer, Told)> {
        let Errand { kind, instruction, file_name, text, .. } = errand;
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let file = format!("The file `{file_name}`:\n```\n{text}{end}```\n\n{instruction}\n\n");
        let (prompt, max_tokens) = match kind {
            Kind::Extract => {
                let schema = schema(&errand.json["schema"]);
                (
                    format!("{file}Answer with JSON that is valid under this JSON Schema:\n{schema}"),
                    SHORT_TOKENS,
                )
            }
            Kind::Log => {
                let labels = LABELS.join(", ");
                (format!("{file}Answer with one of these labels and nothing else: {labels}"), SHORT_TOKENS)
            }
            // A token of code has rarely fewer than two bytes.
            _ => (
                format!("{file}Answer with the whole changed file in one code block."),
                text.len() / 2 + GROWTH_TOKENS,
            ),
        };
        let arguments = json!({"prompt": prompt, "max_tokens": max_tokens, "temperature": 0});
        let output = match self.call("generate", &arguments)? {
            Ok(output) => output,
            Err(why) => return Ok((Err(why), Told { is_owned_up: true, evidence: Value::Null })),
        };
        let said = output["text"].as_str().unwrap_or_default();
        let block = longest_block(said);
        let answer = match kind {
            Kind::Log => Ok(said.trim().trim_matches(|it: char| !it.is_alphanumeric()).to_lowercase()),
            Kind::Extract => Ok(block.unwrap_or_else(|| said.trim().to_owned())),
            _ => block.ok_or_else(|| "there is no code block".to_owned()),
        };
        let is_owned_up = output["truncated"] == true;
        Ok((answer, Told { is_owned_up, evidence: output["evidence"].clone() }))
    }

    /// Calls a tool; an error of the tool is not an error of the benchmark.
    pub(super) fn call(&mut self, tool: &str, arguments: &Value) -> Result<Result<Value, String>> {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
        let mut result = self.client.call("tools/call", &params)?;
        if result["isError"] == true {
            let why = result["content"][0]["text"].as_str().context("an error has a text")?;
            return Ok(Err(why.to_owned()));
        }
        Ok(Ok(result["structuredContent"].take()))
    }
}

/// The longest code block of an answer.
fn longest_block(answer: &str) -> Option<String> {
    let parts: Vec<&str> = answer.split("```").collect();
    let blocks = parts.iter().skip(1).step_by(2).filter_map(|it| it.split_once('\n').map(|it| it.1));
    blocks.max_by_key(|it| it.len()).map(str::to_owned)
}

/// A JSON Schema for an object whose members have these types.
fn schema(members: &Value) -> Value {
    let one = |it: &Value| match it {
        Value::Array(items) => json!({"type": "array", "items": {"type": items.first()}}),
        name => json!({"type": name}),
    };
    let properties: Map<String, Value> =
        members.as_object().into_iter().flatten().map(|(name, it)| (name.clone(), one(it))).collect();
    let required: Vec<&String> = properties.keys().collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_block_is_taken_also_if_it_is_not_closed() {
        assert_eq!(longest_block("a\n```py\nx\n```\n```py\nlong\n"), Some("long\n".to_owned()));
        assert_eq!(longest_block("no code"), None);
    }
}
