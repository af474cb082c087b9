//! What a prompt for the next edit is written from: the document ([`Edited`]), the lines that the answer rewrites
//! ([`Window`]), and both together ([`Place`]).

use std::ops::Range;

use super::recent::RecentEdit;
use crate::ContextFile;

/// A document that is being edited, in LF.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edited<'a> {
    pub text: &'a str,
    /// The byte offset of the cursor.
    pub cursor: usize,
    /// Its path, as the model should see it.
    pub path: Option<&'a str>,
    /// Other relevant files, the most relevant last.
    pub context: &'a [ContextFile<'a>],
    /// What was changed before, the latest change last.
    pub edits: &'a [RecentEdit<'a>],
}

/// Why there is no prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPrompt {
    /// The document contains text that the format uses as a mark.
    HasMark,
    /// Not even the cursor's line fits into the limit.
    TooLong { n_tokens: usize },
}

/// The lines that an answer rewrites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Where they are in the document, in bytes, without the end of the last line.
    pub(super) range: Range<usize>,
    /// The text there.
    pub(super) text: String,
    /// How many bytes at its beginning the prompt repeats, so that the answer continues them.
    pub(super) n_kept: usize,
    /// The same lines before the latest change, if that is known and was a change of them.
    pub(super) before: Option<String>,
}

/// What a prompt is written from.
pub(super) struct Place<'a> {
    pub(super) window: &'a Window,
    /// The window's lines.
    pub(super) rows: Range<usize>,
    /// The lines that the model sees of the document, with those of the window among them.
    pub(super) around: Range<usize>,
    pub(super) edited: &'a Edited<'a>,
}

impl Place<'_> {
    /// The path of the document.
    pub(super) fn path(&self) -> &str {
        self.edited.path.unwrap_or("untitled")
    }

    /// The visible text before the window.
    pub(super) fn above(&self) -> &str {
        &self.edited.text[self.around.start..self.window.range.start]
    }

    /// The visible text after the window. Unless the document ends there, it begins with the end of the window's last
    /// line.
    pub(super) fn below(&self) -> &str {
        &self.edited.text[self.window.range.end..self.around.end]
    }

    /// The cursor as an offset in the window.
    pub(super) fn cursor(&self) -> usize {
        self.edited.cursor.saturating_sub(self.window.range.start).min(self.window.text.len())
    }
}
