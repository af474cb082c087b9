//! The conversation at the prompt: its messages, and the file that it is kept in: [`Dialogue`].

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use runabout_assist::{
    Content, Conversation, Generation, Message, Priority, TemplateVariables, ToolUse, Turn,
};
use serde::{Deserialize, Serialize};

use crate::cli::ChatArgs;

/// A conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Dialogue {
    pub(super) system: Option<String>,
    turns: Vec<Message>,
}

/// What is written to a file: the messages in the form of common chat APIs.
#[derive(Serialize)]
struct Saved<'a> {
    model: &'a str,
    messages: Vec<SavedMessage<'a>>,
}

#[derive(Serialize)]
struct SavedMessage<'a> {
    role: &'a str,
    content: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
}

/// What is read: the same, or a list of messages alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Loaded {
    Saved { messages: Vec<Message> },
    Messages(Vec<Message>),
}

impl Dialogue {
    pub(super) fn new(system: Option<String>) -> Self {
        Self { system, turns: Vec::new() }
    }

    /// Adds a message of the person.
    pub(super) fn ask(&mut self, message: String) {
        self.turns.push(Message::user(message));
    }

    /// Takes the last message back, since it was not answered.
    pub(super) fn take_back(&mut self) {
        self.turns.pop();
    }

    /// Adds the model's answer.
    pub(super) fn answered(&mut self, turn: &Turn) {
        let reasoning = Some(&turn.reasoning).filter(|it| !it.is_empty()).cloned();
        self.turns.push(Message { reasoning, ..Message::assistant(&turn.content) });
    }

    /// Begins again, with the same system prompt.
    pub(super) fn reset(&mut self) {
        self.turns.clear();
    }

    pub(super) fn n_turns(&self) -> usize {
        self.turns.len()
    }

    /// The request for the next answer.
    pub(super) fn request(&self, args: &ChatArgs) -> Conversation {
        Conversation {
            messages: self.messages().collect(),
            tools: ToolUse::default(),
            template_variables: TemplateVariables::new(),
            generation: Generation {
                sampling: (&args.sampling).into(),
                max_kv_tokens: args.kv.max_kv_size,
                ..Generation::of(args.max_tokens, Priority::Interactive)
            },
        }
    }

    fn messages(&self) -> impl Iterator<Item = Message> {
        self.system.iter().map(Message::system).chain(self.turns.iter().cloned())
    }

    /// Writes the conversation to a file. A file that holds something else is left alone.
    pub(super) fn save(&self, path: &Path, model: &str) -> Result<()> {
        if path.exists() && Self::load(path).is_err() {
            bail!("`{}` exists and is no conversation\nhint: choose another name", path.display());
        }
        let messages: Vec<Message> = self.messages().collect();
        let messages = messages.iter().map(|it| SavedMessage {
            role: &it.role,
            content: text(it.content.as_ref()),
            reasoning_content: it.reasoning.as_deref(),
        });
        let saved = serde_json::to_string_pretty(&Saved { model, messages: messages.collect() })?;
        fs::write(path, saved + "\n").with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Reads a conversation from a file.
    pub(super) fn load(path: &Path) -> Result<Self> {
        let json = fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let loaded: Loaded = serde_json::from_slice(&json).with_context(|| {
            format!(
                "`{}` is no conversation\nhint: `/save` writes one; a JSON list of messages is one too",
                path.display()
            )
        })?;
        let (Loaded::Saved { mut messages } | Loaded::Messages(mut messages)) = loaded;
        let has_system = messages.first().is_some_and(|it| it.role == "system");
        let system = has_system.then(|| text(messages.remove(0).content.as_ref()));
        Ok(Self { system, turns: messages })
    }
}

fn text(content: Option<&Content>) -> String {
    match content {
        Some(Content::Text(text)) => text.clone(),
        Some(Content::Parts(parts)) => parts.concat(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_conversation_that_was_saved_goes_on_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("talk.json");
        let mut dialogue = Dialogue::new(Some("Be brief.".into()));
        dialogue.ask("hi".into());
        dialogue.answered(&Turn {
            content: "Hello!".into(),
            reasoning: "A greeting.".into(),
            ..Turn::default()
        });
        dialogue.save(&path, "m").unwrap();
        dialogue.save(&path, "m").unwrap();
        assert_eq!(Dialogue::load(&path).unwrap(), dialogue);
        let list = folder.path().join("list.json");
        fs::write(&list, r#"[{"role": "user", "content": "hi"}]"#).unwrap();
        assert_eq!(Dialogue::load(&list).unwrap().n_turns(), 1);
    }

    #[test]
    fn a_file_that_is_no_conversation_is_neither_read_nor_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.json");
        fs::write(&path, "{}").unwrap();
        assert!(Dialogue::load(&path).is_err());
        let refused = Dialogue::default().save(&path, "m").unwrap_err().to_string();
        assert!(refused.contains("is no conversation"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"{}");
    }
}
