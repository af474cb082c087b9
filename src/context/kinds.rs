//! What kinds of context there are: [`Kinds`].

/// What kinds of context are chosen; a benchmark turns them on one by one.
///
/// Definitions of the names of the cursor's line alone, added as soon as the line is typed that far, were tried and left
/// out. They showed fewer of the names that come next than the same bytes for the function around the cursor did, and
/// all of the prompt behind them had to be computed again while the person typed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each kind is switched on its own")]
pub struct Kinds {
    /// Definitions of imported files that the file uses.
    pub imported: bool,
    /// Definitions that the function at the cursor uses, and the file's import statements.
    pub around: bool,
    /// The function that is most like the code at the cursor.
    pub similar: bool,
    /// Places of recent edits.
    pub edits: bool,
    /// The text around the cursor in other open files.
    pub views: bool,
}

impl Kinds {
    pub const NONE: Self =
        Self { imported: false, around: false, similar: false, edits: false, views: false };
}

impl Default for Kinds {
    fn default() -> Self {
        Self { imported: true, around: true, similar: true, edits: true, views: true }
    }
}
