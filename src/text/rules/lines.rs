//! Splits the text around the cursor into lines, and tells what is compared of a line.

/// The width of a tab, in columns. Only lines of one file are compared, and a file rarely mixes tabs with spaces.
const TAB_COLUMNS: usize = 4;
/// Longer lines are taken for data, and are not compared with others.
pub(crate) const MAX_LINE_BYTES: usize = 4096;

/// The part of the cursor's line before the cursor.
pub(crate) fn left_of(prefix: &str) -> &str {
    prefix.rfind('\n').map_or(prefix, |at| &prefix[at + 1..])
}

/// The part of the cursor's line after the cursor, without surrounding whitespace.
pub(crate) fn right_of(suffix: &str) -> &str {
    suffix.split('\n').next().unwrap_or_default().trim()
}

/// The lines below the cursor's that are not blank, without trailing whitespace and line endings.
pub(crate) fn lines_below(suffix: &str) -> impl Iterator<Item = &str> {
    suffix.split('\n').skip(1).map(str::trim_end).filter(|it| !it.trim().is_empty())
}

/// The width of the whitespace that a line begins with, in columns.
pub(crate) fn indentation(line: &str) -> usize {
    let space = line.chars().take_while(|it| it.is_whitespace() && *it != '\n');
    space.map(|it| if it == '\t' { TAB_COLUMNS } else { 1 }).sum()
}

/// The letters, digits and `_` of a line: the part that does not depend on style.
pub(crate) fn words(line: &str) -> impl Iterator<Item = char> {
    line.chars().filter(|it| is_of_word(*it))
}

pub(crate) fn is_of_word(it: char) -> bool {
    it.is_alphanumeric() || it == '_'
}
