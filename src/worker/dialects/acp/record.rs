//! What is kept of a conversation: [`Record`], its turns, and how they are shown again.

use std::path::PathBuf;

use chrono::{SecondsFormat, Utc};
use runabout_assist::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The longest title, in characters.
const TITLE_CHARS: usize = 60;

/// A conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    /// The folder that it works in.
    pub(super) cwd: PathBuf,
    /// The beginning of what was said first.
    pub(super) title: Option<String>,
    /// When the last turn ended, as ISO 8601 has it.
    pub(super) updated_at: String,
    /// The model does not see this many of the first turns.
    pub(super) n_forgotten: usize,
    /// Not part of the header that [`archive`](super::archive) reads.
    #[serde(skip)]
    pub(super) turns: Vec<Turn>,
}

/// What the person said, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Turn {
    /// The content blocks as they came.
    pub(super) said: Vec<Value>,
    /// The message that the model was given for them; `None` if it was not asked.
    pub(super) prompt: Option<String>,
    /// The updates about tool calls, each in its last state.
    pub(super) steps: Vec<Value>,
    pub(super) thought: String,
    pub(super) answer: String,
}

impl Record {
    /// A conversation that begins now.
    pub(super) fn new(cwd: PathBuf) -> Self {
        Self {
            id: format!("{:032x}", fastrand::u128(..)),
            cwd,
            title: None,
            updated_at: now(),
            n_forgotten: 0,
            turns: Vec::new(),
        }
    }

    /// Whether `id` has the form of an identifier from here, so that it can be the name of a file.
    pub(super) fn is_id(id: &str) -> bool {
        id.len() == 32 && id.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
    }

    pub(super) fn add(&mut self, turn: Turn) {
        if self.title.is_none() {
            self.title = title(&turn.said);
        }
        self.updated_at = now();
        self.turns.push(turn);
    }

    /// The updates that show the conversation again.
    pub(super) fn replay(&self) -> impl Iterator<Item = Value> {
        self.turns.iter().flat_map(Turn::replay)
    }
}

impl Turn {
    /// The messages of this turn for the model; none if it was not asked or said nothing.
    pub(super) fn messages(&self) -> Vec<Message> {
        match &self.prompt {
            Some(prompt) if !self.answer.is_empty() => {
                vec![Message::user(prompt.clone()), Message::assistant(self.answer.clone())]
            }
            _ => Vec::new(),
        }
    }

    fn replay(&self) -> Vec<Value> {
        let chunk = |kind: &str, text: &str| {
            let content = json!({"type": "text", "text": text});
            (!text.is_empty()).then(|| json!({"sessionUpdate": kind, "content": content}))
        };
        let said = self.said.iter().map(|it| json!({"sessionUpdate": "user_message_chunk", "content": it}));
        said.chain(self.steps.iter().cloned())
            .chain(chunk("agent_thought_chunk", &self.thought))
            .chain(chunk("agent_message_chunk", &self.answer))
            .collect()
    }
}

fn title(said: &[Value]) -> Option<String> {
    let texts = said.iter().filter(|it| it["type"] == "text").filter_map(|it| it["text"].as_str());
    let line = texts.flat_map(str::lines).map(str::trim).find(|it| !it.is_empty())?;
    let is_long = line.chars().count() > TITLE_CHARS;
    let title: String = line.chars().take(if is_long { TITLE_CHARS - 1 } else { TITLE_CHARS }).collect();
    Some(if is_long { title + "…" } else { title })
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_first_line_of_what_was_said() {
        let text = |it: &str| json!({"type": "text", "text": it});
        let link = json!({"type": "resource_link", "uri": "file:///a", "name": "a"});
        assert_eq!(title(&[link.clone(), text("\n  why?\nbecause")]).as_deref(), Some("why?"));
        assert_eq!(title(&[link, text(" ")]), None);
        let long = title(&[text(&"ä".repeat(100))]).unwrap_or_default();
        assert_eq!(long, "ä".repeat(TITLE_CHARS - 1) + "…");
    }

    #[test]
    fn identifiers_are_told_from_paths() {
        assert!(Record::is_id(&Record::new("/".into()).id));
        for other in
            ["", "../../../../../../../../etc/hosts", &"A".repeat(32), &"0".repeat(31), &"0".repeat(33)]
        {
            assert!(!Record::is_id(other), "{other}");
        }
    }
}
