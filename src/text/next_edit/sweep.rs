//! The format of Sweep's next-edit models: files, recent changes, and the window before the latest change and now, each
//! after `<|file_sep|>`. The answer is the window as it will be.
//!
//! Source: the code published with the models (`run_model.py` beside sweepai/sweep-next-edit-1.5B) and the article that
//! introduced them. There the prompt ends with the path of the updated window, so the answer begins with the end of that
//! line: with one more line end in the prompt, blank lines at the beginning would be divided into other tokens than in
//! training.

use std::ops::Range;

use super::lines::Lines;
use super::place::Place;
use super::recent::RecentEdit;
use super::rejoin::rejoined;
use super::rewrite::Rewrite;
use super::writer::Writer;
use crate::ContextFile;

pub(super) const FILE_SEP: &str = "<|file_sep|>";

pub(super) const NEEDS: [&str; 1] = [FILE_SEP];
pub(super) const STOP: [&str; 9] = [
    FILE_SEP,
    "<|endoftext|>",
    "<|repo_name|>",
    "<|fim_prefix|>",
    "<|fim_suffix|>",
    "<|fim_middle|>",
    "<|fim_pad|>",
    "<|im_start|>",
    "<|im_end|>",
];

/// The models were trained on prompts of up to this size.
pub(super) const MAX_PROMPT_TOKENS: usize = 8192;
/// As many recent changes as in the training data.
pub(super) const MAX_EDITS: usize = 3;
/// The window has this number of lines above the cursor's, and as many below.
pub(super) const LINES_AROUND: usize = 10;

/// The lines of the window; with a greater `size`, fewer of them.
pub(super) fn window(lines: &Lines<'_>, at: usize, size: usize) -> Range<usize> {
    let n_around = LINES_AROUND / size;
    at.saturating_sub(n_around)..(at + n_around + 1).min(lines.n_lines())
}

pub(super) fn write(
    to: &mut Writer<'_>,
    place: &Place<'_>,
    context: &[ContextFile<'_>],
    edits: &[RecentEdit<'_>],
) {
    let path = place.path();
    for file in context {
        block(to, &[file.path, "\n", file.text, "\n"]);
    }
    for edit in edits {
        let (original, updated) = (joined(edit.original), joined(edit.updated));
        let path = edit.path.unwrap_or(path);
        block(to, &[path, ".diff\noriginal:\n", &original, "\nupdated:\n", &updated, "\n"]);
    }
    let now = &place.window.text;
    block(to, &["original/", path, "\n", place.window.before.as_ref().unwrap_or(now), "\n"]);
    block(to, &["current/", path, "\n", now, "\n"]);
    block(to, &["updated/", path]);
}

fn block(to: &mut Writer<'_>, texts: &[&str]) {
    to.mark(FILE_SEP);
    for text in texts {
        to.text(text);
    }
}

/// The lines of a text, without the end of the last one.
pub(super) fn joined(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join("\n")
}

/// The rewritten window of an answer.
pub(super) fn read(answer: &str, window: &str, is_complete: bool) -> Option<Rewrite> {
    // An answer that continues the path's line instead is of another format.
    let body = answer.strip_prefix('\n')?;
    let mut rewrite = Rewrite::default();
    rewrite.push(body, answer.len() - body.len());
    if !is_complete {
        return rejoined(rewrite, window);
    }
    rewrite.end_like(window);
    Some(rewrite)
}
