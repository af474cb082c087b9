//! What was read of a turn: [`Turn`] and its [`Piece`]s. The readers of both frames write it through [`Written`].

use std::hash::{DefaultHasher, Hash, Hasher};

use super::call::Call;
use super::tools::Tools;
use crate::chat::ToolCall;

/// A piece of a turn. Joined, the pieces of each kind are the texts of [`Turn`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Reasoning(String),
    Content(String),
}

/// A model's turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turn {
    /// What the model thought before its answer; empty if it did not.
    pub reasoning: String,
    /// What it says.
    pub content: String,
    /// What it calls, in order, each with an id.
    pub calls: Vec<ToolCall>,
    /// What looks like a call and is none. Its text is part of `content`.
    pub faults: Vec<CallFault>,
}

/// A call that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct CallFault {
    pub reason: String,
    /// What the model wrote, marks included.
    pub text: String,
}

/// What was read so far.
#[derive(Debug)]
pub(super) struct Written {
    turn: Turn,
    pieces: Vec<Piece>,
    pub(super) tools: Tools,
    seed: u64,
}

impl Written {
    pub(super) fn new(tools: Tools, seed: u64) -> Self {
        Self { turn: Turn::default(), pieces: Vec::new(), tools, seed }
    }

    /// The pieces since the last time.
    pub(super) fn take_pieces(&mut self) -> Vec<Piece> {
        std::mem::take(&mut self.pieces)
    }

    pub(super) fn into_turn(self) -> Turn {
        self.turn
    }

    pub(super) fn think(&mut self, text: &str) {
        if !text.is_empty() {
            self.turn.reasoning.push_str(text);
            self.pieces.push(Piece::Reasoning(text.to_owned()));
        }
    }

    pub(super) fn say(&mut self, text: &str) {
        if !text.is_empty() {
            self.turn.content.push_str(text);
            self.pieces.push(Piece::Content(text.to_owned()));
        }
    }

    pub(super) fn has_content(&self) -> bool {
        !self.turn.content.is_empty()
    }

    pub(super) fn has_reasoning(&self) -> bool {
        !self.turn.reasoning.is_empty()
    }

    pub(super) fn has_calls(&self) -> bool {
        !self.turn.calls.is_empty()
    }

    /// Takes calls, or says why they cannot be made. They are made together or not at all.
    pub(super) fn call(&mut self, calls: Vec<Call>) -> Result<(), String> {
        if let Some(unknown) = calls.iter().find(|it| !self.tools.has(&it.name)) {
            return Err(format!("there is no tool named `{}`", in_short(&unknown.name)));
        }
        for Call { id, name, arguments } in calls {
            let id = id.unwrap_or_else(|| self.id());
            self.turn.calls.push(ToolCall { id: Some(id), name, arguments: arguments.into() });
        }
        Ok(())
    }

    pub(super) fn fault(&mut self, reason: String, text: String) {
        self.turn.faults.push(CallFault { reason, text });
    }

    /// An id of nine letters and digits, which is the only form that Mistral's templates take.
    fn id(&self) -> String {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let mut hasher = DefaultHasher::new();
        (self.seed, self.turn.calls.len()).hash(&mut hasher);
        let mut rest = hasher.finish();
        let mut digits = || {
            let digit = DIGITS[usize::try_from(rest % 36).unwrap_or(0)];
            rest /= 36;
            char::from(digit)
        };
        (0..9).map(|_| digits()).collect()
    }
}

/// The beginning of a text, for a message.
fn in_short(text: &str) -> String {
    const MAX_CHARS: usize = 60;
    let mut short: String = text.chars().take(MAX_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
