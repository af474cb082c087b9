//! Replays a transcript with the real worker.
//!
//! The worker must also keep the general guarantees, see [`promises`](super::promises).

use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::matching;
use super::message::{entries, ids, is_notification, value};
use super::promises::Requests;
use crate::support::{Framing, Worker, tiny_model};

/// A conversation, read from a file.
pub(super) struct Transcript {
    name: String,
    head: Head,
    /// The steps, with their line numbers.
    steps: Vec<(usize, Step)>,
}

/// The first line of a transcript.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(rename = "about")]
    _about: String,
    #[serde(default)]
    model: ModelKind,
    /// Arguments of `runabout serve`, besides the model.
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    framing: FramingKind,
}

/// Variants of the tiny random model.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ModelKind {
    #[default]
    Tiny,
    /// Takes long for each token, for requests that are ended while they run.
    Slow,
    /// Has a context of 32 tokens.
    ShortContext,
    /// Has no tokens for fill-in-the-middle.
    NoFillInTheMiddle,
    NoChatTemplate,
    NoWeights,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FramingKind {
    #[default]
    Lines,
    Headers,
}

/// One step of a conversation.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    /// A note for readers.
    Note(#[expect(dead_code, reason = "not for the program")] String),
    /// The client sends this.
    To(Box<RawValue>),
    /// The client sends this text, which is not a message.
    ToText(String),
    /// The worker sends this.
    From(Box<RawValue>),
    /// The worker sends all of these, in any order.
    FromAnyOrder(Vec<Box<RawValue>>),
    /// The client closes its end.
    Close(End),
    /// The worker ends with this code.
    Exit(i32),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum End {
    Stdin,
}

impl Transcript {
    pub(super) fn read(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Self::parse(&name, &std::fs::read_to_string(path).unwrap())
    }

    pub(super) fn parse(name: &str, text: &str) -> Self {
        let fail = |n: usize, e: serde_json::Error| -> ! { panic!("{name}.jsonl:{n}: {e}") };
        let mut lines = text.lines().enumerate().map(|(i, line)| (i + 1, line));
        let (n, first) = lines.next().expect("a transcript has a first line");
        let head = serde_json::from_str(first).unwrap_or_else(|e| fail(n, e));
        let steps =
            lines.map(|(n, line)| (n, serde_json::from_str(line).unwrap_or_else(|e| fail(n, e)))).collect();
        Self { name: name.to_owned(), head, steps }
    }

    /// All messages that the client sends, with the entries of batches one by one.
    pub(super) fn sent(&self) -> Vec<Value> {
        let whole = self.steps.iter().filter_map(|(_, step)| match step {
            Step::To(message) => Some(message),
            _ => None,
        });
        whole.flat_map(|it| entries(it)).collect()
    }

    /// All messages that the worker is expected to send, with the entries of batches one by one.
    pub(super) fn expected(&self) -> Vec<Value> {
        let whole = self.steps.iter().flat_map(|(_, step)| match step {
            Step::From(message) => std::slice::from_ref(message),
            Step::FromAnyOrder(messages) => messages,
            _ => &[],
        });
        whole.flat_map(|it| entries(it)).collect()
    }

    /// Replays the conversation. The error has the line at which the worker did something else.
    pub(super) fn replay(&self) -> Result<(), String> {
        let args: Vec<&str> = self.head.args.iter().map(String::as_str).collect();
        let framing = match self.head.framing {
            FramingKind::Lines => Framing::Lines,
            FramingKind::Headers => Framing::Headers,
        };
        let edited = self.head.model.edited();
        let model = match self.head.model {
            ModelKind::Slow => tiny_model::slow_folder(),
            _ => edited.as_ref().map_or_else(|| tiny_model::folder(), TempDir::path),
        };
        let mut conversation =
            Conversation { worker: Worker::start(model, &args, framing), requests: Requests::default() };
        let mut ends = false;
        for (n, step) in &self.steps {
            ends = matches!(step, Step::Exit(_));
            conversation.step(step).map_err(|e| format!("{}.jsonl:{n}: {e}", self.name))?;
        }
        if !ends {
            conversation.worker.close_stdin();
            conversation.exit(0).map_err(|e| format!("{}.jsonl: at the end: {e}", self.name))?;
        }
        Ok(())
    }
}

/// A transcript that is being replayed.
struct Conversation {
    worker: Worker,
    requests: Requests,
}

impl Conversation {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Note(_) => Ok(()),
            Step::To(message) => {
                self.requests.note(message);
                self.worker.send_text(message.get());
                Ok(())
            }
            Step::ToText(text) => {
                self.worker.send_text(text);
                Ok(())
            }
            Step::From(expected) => self.expect_all(std::slice::from_ref(expected)),
            Step::FromAnyOrder(expected) => self.expect_all(expected),
            Step::Close(End::Stdin) => {
                self.worker.close_stdin();
                Ok(())
            }
            Step::Exit(code) => self.exit(*code),
        }
    }

    /// Reads until all of these have arrived. Other notifications are skipped.
    fn expect_all(&mut self, expected: &[Box<RawValue>]) -> Result<(), String> {
        let mut missing: Vec<&RawValue> = expected.iter().map(|it| &**it).collect();
        while !missing.is_empty() {
            let Some(got) = self.next()? else {
                let missing: Vec<&str> = missing.iter().map(|it| it.get()).collect();
                return Err(format!("the worker ended before {}", missing.join(" and ")));
            };
            let outcomes: Vec<_> = missing.iter().map(|it| is_expected(it, &got)).collect();
            if let Some(i) = outcomes.iter().position(Result::is_ok) {
                missing.remove(i);
            } else if !is_notification(&got) {
                let reasons: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
                return Err(format!("{}\nthe worker sent {got}", reasons.join("\n")));
            }
        }
        Ok(())
    }

    fn exit(&mut self, code: i32) -> Result<(), String> {
        while let Some(got) = self.next()? {
            if !is_notification(&got) {
                return Err(format!("nothing more was expected, got {got}"));
            }
        }
        self.requests.check_end()?;
        let status = self.worker.wait_for_exit();
        if status.code() == Some(code) {
            Ok(())
        } else {
            Err(format!("the worker must end with code {code}, got {status}"))
        }
    }

    /// The next message, after checking the general guarantees.
    fn next(&mut self) -> Result<Option<Box<RawValue>>, String> {
        let Some(text) = self.worker.next_message() else { return Ok(None) };
        let message =
            RawValue::from_string(text.trim_end().to_owned()).map_err(|e| format!("{e}: {text}"))?;
        self.requests.check(&message)?;
        Ok(Some(message))
    }
}

