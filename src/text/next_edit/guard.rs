//! Refuses rewritten lines that are no plausible edit: [`is_plausible`].

use std::collections::HashMap;

use super::rewrite::Rewrite;

/// Windows with fewer lines that are not blank may be rewritten as a whole.
const MIN_LINES: usize = 3;
/// Of larger ones, at least one line in this number must stay. An edit changes some lines; an answer that keeps almost
/// none has lost the thread.
const MIN_KEPT_SHARE: usize = 3;

/// Whether the rewritten window is an edit of `window`. One that undoes the latest change, to `before`, is not: people
/// see it as an attack on what they just wrote.
pub(super) fn is_plausible(rewrite: &Rewrite, window: &str, before: Option<&str>) -> bool {
    let undoes = before.is_some_and(|it| it.trim_end() == rewrite.text.trim_end());
    !undoes && keeps_enough(&rewrite.text, window)
}

fn keeps_enough(rewritten: &str, window: &str) -> bool {
    let mut written: HashMap<&str, usize> = HashMap::new();
    for line in inked(rewritten) {
        *written.entry(line).or_default() += 1;
    }
    let n_lines = inked(window).count();
    let is_kept = |line: &&str| {
        let n_left = written.get_mut(*line).filter(|it| **it > 0);
        n_left.map(|it| *it -= 1).is_some()
    };
    let n_kept = inked(window).filter(is_kept).count();
    let is_erased = n_lines > 0 && inked(rewritten).next().is_none();
    !is_erased && (n_lines < MIN_LINES || n_kept * MIN_KEPT_SHARE >= n_lines)
}

/// The lines that are not blank, without the white space around them, so that a block may be indented.
fn inked(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|it| !it.is_empty())
}
