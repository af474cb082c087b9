//! Lines around the cursor, and what is worth comparing of a line.

/// Columns of a tab. Only lines of one file are compared, and a file rarely mixes tabs with spaces.
const TAB_COLUMNS: usize = 4;
/// Longer lines are data, which nothing is compared with.
pub(crate) const MAX_LINE_BYTES: usize = 4096;

/// The part of the cursor's line that stands before it.
pub(crate) fn left_of(prefix: &str) -> &str {
    prefix.rfind('\n').map_or(prefix, |at| &prefix[at + 1..])
}

/// The part of the cursor's line that stands behind it, without white space around it.
pub(crate) fn right_of(suffix: &str) -> &str {
    suffix.split('\n').next().unwrap_or_default().trim()
}

/// The whole lines behind the cursor's that are not blank, without the ends of lines.
pub(crate) fn lines_below(suffix: &str) -> impl Iterator<Item = &str> {
    suffix.split('\n').skip(1).map(str::trim_end).filter(|it| !it.trim().is_empty())
}

/// Columns of the white space that a line begins with.
pub(crate) fn indentation(line: &str) -> usize {
    let space = line.chars().take_while(|it| it.is_whitespace() && *it != '\n');
    space.map(|it| if it == '\t' { TAB_COLUMNS } else { 1 }).sum()
}

/// The letters, digits and `_` of a line: what of it does not depend on taste.
pub(crate) fn words(line: &str) -> impl Iterator<Item = char> {
    line.chars().filter(|it| is_of_word(*it))
}

pub(crate) fn is_of_word(it: char) -> bool {
    it.is_alphanumeric() || it == '_'
}
