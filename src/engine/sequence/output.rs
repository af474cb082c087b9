//! From drawn tokens to final text ([`Output`]): detokenizer, line ends to LF, stop strings, rules, then the document's
//! line ends.
//!
//! Text that was output is final: an incomplete character, a possible beginning of a stop string and what a rule may
//! still remove are held back until they are decided. The end of the prompt that is generated again, for healing, is
//! not part of the text. All deltas joined are the text.

use std::sync::Arc;

use runabout_text::{
    Allowed, Constraint, Detokenizer, FormatFailed, Healing, LineEnd, Rules, StopMatcher, ToLf, TokenId,
    Tokenizer,
};

use crate::{
    job::{FinishReason, Job, TextStart},
    likelihood::Place,
};

/// The text of one sequence.
#[derive(Debug)]
pub(crate) struct Output {
    detokenizer: Detokenizer,
    healing: Option<Healing>,
    constraint: Option<Constraint>,
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
    /// Takes the job's rules, healing and constraint.
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
            constraint: job.constraint.take(),
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

    /// Whether the text must have a format.
    pub(crate) fn is_constrained(&self) -> bool {
        self.constraint.is_some()
    }

    /// Whether the next token must be one of those that generate the prompt's end again.
    fn heals(&self) -> bool {
        // A constraint knows that end too.
        self.constraint.is_none() && self.healing.as_ref().is_some_and(|it| it.allowed().is_some())
    }

    /// Whether drafts of the next tokens can be checked.
    pub(crate) fn takes_drafts(&self) -> bool {
        !self.heals()
    }

    /// Whether any token may be pushed next.
    pub(crate) fn is_free(&self) -> bool {
        !self.is_constrained() && !self.heals()
    }

    /// What may be pushed next, and after each of the `drafts` as far as they are allowed themselves.
    pub(crate) fn allowed(
        &mut self,
        drafts: &[TokenId],
        end_tokens: &[TokenId],
    ) -> Result<Allowed, FormatFailed> {
        if let Some(constraint) = &mut self.constraint {
            return constraint.allowed(drafts, end_tokens);
        }
        match self.healing.as_ref().and_then(Healing::allowed) {
            Some(tokens) => Ok(Allowed { sets: vec![tokens.iter().copied().collect()], n_drafts: 0 }),
            None => Ok(Allowed { sets: Vec::new(), n_drafts: drafts.len() }),
        }
    }

    /// The next tokens, if the format allows no others.
    pub(crate) fn forced(&mut self) -> Vec<TokenId> {
        self.constraint.as_mut().map(Constraint::forced).unwrap_or_default()
    }

    /// Whether the text has all of its format, so that nothing can follow.
    pub(crate) fn is_complete(&self) -> bool {
        self.constraint.as_ref().is_some_and(Constraint::is_complete)
    }

    /// Whether the text ends before it has its format.
    pub(crate) fn is_incomplete(&self) -> bool {
        // Asking changes only caches, but those of this constraint.
        self.constraint.clone().is_some_and(|mut it| !it.may_end())
    }

    pub(crate) fn push(&mut self, token: TokenId) -> Result<Pushed, FormatFailed> {
        if let Some(healing) = &mut self.healing {
            healing.push(token);
        }
        if let Some(constraint) = &mut self.constraint {
            constraint.push(token)?;
        }
        let piece = self.detokenizer.push(token);
        Ok(self.push_text(&piece))
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
