//! The next edit: prompts for models that rewrite the lines around the cursor as a person will probably change them,
//! and what their answers change.
//!
//! These models have the vocabulary of the models that they were made from, so the vocabulary cannot tell them apart:
//! a format is detected by the model's name, and only if the vocabulary has its tokens ([`NextEditFormat::detect`]).
//! Everything that comes from files is encoded as text. A format that marks places with text of its own refuses a
//! document that contains such a mark, since the model could not tell one from the other.

mod changes;
mod fitting;
mod guard;
mod lines;
mod marked;
mod merge;
mod place;
mod recent;
mod regions;
mod rejoin;
mod rewrite;
mod seed_coder;
mod sweep;
mod sweep_v2;
mod writer;

use std::ops::Range;

pub use self::changes::TextEdit;
pub use self::place::{Edited, NoPrompt};
pub use self::recent::RecentEdit;

use self::changes::changes;
use self::fitting::fitting;
use self::lines::Lines;
use self::place::{Place, Window};
use self::regions::{around_cursor, grown};
use self::writer::Writer;
use crate::{ContextFile, TokenId, Tokenizer, Trimmed};

/// How a model that predicts edits is prompted, and how it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextEditFormat {
    /// Sweep's next-edit models of 0.5B to 7B, made from Qwen2.5-Coder.
    Sweep,
    /// The second version of the largest of them, which continues the lines from the cursor's on.
    SweepV2,
    /// Zed's Zeta 2, made from Seed-Coder: the lines to rewrite stand between merge markers.
    Zeta2,
    /// Zeta 2.1: numbered markers divide these lines, and the answer rewrites what is between two of them.
    Zeta21,
}

/// A prompt for the next edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextEditPrompt {
    pub tokens: Vec<TokenId>,
    /// What was left out because of the limit.
    pub trimmed: Trimmed,
    /// The number of tokens of the lines that the answer rewrites.
    pub n_window_tokens: usize,
    pub window: EditWindow,
}

/// The lines that an answer rewrites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditWindow {
    format: NextEditFormat,
    window: Window,
}

/// What an answer changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredictedEdits {
    /// In ascending order, without overlap, at least one. The ranges are byte offsets in the window.
    pub edits: Vec<TextEdit>,
    /// Where the first change begins in the answer, as a byte offset.
    pub begins_at: usize,
}

const ALL: [NextEditFormat; 4] =
    [NextEditFormat::Sweep, NextEditFormat::SweepV2, NextEditFormat::Zeta2, NextEditFormat::Zeta21];

