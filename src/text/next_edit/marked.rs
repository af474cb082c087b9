//! The window of Zeta 2.1: numbered markers divide it into blocks of lines. The answer repeats two of the markers with
//! the new text between them; the same marker twice changes nothing.

use super::rewrite::Rewrite;
use super::seed_coder::CURSOR;
use super::writer::Writer;

/// The beginning of a marker; its number and [`END`] follow.
pub(super) const MARK: &str = "<|marker_";
const END: &str = "|>";

/// A block begins after a blank line if it then has at least this number of lines,
const MIN_LINES: usize = 6;
/// and otherwise after this number.
const MAX_LINES: usize = 16;
/// Its beginning moves down by fewer lines than this to a line that begins something.
const MAX_MOVE: usize = 5;

pub(super) fn write(to: &mut Writer<'_>, window: &str, cursor: usize) {
    let offsets = block_offsets(window);
    let mut is_written = false;
    for (idx, &start) in offsets.iter().enumerate() {
        to.mark(&marker(idx + 1));
        let Some(&end) = offsets.get(idx + 1) else { break };
        if !is_written && cursor <= end {
            is_written = true;
            to.text(&window[start..cursor]);
            to.mark(CURSOR);
            to.text(&window[cursor..end]);
        } else {
            to.text(&window[start..end]);
        }
    }
    to.end_line();
}

fn marker(number: usize) -> String {
    format!("{MARK}{number}{END}")
}

/// Where the markers stand: at the beginning of each block, and at the end of the last one.
fn block_offsets(window: &str) -> Vec<usize> {
    let lines: Vec<&str> = window.split_inclusive('\n').collect();
    let starts: Vec<usize> = lines
        .iter()
        .scan(0, |at, line| {
            *at += line.len();
            Some(*at - line.len())
        })
        .collect();
    let is_blank = |row: usize| lines[row].trim().is_empty();
    let nearest_beginning = |row: usize| {
        let near = row..lines.len().min(row + MAX_MOVE);
        near.into_iter().find(|it| begins_something(lines[*it].trim())).unwrap_or(row)
    };
    let mut offsets = vec![0];
    let (mut first, mut row) = (0, 0);
    while row < lines.len() {
        let n_lines = row - first;
        let follows_blank = n_lines >= MIN_LINES && !is_blank(row) && is_blank(row - 1);
        let target = (follows_blank || n_lines >= MAX_LINES).then(|| nearest_beginning(row));
        // A block that ends the window is not made too short for the sake of a blank line.
        let target = target.filter(|it| n_lines >= MAX_LINES || lines.len() - it >= MIN_LINES);
        if let Some(target) = target {
            offsets.push(starts[target]);
            (first, row) = (target, target);
        }
        row += 1;
    }
    offsets.push(window.len());
    offsets
}

/// Whether a block may begin with this line: not with the end of another one.
fn begins_something(line: &str) -> bool {
    let ends_block = line.starts_with(['}', ']', ')'])
        || ["break", "continue", "return", "throw", "end"].contains(&line.trim_end_matches(';'));
    !line.is_empty() && !ends_block
}

/// The rewritten window of an answer. One that was cut off has rewritten what is before its last marker.
pub(super) fn read(answer: &str, window: &str) -> Option<Rewrite> {
    let markers = markers(answer);
    let (first, last) = (markers.first()?, markers.last()?);
    let offsets = block_offsets(window);
    let offset = |number: usize| offsets.get(number.checked_sub(1)?).copied();
    let (start, end) = (offset(first.number)?, offset(last.number)?);
    if start >= end {
        return None;
    }
    let (old, body) = (&window[start..end], &answer[first.end..last.start]);
    // Some answers have the markers on lines of their own.
    let has_own_line = body.starts_with('\n') && !old.starts_with('\n');
    let mut rewrite = Rewrite::default();
    rewrite.push_kept(&window[..start]);
    let mut from = first.end + usize::from(has_own_line);
    for marker in &markers[1..] {
        rewrite.push_without(CURSOR, &answer[from.min(marker.start)..marker.start], from);
        from = marker.end;
    }
    let is_empty = rewrite.text.len() == start;
    if old.ends_with('\n') && !rewrite.text.ends_with('\n') && !is_empty {
        rewrite.push_kept("\n");
    } else if end == window.len() {
        rewrite.end_like(window);
    }
    rewrite.push_kept(&window[end..]);
    Some(rewrite)
}

/// A marker in an answer.
struct Marker {
    number: usize,
    start: usize,
    end: usize,
}

fn markers(answer: &str) -> Vec<Marker> {
    let found = answer.match_indices(MARK).filter_map(|(start, _)| {
        let digits = &answer[start + MARK.len()..];
        let digits = &digits[..digits.find(END)?];
        let end = start + MARK.len() + digits.len() + END.len();
        Some(Marker { number: digits.parse().ok()?, start, end })
    });
    found.collect()
}
