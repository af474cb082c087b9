//! From drawn tokens to final text ([`Output`]): detokenizer, line ends to LF, stop strings, rules, then the document's
//! line ends.
//!
//! Text that was output is final: an incomplete character, a possible beginning of a stop string and what a rule may
//! still remove are held back until they are decided. The end of the prompt that is generated again, for healing, is
//! not part of the text. All deltas joined are the text.

use std::sync::Arc;

use runabout_text::{Detokenizer, Healing, LineEnd, Rules, StopMatcher, ToLf, TokenId, Tokenizer};

use crate::{
    job::{FinishReason, Job, TextStart},
    likelihood::Place,
};

/// The text of one sequence.
#[derive(Debug)]
pub(crate) struct Output {
    detokenizer: Detokenizer,
    healing: Option<Healing>,
    /// The end of the prompt that must still be generated again before the text begins.
    healed: String,
    /// The end of what has been drawn, beyond the healed text, whether it is output or not.
    drawn: Place,
    /// Present if the job sets the line end.
    lines: Option<(ToLf, LineEnd)>,
    stop: StopMatcher,
    rules: Option<Rules>,
    text: String,
}

/// The effect of one token on the text.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) delta: String,
    /// The stop string or rule that ended the text; no token may be pushed after it.
    pub(crate) stopped_by: Option<FinishReason>,
}

impl Output {
    /// Takes the job's rules and healing.
    pub(crate) fn new(tokenizer: Arc<Tokenizer>, job: &mut Job) -> Self {
        let detokenizer = match job.text_start {
            TextStart::Fresh => Detokenizer::new(tokenizer),
            TextStart::Continuing => Detokenizer::continuing(tokenizer),
        };
        let healing = job.healing.take();
        let healed = healing.as_ref().map_or("", Healing::text).to_owned();
        let stop = StopMatcher::new(&job.stop);
        let lines = job.line_end.map(|it| (ToLf::default(), it));
        Self {
            detokenizer,
            healing,
            healed,
            drawn: Place::default(),
            lines,
            stop,
            rules: job.rules.take(),
            text: String::new(),
        }
    }

    /// The text so far, without what is held back.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where the text of the next token begins.
    pub(crate) fn drawn(&self) -> Place {
        self.drawn
    }

    /// Whether the tokens so far are only those of the healed text.
    pub(crate) fn is_healing(&self) -> bool {
        self.healing.as_ref().is_some_and(Healing::is_within)
    }

    /// The only tokens that may be pushed next; `None` if any may.
    pub(crate) fn allowed(&self) -> Option<&[TokenId]> {
        self.healing.as_ref()?.allowed()
    }

    pub(crate) fn push(&mut self, token: TokenId) -> Pushed {
        if let Some(healing) = &mut self.healing {
            healing.push(token);
        }
        let piece = self.detokenizer.push(token);
        self.push_text(&piece)
    }

    /// Ends the text. Returns the last delta, and the stop string or rule that held-back text completed.
    pub(crate) fn finish(&mut self) -> Pushed {
        let piece = self.detokenizer.flush();
        let Pushed { mut delta, mut stopped_by } = self.push_text(&piece);
        let held_return = self.lines.as_mut().map(|(lf, _)| lf.flush().to_owned()).unwrap_or_default();
        let held_return = self.push_stop(&held_return);
        let held = self.stop.flush();
        let held = self.push_ruled(&held);
        for last in [held_return, held] {
            delta.push_str(&last.delta);
            stopped_by = stopped_by.or(last.stopped_by);
        }
        if let Some(rules) = &mut self.rules {
            let held = rules.flush();
            delta.push_str(&self.emit(held));
        }
        Pushed { delta, stopped_by }
    }

    fn push_text(&mut self, piece: &str) -> Pushed {
        let piece = after_healed(&mut self.healed, piece);
        self.drawn.pass(piece);
        match &mut self.lines {
            Some((lf, _)) => {
                let piece = lf.push(piece);
                self.push_stop(&piece)
            }
            None => self.push_stop(piece),
        }
    }

    fn push_stop(&mut self, piece: &str) -> Pushed {
        let output = self.stop.push(piece);
        let pushed = self.push_ruled(&output.emit);
        let stopped_by = pushed.stopped_by.or(output.matched.map(|index| FinishReason::Stop { index }));
        Pushed { stopped_by, ..pushed }
    }

    fn push_ruled(&mut self, piece: &str) -> Pushed {
        let Some(rules) = &mut self.rules else {
            return Pushed { delta: self.emit(piece.to_owned()), stopped_by: None };
        };
        let output = rules.push(piece);
        let stopped_by = output.stopped.map(|rule| FinishReason::Rule { rule });
        Pushed { delta: self.emit(output.emit), stopped_by }
    }

    /// Appends final text, with the line ends of the document.
    fn emit(&mut self, text: String) -> String {
        let text = match &self.lines {
            Some((_, line_end)) if *line_end != LineEnd::Lf => line_end.from_lf(&text).into_owned(),
            _ => text,
        };
        self.text.push_str(&text);
        text
    }
}

/// The part of `piece` that is text: what follows `healed`, the end of the prompt that is generated again.
fn after_healed<'a>(healed: &mut String, piece: &'a str) -> &'a str {
    let same = healed.chars().zip(piece.chars()).take_while(|(a, b)| a == b);
    let n_same: usize = same.map(|(it, _)| it.len_utf8()).sum();
    if n_same < piece.len() {
        // All of it has been generated, or a character of it cannot be.
        healed.clear();
    } else {
        healed.drain(..n_same);
    }
    &piece[n_same..]
}