impl NextEditFormat {
    /// The name by which a person chooses the format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sweep => "sweep",
            Self::SweepV2 => "sweep-v2",
            Self::Zeta2 => "zeta-2",
            Self::Zeta21 => "zeta-2.1",
        }
    }

    /// The format with this name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|it| it.name() == name)
    }

    /// The format of the model with this name, if its vocabulary has the format's tokens.
    pub fn detect(model: &str, tokenizer: &Tokenizer) -> Option<Self> {
        let name: String = model.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let format = if name.contains("sweepnexteditv2") {
            Self::SweepV2
        } else if name.contains("sweepnextedit") {
            Self::Sweep
        } else if name.contains("zeta21") {
            Self::Zeta21
        } else if name.contains("zeta2") {
            Self::Zeta2
        } else {
            return None;
        };
        format.fits(tokenizer).then_some(format)
    }

    /// Whether the vocabulary has the format's tokens.
    pub fn fits(self, tokenizer: &Tokenizer) -> bool {
        let needs: &[&str] = match self {
            Self::Sweep | Self::SweepV2 => &sweep::NEEDS,
            Self::Zeta2 | Self::Zeta21 => &seed_coder::NEEDS,
        };
        needs.iter().all(|it| tokenizer.control_token(it).is_some())
    }

    /// The tokens that end an answer, in addition to [`Tokenizer::end_tokens`].
    pub fn stop_tokens(self, tokenizer: &Tokenizer) -> Vec<TokenId> {
        let names: &[&str] = match self {
            Self::Sweep | Self::SweepV2 => &sweep::STOP,
            Self::Zeta2 | Self::Zeta21 => &seed_coder::STOP,
        };
        names.iter().filter_map(|it| tokenizer.control_token(it)).collect()
    }

    /// The strings that end an answer and are not part of it.
    pub fn stop_strings(self) -> &'static [&'static str] {
        match self {
            Self::Zeta2 => &[merge::UPDATED],
            Self::Sweep | Self::SweepV2 | Self::Zeta21 => &[],
        }
    }

    /// The prompt, of at most `limit` tokens. What does not fit is left out: first the context files from the first on,
    /// then the edits from the oldest on, then the lines farthest from the cursor.
    pub fn prompt(
        self,
        tokenizer: &Tokenizer,
        edited: &Edited<'_>,
        limit: usize,
    ) -> Result<NextEditPrompt, NoPrompt> {
        let lines = Lines::of(edited.text);
        let at = lines.line_of(edited.cursor);
        let mut size = 1;
        loop {
            let rows = match self {
                Self::Sweep | Self::SweepV2 => sweep::window(&lines, at, size),
                Self::Zeta2 | Self::Zeta21 => around_cursor(&lines, at, seed_coder::WINDOW_BYTES / size),
            };
            let around = match self {
                Self::Sweep => rows.clone(),
                Self::SweepV2 => sweep_v2::visible(&lines, at, size),
                Self::Zeta2 | Self::Zeta21 => grown(&lines, rows.clone(), seed_coder::AROUND_BYTES / size),
            };
            match self.prompt_of(rows.clone(), around, &lines, tokenizer, edited, limit) {
                Err(NoPrompt::TooLong { .. }) if rows.len() > 1 => size *= 2,
                prompt => return prompt,
            }
        }
    }

    /// The prompt whose answer rewrites the lines `rows` of the visible ones.
    fn prompt_of(
        self,
        rows: Range<usize>,
        visible: Range<usize>,
        lines: &Lines<'_>,
        tokenizer: &Tokenizer,
        edited: &Edited<'_>,
        limit: usize,
    ) -> Result<NextEditPrompt, NoPrompt> {
        let range = lines.bytes(rows.clone());
        let around = lines.bytes(visible);
        if self.has_mark(&edited.text[around.clone()]) {
            return Err(NoPrompt::HasMark);
        }
        let window = Window {
            text: edited.text[range.clone()].to_owned(),
            n_kept: match self {
                Self::SweepV2 => lines.bytes(lines.line_of(edited.cursor)..rows.end).start - range.start,
                Self::Sweep | Self::Zeta2 | Self::Zeta21 => 0,
            },
            before: recent::before_latest(edited.edits, lines, rows.clone(), edited.cursor),
            range,
        };
        let place = Place { window: &window, rows, around, edited };
        let write = |context: &[ContextFile<'_>], edits: &[RecentEdit<'_>]| {
            let mut writer = Writer::new(tokenizer);
            match self {
                Self::Sweep => sweep::write(&mut writer, &place, context, edits),
                Self::SweepV2 => sweep_v2::write(&mut writer, &place, context, edits),
                Self::Zeta2 => seed_coder::write(&mut writer, &place, context, edits, merge::write),
                Self::Zeta21 => seed_coder::write(&mut writer, &place, context, edits, marked::write),
            }
            writer.into_tokens()
        };
        let (max_tokens, max_edits) = match self {
            Self::Sweep | Self::SweepV2 => (sweep::MAX_PROMPT_TOKENS, sweep::MAX_EDITS),
            Self::Zeta2 | Self::Zeta21 => (seed_coder::MAX_PROMPT_TOKENS, seed_coder::MAX_EDITS),
        };
        let (tokens, trimmed) = fitting(tokenizer, edited, limit.min(max_tokens), max_edits, write)?;
        let n_window_tokens = tokenizer.encode_later(&window.text).len();
        let window = EditWindow { format: self, window };
        Ok(NextEditPrompt { tokens, trimmed, n_window_tokens, window })
    }

    /// Whether the text has something that the format uses as a mark.
    fn has_mark(self, text: &str) -> bool {
        match self {
            // All of its marks are control tokens, which no text becomes.
            Self::Sweep => false,
            Self::SweepV2 => text.contains(sweep_v2::CURSOR),
            Self::Zeta2 => text.contains(seed_coder::CURSOR) || merge::has_mark(text),
            Self::Zeta21 => text.contains(seed_coder::CURSOR) || text.contains(marked::MARK),
        }
    }
}

impl EditWindow {
    /// Where they are in the document, in bytes, without the end of the last line.
    pub fn range(&self) -> Range<usize> {
        self.window.range.clone()
    }

    /// What the answer, in LF, changes; `None` if it changes nothing or cannot be used. `is_complete` says whether the
    /// model ended it; one that was cut off is used only if it has come back to unchanged lines before.
    pub fn read(&self, answer: &str, is_complete: bool) -> Option<PredictedEdits> {
        let Window { text, n_kept, before, .. } = &self.window;
        let rewrite = match self.format {
            NextEditFormat::Sweep => sweep::read(answer, text, is_complete),
            NextEditFormat::SweepV2 => sweep_v2::read(answer, text, *n_kept, is_complete),
            NextEditFormat::Zeta2 => merge::read(answer, text, is_complete),
            NextEditFormat::Zeta21 => marked::read(answer, text),
        }?;
        if !guard::is_plausible(&rewrite, text, before.as_deref()) {
            return None;
        }
        let changes = changes(text, &rewrite.text);
        let begins_at = rewrite.in_answer(changes.first()?.new_start);
        Some(PredictedEdits { edits: changes.into_iter().map(|it| it.edit).collect(), begins_at })
    }
}

#[cfg(test)]
mod tests;
