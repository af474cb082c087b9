//! Plays a transcript to the real worker.
//!
//! Beside what the transcript says, it holds the worker to what every client is promised: one response per request,
//! deltas numbered from 0 and none after the response, all deltas together the text of the result, results of the
//! documented types.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{contract, matching};
use crate::support::{Framing, Worker, tiny_model};

/// A conversation, read from a file.
pub(super) struct Transcript {
    name: String,
    head: Head,
    /// With the numbers of their lines.
    steps: Vec<(usize, Step)>,
}

/// The first line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(rename = "about")]
    _about: String,
    #[serde(default)]
    model: ModelKind,
    /// Of `runabout serve`, beside the model.
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
    /// Its context has 32 tokens.
    ShortContext,
    /// It has no tokens to fill in the middle with.
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

/// What happens next.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    /// For people.
    Note(#[expect(dead_code, reason = "not for the program")] String),
    /// The client sends this.
    To(Box<RawValue>),
    /// The client sends this, which is no message.
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

    /// All messages that the client sends, entries of batches one by one.
    pub(super) fn sent(&self) -> Vec<Value> {
        let whole = self.steps.iter().filter_map(|(_, step)| match step {
            Step::To(message) => Some(value(message)),
            _ => None,
        });
        whole.flat_map(entries).collect()
    }

    /// All messages that the worker is to send, entries of batches one by one.
    pub(super) fn expected(&self) -> Vec<Value> {
        let whole = self.steps.iter().flat_map(|(_, step)| match step {
            Step::From(message) => vec![value(message)],
            Step::FromAnyOrder(messages) => messages.iter().map(|it| value(it)).collect(),
            _ => Vec::new(),
        });
        whole.flat_map(entries).collect()
    }

    /// Plays it. The error says at which line the worker did something else.
    pub(super) fn replay(&self) -> Result<(), String> {
        let args: Vec<&str> = self.head.args.iter().map(String::as_str).collect();
        let framing = match self.head.framing {
            FramingKind::Lines => Framing::Lines,
            FramingKind::Headers => Framing::Headers,
        };
        let edited = self.head.model.folder();
        let model = edited.as_ref().map_or_else(|| tiny_model::folder(), TempDir::path);
        let mut conversation =
            Conversation { worker: Worker::start(model, &args, framing), requests: HashMap::new() };
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

/// A transcript in the course of being played.
struct Conversation {
    worker: Worker,
    /// By the text of their ids.
    requests: HashMap<String, Request>,
}

/// What came for a request so far.
#[derive(Default)]
struct Request {
    method: String,
    is_streamed: bool,
    n_deltas: u64,
    /// The deltas put together, by choice.
    texts: HashMap<u64, String>,
    is_answered: bool,
}

impl Conversation {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Note(_) => Ok(()),
            Step::To(message) => {
                entries(value(message)).iter().zip(ids(message)).for_each(|(it, id)| self.note(it, id));
                self.worker.send_text(message.get());
                Ok(())
            }
            Step::ToText(text) => {
                self.worker.send_text(text);
                Ok(())
            }
            Step::From(expected) => self.expect_all(&[expected]),
            Step::FromAnyOrder(expected) => self.expect_all(&expected.iter().collect::<Vec<_>>()),
            Step::Close(End::Stdin) => {
                self.worker.close_stdin();
                Ok(())
            }
            Step::Exit(code) => self.exit(*code),
        }
    }

    /// Remembers what is asked.
    fn note(&mut self, sent: &Value, id: Option<String>) {
        // An id that is in use is refused, and the request that has it goes on.
        if let Some(id) = id.filter(|it| self.requests.get(it).is_none_or(|it| it.is_answered)) {
            let method = sent["method"].as_str().unwrap_or_default().to_owned();
            let is_streamed = sent["params"]["stream"] != json!(false);
            self.requests.insert(id, Request { method, is_streamed, ..Request::default() });
        }
    }

    /// Reads on until all of these have come. Notifications that are none of them are passed over.
    fn expect_all(&mut self, expected: &[&Box<RawValue>]) -> Result<(), String> {
        let mut missing = expected.to_vec();
        while !missing.is_empty() {
            let Some(text) = self.worker.next_message() else {
                let missing: Vec<&str> = missing.iter().map(|it| it.get()).collect();
                return Err(format!("the worker ended before {}", missing.join(" and ")));
            };
            self.check(&text)?;
            let outcomes: Vec<_> = missing.iter().map(|it| is_expected(it, &text)).collect();
            if let Some(i) = outcomes.iter().position(Result::is_ok) {
                missing.remove(i);
            } else if !is_notification(&text) {
                let reasons: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
                return Err(format!("{}\nthe worker sent {text}", reasons.join("\n")));
            }
        }
        Ok(())
    }

    fn exit(&mut self, code: i32) -> Result<(), String> {
        while let Some(text) = self.worker.next_message() {
            self.check(&text)?;
            if !is_notification(&text) {
                return Err(format!("nothing more was expected, got {text}"));
            }
        }
        let status = self.worker.wait_for_exit();
        if status.code() == Some(code) {
            Ok(())
        } else {
            Err(format!("the worker must end with code {code}, got {status}"))
        }
    }

    /// What holds for every message.
    fn check(&mut self, text: &str) -> Result<(), String> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|e| format!("no message: {e}: {text}"))?;
        let messages = entries(value(raw));
        messages.iter().zip(ids(raw)).try_for_each(|(message, id)| {
            if message.get("method").is_some() {
                contract::check_notification(message)?;
                return if message["method"] == "delta" { self.check_delta(message, raw) } else { Ok(()) };
            }
            match id.map(|it| self.requests.get_mut(&it)) {
                Some(Some(request)) => request.check_response(message),
                Some(None) => Err(format!("a response to no request: {message}")),
                None => contract::check_error(&message["error"]),
            }
        })
    }

    fn check_delta(&mut self, delta: &Value, raw: &RawValue) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Delta<'a> {
            #[serde(borrow)]
            params: WithId<'a>,
        }
        let Delta { params } = serde_json::from_str(raw.get()).map_err(|e| e.to_string())?;
        let request = params.id.and_then(|id| self.requests.get_mut(id.get()));
        let request = request.ok_or_else(|| format!("a delta of no request: {delta}"))?;
        if request.is_answered {
            return Err(format!("a delta after the response: {delta}"));
        }
        if delta["params"]["seq"] != request.n_deltas {
            return Err(format!("expected delta {}, got {delta}", request.n_deltas));
        }
        request.n_deltas += 1;
        let choice = delta["params"]["choice"].as_u64().unwrap_or(0);
        let piece = delta["params"]["text"].as_str().unwrap_or_default();
        request.texts.entry(choice).or_default().push_str(piece);
        Ok(())
    }
}

