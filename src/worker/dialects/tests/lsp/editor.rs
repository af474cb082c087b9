//! An editor as a client of the process: [`Editor`].

use std::collections::HashMap;
use std::sync::Arc;

use runabout_engine::scripted::{END, Recording, ScriptedModel, bytes};
use serde_json::{Value, json};

use super::super::peer::Peer;
use crate::app::App;
use crate::dialects::LSP;

pub(super) const URI: &str = "file:///code/main.rs";

/// A client that speaks LSP.
pub(super) struct Editor {
    pub(super) peer: Peer,
    n_requests: u32,
    /// What the worker has sent in the meantime.
    pub(super) received: Vec<Value>,
}

impl Editor {
    /// An editor that has said nothing yet.
    pub(super) fn of(app: &Arc<App>) -> Self {
        Self { peer: Peer::of(app), n_requests: 0, received: Vec::new() }
    }

    /// The same for a process that speaks nothing but LSP.
    pub(super) fn only(app: &Arc<App>) -> Self {
        Self { peer: Peer::of_one_of(app, LSP), n_requests: 0, received: Vec::new() }
    }

    /// An editor that has introduced itself, with these members beside the usual ones.
    pub(super) async fn with(app: &Arc<App>, params: Value) -> Self {
        let mut editor = Self::of(app);
        editor.initialize(params).await;
        editor.notify("initialized", json!({})).await;
        editor
    }

    /// An editor that wants to know what becomes of its requests, for which nothing is computed ahead.
    pub(super) async fn curious(app: &Arc<App>) -> Self {
        let options = json!({"notifications": true, "settings": {"ahead": false}});
        Self::with(app, json!({"initializationOptions": options})).await
    }

    pub(super) async fn initialize(&mut self, mut params: Value) -> Value {
        let members = params.as_object_mut().unwrap();
        members.entry("capabilities").or_insert_with(|| json!({}));
        self.request("initialize", params).await["result"].clone()
    }

    pub(super) async fn notify(&mut self, method: &str, params: Value) {
        self.peer.say(&json!({"jsonrpc": "2.0", "method": method, "params": params})).await;
    }

    /// Sends a request and returns its id.
    pub(super) async fn ask(&mut self, method: &str, params: Value) -> u32 {
        self.n_requests += 1;
        let id = self.n_requests;
        self.peer.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        id
    }

    /// The answer to the request `id`.
    pub(super) async fn answer(&mut self, id: u32) -> Value {
        let (before, answer) = self.peer.answer(id).await;
        self.received.extend(before);
        answer
    }

    pub(super) async fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params).await;
        self.answer(id).await
    }

    pub(super) async fn open(&mut self, text: &str) {
        let document = json!({"uri": URI, "languageId": "rust", "version": 1, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document})).await;
    }

    /// Replaces what is between two places, each a line and a column.
    pub(super) async fn change(&mut self, version: u32, from: (u32, u32), to: (u32, u32), text: &str) {
        let range = json!({"start": position(from), "end": position(to)});
        let params = json!({
            "textDocument": {"uri": URI, "version": version},
            "contentChanges": [{"range": range, "text": text}],
        });
        self.notify("textDocument/didChange", params).await;
    }

    /// Asks for a suggestion as at a keystroke, and returns the request's id.
    pub(super) async fn type_at(&mut self, at: (u32, u32)) -> u32 {
        self.ask("textDocument/inlineCompletion", inline(at, 2)).await
    }

    /// The answer to a suggestion as at a keystroke.
    pub(super) async fn suggested(&mut self, at: (u32, u32)) -> Value {
        let id = self.type_at(at).await;
        self.answer(id).await["result"].clone()
    }

    /// The answer to a suggestion that the person asked for.
    pub(super) async fn invoked(&mut self, at: (u32, u32)) -> Value {
        self.request("textDocument/inlineCompletion", inline(at, 1)).await["result"].clone()
    }

    pub(super) async fn command(&mut self, command: &str, arguments: Value) -> Value {
        let params = json!({"command": command, "arguments": arguments});
        self.request("workspace/executeCommand", params).await["result"].clone()
    }

    /// What became of the latest request for a suggestion. The worker must have been asked to tell.
    pub(super) fn report(&self) -> &Value {
        let reports = self.received.iter().filter(|it| it["method"] == "runabout/completion");
        &reports.last().expect("it was told")["params"]
    }

    pub(super) async fn info(&mut self) -> Value {
        self.command("runabout.info", json!([])).await
    }
}

/// A model that continues the beginning of `text` to its end. Unlike [`ScriptedModel::saying`] it may be asked to
/// generate the last word before the cursor again, as it is for completions.
pub(super) fn completing(text: &str) -> ScriptedModel {
    let text = bytes(text);
    ScriptedModel::new(move |held, _| {
        let n_begun = (0..=text.len().min(held.len())).rev().find(|it| held.ends_with(&text[..*it]));
        n_begun.and_then(|it| text.get(it)).copied().unwrap_or(END)
    })
}

/// The text that the model holds in the slot that it used last, without control tokens.
pub(super) fn held(recording: &Recording) -> String {
    let mut slots: HashMap<_, Vec<u32>> = HashMap::new();
    let spans = recording.spans();
    for span in &spans {
        let slot = slots.entry(span.slot).or_default();
        slot.resize(span.start, u32::from(b'?'));
        slot.extend(&span.tokens);
    }
    let last = spans.last().and_then(|it| slots.get(&it.slot)).map_or(&[][..], Vec::as_slice);
    let bytes: Vec<u8> = last.iter().filter_map(|it| u8::try_from(*it).ok()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The number of tokens that the model was fed.
pub(super) fn n_fed(recording: &Recording) -> usize {
    recording.spans().iter().map(|it| it.tokens.len()).sum()
}

pub(super) fn position((line, character): (u32, u32)) -> Value {
    json!({"line": line, "character": character})
}

pub(super) fn inline(at: (u32, u32), trigger_kind: u32) -> Value {
    json!({
        "textDocument": {"uri": URI},
        "position": position(at),
        "context": {"triggerKind": trigger_kind},
    })
}
