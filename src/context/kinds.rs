//! What kinds of context there are.

/// What kinds of context are chosen; a benchmark turns them off one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each kind is switched on its own")]
pub struct Kinds {
    /// Definitions of imported files that the file uses.
    pub imported: bool,
    /// Definitions that the function at the cursor uses.
    pub around: bool,
    /// Definitions that the cursor's line uses, as soon as it names them.
    pub line: bool,
    /// The function that is most like the code at the cursor.
    pub similar: bool,
    /// Places of recent edits.
    pub edits: bool,
    /// The text around the cursor in other open files.
    pub views: bool,
}

impl Kinds {
    pub const NONE: Self =
        Self { imported: false, around: false, line: false, similar: false, edits: false, views: false };
}

impl Default for Kinds {
    /// Those that pay. `line` does not: when a line names something new, all of the prompt behind the excerpts is computed
    /// again just while the person types on, which on a CPU takes seconds.
    fn default() -> Self {
        Self { imported: true, around: true, line: false, similar: true, edits: true, views: true }
    }
}