impl Request {
    fn check_response(&mut self, response: &Value) -> Result<(), String> {
        if std::mem::replace(&mut self.is_answered, true) {
            return Err(format!("a second response: {response}"));
        }
        let Some(result) = response.get("result") else {
            contract::check_error(&response["error"])?;
            let partial = response["error"]["data"].get("partial");
            return partial.map_or(Ok(()), |partial| self.check_text(0, partial));
        };
        contract::check_result(&self.method, result)?;
        match self.method.as_str() {
            "complete" => {
                self.check_text(0, &result["text"])?;
                let choices = result["choices"].as_array().into_iter().flatten();
                choices.zip(0..).try_for_each(|(it, choice)| self.check_text(choice, &it["text"]))
            }
            "chat" => self.check_text(0, &result["message"]["content"]),
            _ => Ok(()),
        }
    }

    fn check_text(&self, choice: u64, text: &Value) -> Result<(), String> {
        let streamed = self.texts.get(&choice).map_or("", String::as_str);
        let expected = if self.is_streamed { text.as_str() } else { Some("") };
        if expected == Some(streamed) {
            Ok(())
        } else {
            Err(format!("the deltas of choice {choice} together are {streamed:?}, and the text is {text}"))
        }
    }
}

#[derive(Deserialize)]
struct WithId<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

fn value(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).expect("raw values are JSON")
}

/// The entries of a batch, or the one message.
fn entries(message: Value) -> Vec<Value> {
    match message {
        Value::Array(entries) => entries,
        message => vec![message],
    }
}

/// The ids of the entries of a batch, or of the one message, exactly as written.
fn ids(message: &RawValue) -> Vec<Option<String>> {
    let entries = serde_json::from_str(message.get()).unwrap_or_else(|_| vec![message]);
    let id =
        |it: &RawValue| serde_json::from_str::<WithId<'_>>(it.get()).ok()?.id.map(|id| id.get().to_owned());
    entries.into_iter().map(id).collect()
}

fn is_notification(text: &str) -> bool {
    let message: Value = serde_json::from_str(text).expect("checked to be a message");
    message.get("method").is_some() && message.get("id").is_none()
}

/// Ids must be the same to the letter: as values `1e2` and `100.0` are equal.
fn is_expected(expected: &RawValue, text: &str) -> Result<(), String> {
    let got: &RawValue = serde_json::from_str(text).expect("checked to be a message");
    matching::matches(&value(expected), &value(got))?;
    let (expected, got) = (ids(expected), ids(got));
    if expected == got { Ok(()) } else { Err(format!("ids must be written {expected:?}, got {got:?}")) }
}

impl ModelKind {
    /// A folder with this model; `None`: the tiny model as it is.
    fn folder(self) -> Option<TempDir> {
        let edit: fn(&Path) = match self {
            Self::Tiny => return None,
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
