//! What differs between two texts, as edits: [`changes`].

use std::ops::Range;

use similar::{Algorithm, DiffTag, capture_diff_slices};

/// A piece of text that is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextEdit {
    /// What is replaced; empty for an insertion.
    pub range: Range<usize>,
    /// What takes its place; empty for a removal.
    pub text: String,
}

/// An edit, and where its text begins in the new text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) edit: TextEdit,
    pub(super) new_start: usize,
}

/// The edits that turn `old` into `new`: one for each group of lines that differ, without the characters that both have
/// at the beginning and at the end of the group.
pub(super) fn changes(old: &str, new: &str) -> Vec<Change> {
    let (old_lines, new_lines) = (lines(old), lines(new));
    let (old_starts, new_starts) = (starts(&old_lines), starts(&new_lines));
    capture_diff_slices(Algorithm::Myers, &old_lines, &new_lines)
        .into_iter()
        .filter(|it| it.tag() != DiffTag::Equal)
        .map(|it| {
            let bytes = |starts: &[usize], rows: Range<usize>| starts[rows.start]..starts[rows.end];
            trimmed(old, bytes(&old_starts, it.old_range()), new, bytes(&new_starts, it.new_range()))
        })
        .collect()
}

/// The lines of a text, each with its end.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Where each line begins, and where the last one ends.
fn starts(lines: &[&str]) -> Vec<usize> {
    let ends = lines.iter().scan(0, |end, line| {
        *end += line.len();
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

fn trimmed(old: &str, old_range: Range<usize>, new: &str, new_range: Range<usize>) -> Change {
    let (before, after) = (&old[old_range.clone()], &new[new_range.clone()]);
    let n_same = common(before.chars(), after.chars());
    let (before, after) = (&before[n_same..], &after[n_same..]);
    let n_same_at_end = common(before.chars().rev(), after.chars().rev());
    let start = old_range.start + n_same;
    let edit = TextEdit {
        range: start..old_range.end - n_same_at_end,
        text: after[..after.len() - n_same_at_end].to_owned(),
    };
    Change { edit, new_start: new_range.start + n_same }
}

/// The number of bytes of the characters that both begin with.
fn common(a: impl Iterator<Item = char>, b: impl Iterator<Item = char>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).map(|(it, _)| it.len_utf8()).sum()
}
