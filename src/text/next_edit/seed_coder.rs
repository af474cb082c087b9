//! What the formats of Zeta 2 and 2.1 have in common: Seed-Coder's order, with the text after the window first, then
//! other files, the recent changes as a diff, and the document up to the end of the window.
//!
//! Source: the crate `zeta_prompt` of zed-industries/zed, its formats `V0211SeedCoder` and `V0318SeedMultiRegions`. The
//! cards of the models show the same, except that the one of Zeta 2.1 has line ends after the markers, which the crate
//! has not.

use std::fmt::Write as _;

use super::place::Place;
use super::recent::RecentEdit;
use super::writer::Writer;
use crate::ContextFile;

const FIM_SUFFIX: &str = "<[fim-suffix]>";
const FIM_PREFIX: &str = "<[fim-prefix]>";
const FIM_MIDDLE: &str = "<[fim-middle]>";
const FILE: &str = "<filename>";
pub(super) const CURSOR: &str = "<|user_cursor|>";

pub(super) const NEEDS: [&str; 3] = [FIM_SUFFIX, FIM_PREFIX, FIM_MIDDLE];
pub(super) const STOP: [&str; 7] =
    ["<[end▁of▁sentence]>", "<[PAD▁TOKEN]>", "<[SEP▁TOKEN]>", FIM_SUFFIX, FIM_PREFIX, FIM_MIDDLE, FILE];

/// The size of the prompts in training.
pub(super) const MAX_PROMPT_TOKENS: usize = 4096;
/// As many recent changes as in training.
pub(super) const MAX_EDITS: usize = 6;
/// The sizes in training, 350 and 150 tokens at three bytes each: of the window, and of the text around it.
pub(super) const WINDOW_BYTES: usize = 3 * 350;
pub(super) const AROUND_BYTES: usize = 3 * 150;

/// Writes the prompt, in which `write_window` writes the window.
pub(super) fn write(
    to: &mut Writer<'_>,
    place: &Place<'_>,
    context: &[ContextFile<'_>],
    edits: &[RecentEdit<'_>],
    write_window: fn(&mut Writer<'_>, &str, usize),
) {
    to.mark(FIM_SUFFIX);
    to.text(place.below());
    to.end_line();
    to.mark(FIM_PREFIX);
    for file in context {
        begin_file(to, file.path);
        to.text(file.text);
        to.end_line();
    }
    if !context.is_empty() {
        to.text("\n");
    }
    if !edits.is_empty() {
        begin_file(to, "edit_history");
        for edit in edits {
            to.text(&diff(edit, place.path()));
        }
        to.text("\n");
    }
    begin_file(to, place.path());
    to.text(place.above());
    write_window(to, &place.window.text, place.cursor());
    to.mark(FIM_MIDDLE);
}

fn begin_file(to: &mut Writer<'_>, path: &str) {
    to.mark(FILE);
    to.text(path);
    to.text("\n");
}

/// The edit as a unified diff.
fn diff(edit: &RecentEdit<'_>, own_path: &str) -> String {
    let path = edit.path.unwrap_or(own_path).trim_start_matches('/');
    let mut diff = format!("--- a/{path}\n+++ b/{path}\n");
    if let Some(line) = edit.line {
        let span = |text: &str| match text.lines().count() {
            // As in any diff, no lines are those after the line before them.
            0 => format!("{line},0"),
            1 => (line + 1).to_string(),
            n => format!("{},{n}", line + 1),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(diff, "@@ -{} +{} @@", span(edit.original), span(edit.updated));
    }
    for (sign, text) in [('-', edit.original), ('+', edit.updated)] {
        for line in text.lines() {
            diff.push(sign);
            diff.push_str(line);
            diff.push('\n');
        }
    }
    diff
}
