//! Drawn tokens to final text: detokenizer, then stop strings.
//!
//! What comes out is never taken back: an incomplete character and the possible beginning of a stop string
//! are held until they are decided. Deltas concatenated are the text.

use std::sync::Arc;

use runabout_text::{Detokenizer, StopMatcher, TokenId, Tokenizer};

use crate::job::TextStart;

/// The text of one sequence.
#[derive(Debug)]
pub(crate) struct Output {
    detokenizer: Detokenizer,
    stop: StopMatcher,
    text: String,
}

/// What one token did to the text.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) delta: String,
    /// The stop string that ended the text; nothing may be pushed after it.
    pub(crate) stopped_by: Option<usize>,
}

impl Output {
    pub(crate) fn new(tokenizer: Arc<Tokenizer>, start: TextStart, stop: &[String]) -> Self {
        let detokenizer = match start {
            TextStart::Fresh => Detokenizer::new(tokenizer),
            TextStart::Continuing => Detokenizer::continuing(tokenizer),
        };
        Self { detokenizer, stop: StopMatcher::new(stop), text: String::new() }
    }

    pub(crate) fn push(&mut self, token: TokenId) -> Pushed {
        let piece = self.detokenizer.push(token);
        self.push_text(&piece)
    }

    /// The last delta, the whole text, and the stop string that the end of an incomplete character completed.
    pub(crate) fn finish(mut self) -> (String, String, Option<usize>) {
        let piece = self.detokenizer.flush();
        let Pushed { mut delta, stopped_by } = self.push_text(&piece);
        let held = self.stop.flush();
        self.text.push_str(&held);
        delta.push_str(&held);
        (delta, self.text, stopped_by)
    }

    fn push_text(&mut self, piece: &str) -> Pushed {
        let output = self.stop.push(piece);
        self.text.push_str(&output.emit);
        Pushed { delta: output.emit, stopped_by: output.matched }
    }
}
