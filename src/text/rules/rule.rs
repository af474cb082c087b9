//! The rules and what they look at: [`Rule`], [`Goal`] and [`Cursor`].

/// What may end a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// The line is complete.
    Line,
    /// The statement is complete: its line ends, and every bracket that the completion opened is closed.
    Statement,
    /// The block is complete: its closing line ends, or an empty line comes before one that is not indented deeper than
    /// the block's first line.
    Block,
    /// A line is indented less than the block that the cursor is in.
    Indentation,
    /// A bracket closes what the suffix closes already, or what is not open; or the rest of the cursor's line closes
    /// what the completion does not open.
    Bracket,
    /// The completion begins to repeat the suffix, exactly or with small differences in spaces and punctuation.
    Suffix,
    /// The completion repeats itself, or the lines before it.
    Repetition,
    /// Several newlines follow one another, with nothing but whitespace between them.
    Blank,
}

impl Rule {
    pub const ALL: [Self; 8] = [
        Self::Line,
        Self::Statement,
        Self::Block,
        Self::Indentation,
        Self::Bracket,
        Self::Suffix,
        Self::Repetition,
        Self::Blank,
    ];

    /// The name of the rule in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Statement => "statement",
            Self::Block => "block",
            Self::Indentation => "indentation",
            Self::Bracket => "bracket",
            Self::Suffix => "suffix",
            Self::Repetition => "repetition",
            Self::Blank => "blank",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// How far a completion should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// As far as the place of the cursor suggests.
    Auto,
    Line,
    Block,
}

/// The place of a completion. The line endings of all texts are LF.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    pub prefix: &'a str,
    pub suffix: &'a str,
    /// The name of the language as the client gives it; upper and lower case are the same.
    pub language: Option<&'a str>,
    pub path: Option<&'a str>,
}

/// How many bytes before the cursor, and how many after it, the rules look at. This is more than fits into a prompt.
pub(super) const MAX_BYTES: usize = 256 << 10;

impl Cursor<'_> {
    /// The same place, with only the [`MAX_BYTES`] next to the cursor on either side. The prefix is cut at the
    /// beginning of a line, if a whole line is left.
    pub(super) fn near(&self) -> Self {
        let far = self.prefix.ceil_char_boundary(self.prefix.len().saturating_sub(MAX_BYTES));
        let near = &self.prefix[far..];
        let n_cut = if far == 0 { 0 } else { near.find('\n').map_or(0, |at| at + 1) };
        let n_suffix = self.suffix.floor_char_boundary(self.suffix.len().min(MAX_BYTES));
        Self { prefix: &near[n_cut..], suffix: &self.suffix[..n_suffix], ..*self }
    }
}