/// Compares a message with its pattern. Ids must have the same spelling.
fn is_expected(expected: &RawValue, got: &RawValue) -> Result<(), String> {
    matching::matches(&value(expected), &value(got))?;
    let (expected, got) = (ids(expected), ids(got));
    if expected == got { Ok(()) } else { Err(format!("expected ids written as {expected:?}, got {got:?}")) }
}

impl ModelKind {
    /// A folder with an edited copy of the tiny model; `None` for the model as it is.
    fn edited(self) -> Option<TempDir> {
        let edit: fn(&Path) = match self {
            Self::Tiny | Self::Slow => return None,
            Self::ShortContext => {
                |it| edit_json(it, "config.json", |c| c["max_position_embeddings"] = json!(32))
            }
            Self::NoFillInTheMiddle => |it| {
                edit_json(it, "tokenizer.json", |tokenizer| {
                    for token in tokenizer["added_tokens"].as_array_mut().unwrap() {
                        let content = token["content"].as_str().unwrap().replace("fim", "unused");
                        token["content"] = content.into();
                    }
                });
            },
            Self::NoChatTemplate => |it| {
                edit_json(it, "tokenizer_config.json", |config| {
                    config.as_object_mut().unwrap().remove("chat_template");
                });
            },
            Self::NoWeights => |it| std::fs::remove_file(it.join("model.safetensors")).unwrap(),
        };
        let folder =
            tempfile::Builder::new().prefix("model-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        tiny_model::write(folder.path());
        edit(folder.path());
        Some(folder)
    }
}

fn edit_json(folder: &Path, name: &str, edit: impl FnOnce(&mut Value)) {
    let path = folder.join(name);
    let mut content: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    edit(&mut content);
    std::fs::write(&path, content.to_string()).unwrap();
}
