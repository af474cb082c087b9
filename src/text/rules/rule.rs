//! What the rules are, and where they look: [`Rule`], [`Goal`] and [`Cursor`].

/// What may end a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// The line is complete.
    Line,
    /// The statement is complete: the line's end, with every bracket closed that the text opened.
    Statement,
    /// The block is complete: its closing line, or an empty line between blocks of the outermost level.
    Block,
    /// A line is less indented than the block that the cursor is in.
    Indentation,
    /// A bracket closes what the text behind the cursor closes already, or what nobody opened; or the rest of the line
    /// closes what the text does not open.
    Bracket,
    /// The text begins to repeat what stands behind the cursor, word by word or nearly so.
    Suffix,
    /// The text repeats itself, or the lines before it.
    Repetition,
    /// There is nothing but white space.
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

    /// As clients know it.
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
    /// As far as the place suggests.
    Auto,
    Line,
    Block,
}

/// Where a completion goes; the texts are in LF.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    pub prefix: &'a str,
    pub suffix: &'a str,
    /// As the client names it.
    pub language: Option<&'a str>,
    pub path: Option<&'a str>,
}

/// How many bytes before the cursor, and as many behind it, the rules look at: more than goes into a prompt.
pub(super) const MAX_BYTES: usize = 256 << 10;

impl Cursor<'_> {
    /// The same with what is near enough for rules. What is before the cursor begins with a whole line if one fits.
    pub(super) fn near(&self) -> Self {
        let far = self.prefix.ceil_char_boundary(self.prefix.len().saturating_sub(MAX_BYTES));
        let near = &self.prefix[far..];
        let n_cut = if far == 0 { 0 } else { near.find('\n').map_or(0, |at| at + 1) };
        let n_suffix = self.suffix.floor_char_boundary(self.suffix.len().min(MAX_BYTES));
        Self { prefix: &near[n_cut..], suffix: &self.suffix[..n_suffix], ..*self }
    }
}
