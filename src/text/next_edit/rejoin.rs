//! The use of an answer that was cut off: [`rejoined`].
//!
//! An answer repeats the lines that stay as they are. If it was cut off after a change, but has come back to lines of
//! the window, the rest of the window can be taken as unchanged. Otherwise it says nothing about the lines that it did
//! not reach, and taken as a whole it would remove them.

use super::rewrite::Rewrite;

/// After a change, this number of lines must be those of the window again. One line, such as a lone bracket, may be the
/// same by chance.
const LINES_BACK: usize = 2;

/// The whole rewritten window, from an answer that ends at any place; `None` if it has changed nothing yet, or has not
/// come back to the window.
pub(super) fn rejoined(mut rewrite: Rewrite, window: &str) -> Option<Rewrite> {
    // The last line may be incomplete.
    let end = rewrite.text.rfind('\n')?;
    rewrite.text.truncate(end);
    let written: Vec<&str> = rewrite.text.split('\n').collect();
    let lines: Vec<&str> = window.split('\n').collect();
    let n_same = written.iter().zip(&lines).take_while(|(a, b)| a == b).count();
    let n_changed = written.len().checked_sub(n_same + LINES_BACK)?;
    let back = &written[n_same + n_changed..];
    if back.iter().all(|it| it.trim().is_empty()) {
        return None;
    }
    let at = (n_same..lines.len()).find(|at| lines[*at..].starts_with(back))?;
    for line in &lines[at + LINES_BACK..] {
        rewrite.push_kept("\n");
        rewrite.push_kept(line);
    }
    Some(rewrite)
}
