//! A document that is open in an editor: its text, and its outline, which follows its edits.

use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use tree_sitter::{InputEdit, ParseOptions, Parser, Point, Tree};

use crate::language::Language;
use crate::outline::Outline;

/// Longer files are data or generated. They are not parsed, and their text is not kept.
pub(crate) const MAX_PARSED_BYTES: usize = 1 << 20;
/// A grammar can take very long for text that is no code. Such a file counts as one without definitions.
const MAX_PARSE_TIME: Duration = Duration::from_millis(300);

/// The syntax tree of a text; `None` if it takes too long.
pub(crate) fn parse(parser: &mut Parser, language: Language, text: &str, old: Option<&Tree>) -> Option<Tree> {
    if text.len() > MAX_PARSED_BYTES {
        return None;
    }
    // Fails only for a grammar of another version of the library.
    parser.set_language(&language.grammar()).ok()?;
    let start = Instant::now();
    let mut in_time = |_: &tree_sitter::ParseState| {
        if start.elapsed() < MAX_PARSE_TIME { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let options = ParseOptions::new().progress_callback(&mut in_time);
    let tree = parser.parse_with_options(
        &mut |at, _| text.as_bytes().get(at..).unwrap_or_default(),
        old,
        Some(options),
    );
    if tree.is_none() {
        // A parser that was stopped would go on with the stopped text.
        parser.reset();
    }
    tree
}

/// An open document.
pub(crate) struct Document {
    pub(crate) language: Option<Language>,
    text: String,
    tree: Option<Tree>,
    outline: Outline,
    is_parsed: bool,
    /// Whether the grammar took too long. It is not tried again with every keystroke.
    is_given_up: bool,
    /// Whether the text is not kept.
    pub(crate) is_too_long: bool,
    /// Counts the edits.
    pub(crate) version: u64,
    /// Where the cursor or the last edit was.
    pub(crate) last_at: Option<usize>,
}

impl Document {
    pub(crate) fn new(language: Option<Language>, text: String) -> Self {
        let mut document = Self {
            language,
            text,
            tree: None,
            outline: Outline::default(),
            is_parsed: false,
            is_given_up: false,
            is_too_long: false,
            version: 0,
            last_at: None,
        };
        document.limit();
        document
    }

    /// Forgets a text that is too long.
    fn limit(&mut self) {
        if self.text.len() > MAX_PARSED_BYTES {
            self.is_too_long = true;
            self.text = String::new();
            self.tree = None;
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Replaces a range of bytes. Returns false, and changes nothing, if the range is not one of the text.
    pub(crate) fn edit(&mut self, range: Range<usize>, new: &str) -> bool {
        if self.is_too_long {
            return true;
        }
        if self.text.get(range.clone()).is_none() {
            return false;
        }
        let new_end = range.start + new.len();
        let before =
            self.tree.as_ref().map(|_| (point(&self.text, range.start), point(&self.text, range.end)));
        self.text.replace_range(range.clone(), new);
        if let (Some(tree), Some((start_position, old_end_position))) = (&mut self.tree, before) {
            tree.edit(&InputEdit {
                start_byte: range.start,
                old_end_byte: range.end,
                new_end_byte: new_end,
                start_position,
                old_end_position,
                new_end_position: point(&self.text, new_end),
            });
        }
        self.is_parsed = false;
        self.version += 1;
        self.last_at = Some(new_end);
        self.limit();
        true
    }

    /// Brings the outline up to date.
    pub(crate) fn parse(&mut self, parser: &mut Parser) {
        if self.is_parsed {
            return;
        }
        self.is_parsed = true;
        let language = self.language.filter(|_| !self.is_given_up);
        self.tree = language.and_then(|it| parse(parser, it, &self.text, self.tree.as_ref()));
        self.is_given_up |= self.tree.is_none() && self.text.len() <= MAX_PARSED_BYTES;
        self.outline = match (&self.tree, self.language) {
            (Some(tree), Some(language)) => Outline::of(tree, &self.text, language),
            _ => Outline::default(),
        };
    }

    /// The outline as of the last [`Self::parse`].
    pub(crate) fn outline(&self) -> &Outline {
        &self.outline
    }
}

fn point(text: &str, at: usize) -> Point {
    let before = &text.as_bytes()[..at];
    let row = memchr::memchr_iter(b'\n', before).count();
    let column = at - memchr::memrchr(b'\n', before).map_or(0, |it| it + 1);
    Point { row, column }
}

/// Where a range of bytes is after an edit; `None` if the edit touched it.
pub(crate) fn moved(range: &Range<usize>, edited: &Range<usize>, n_new: usize) -> Option<Range<usize>> {
    if edited.start >= range.end {
        Some(range.clone())
    } else if edited.end <= range.start {
        let shift = |at: usize| at - edited.len() + n_new;
        Some(shift(range.start)..shift(range.end))
    } else {
        None
    }
}
