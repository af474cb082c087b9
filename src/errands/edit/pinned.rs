//! A form for code of which only a few lines may change: all others are those of the original, in their order.
//!
//! Small models often get a change right and lose a comment, a blank line or a function on the way. This form takes
//! that from them, and the lines that are certain cost no time of theirs. [`format`] allows a few hunks, each of which
//! replaces, removes or adds a few lines; it begins where a line differs, so that the grammar always knows where it is.

use std::fmt::Write as _;

use runabout_assist::Format;
use serde_json::Value;

/// The most places that may change.
const MAX_HUNKS: usize = 3;
/// The most lines that a hunk replaces.
const MAX_REPLACED: usize = 8;
/// The most lines that a hunk brings.
const MAX_NEW: usize = 16;
/// Longer code is not written in this form: the grammar would be too large.
const MAX_LINES: usize = 120;

/// What may change besides code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// Comments and docstrings.
    pub(crate) comments: bool,
    /// The lines before a definition's body.
    pub(crate) head: bool,
}

/// One code block with `code` and few changes; `None` if it is too long. The first `n_head` lines are a definition's
/// head.
pub(crate) fn format(code: &str, tag: &str, n_head: usize, allowed: Allowed) -> Option<Format> {
    // Models rarely keep white space at the end of a line; what is lost is restored later.
    let lines: Vec<&str> = code.lines().map(str::trim_end).collect();
    let n = lines.len();
    if n > MAX_LINES || lines.iter().any(|it| it.contains('`') || it.contains('\r')) {
        return None;
    }
    let is_pinned = pinned(&lines, n_head, allowed);
    let quoted = |text: String| Value::from(text).to_string();
    let mut grammar =
        format!("start: {} k{MAX_HUNKS}_0 \"```\"\nLINE: /[^`\\n]*\\n/\n", quoted(format!("```{tag}\n")));
    // Writing to a string cannot fail.
    for (i, line) in lines.iter().enumerate() {
        let _ = writeln!(grammar, "L{i}: {}", quoted(format!("{line}\n")));
    }
    // Where a hunk that begins at a line may go on, which depends on the lines that must stay.
    let ends: Vec<usize> = (0..=n)
        .map(|i| {
            let most = (i + MAX_REPLACED).min(n);
            (i..most).find(|at| is_pinned[*at]).unwrap_or(most)
        })
        .collect();
    for (i, end) in ends.iter().enumerate() {
        let known: Vec<String> = (i..=*end).filter(|it| *it < n).map(|it| format!("L{it}")).collect();
        let but = if known.is_empty() { String::new() } else { format!(" & ~({})", known.join(" | ")) };
        let _ = writeln!(grammar, "N{i}: LINE{but}");
    }
    for hunks in 0..=MAX_HUNKS {
        for (i, end) in ends.iter().enumerate() {
            let keep = |at: usize, hunks: usize| {
                if at < n { format!("L{at} k{hunks}_{}", at + 1) } else { "\"\"".to_owned() }
            };
            let mut ways = vec![keep(i, hunks)];
            if hunks > 0 {
                let left = hunks - 1;
                // Nothing but a removal.
                ways.extend((i + 1..=*end).filter(|it| *it < n).map(|it| keep(it, left)));
                let behind: Vec<String> = (i..=*end).map(|it| keep(it, left)).collect();
                let _ = writeln!(grammar, "h{hunks}_{i}: N{i}{{1,{MAX_NEW}}} ({})", behind.join(" | "));
                ways.push(format!("h{hunks}_{i}"));
            }
            let _ = writeln!(grammar, "k{hunks}_{i}: {}", ways.join(" | "));
        }
    }
    Some(Format::Lark(grammar))
}

/// Which lines stay as they are.
fn pinned(lines: &[&str], n_head: usize, allowed: Allowed) -> Vec<bool> {
    let mut quotes: Option<&str> = None;
    let of_line = |(i, line): (usize, &&str)| {
        let bare = line.trim();
        let is_head = i < n_head && !allowed.head;
        let mut is_words =
            ["#", "//", "/*", "* ", "*/"].iter().any(|it| bare.starts_with(it)) || quotes.is_some();
        // Strings over several lines that begin a line are docstrings.
        let mut rest = bare;
        while let Some((at, mark)) = next_quotes(rest, quotes) {
            // A letter such as `r` may stand before them.
            let begins = bare.starts_with(mark) || bare.get(1..).is_some_and(|it| it.starts_with(mark));
            is_words |= quotes.is_some() || begins;
            quotes = if quotes.is_some() { None } else { Some(mark) };
            rest = &rest[at + 3..];
        }
        is_head || (is_words && !allowed.comments)
    };
    lines.iter().enumerate().map(of_line).collect()
}

/// Where the next triple quotes are: those that close the open ones, or any.
fn next_quotes(text: &str, open: Option<&'static str>) -> Option<(usize, &'static str)> {
    let marks: &[&'static str] = &["\"\"\"", "'''"];
    let found = marks.iter().filter(|it| open.is_none_or(|open| open == **it));
    found.filter_map(|it| text.find(*it).map(|at| (at, *it))).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_comments_and_docstrings_stay() {
        let lines = [
            "def f(a):",
            "    \"\"\"One.",
            "    Two.\"\"\"",
            "    # why",
            "    x = '''a",
            "b'''",
            "    return x",
        ];
        assert_eq!(pinned(&lines, 1, Allowed::default()), [true, true, true, true, false, true, false]);
        let accented = ["\u{e9} = \"\"\"a", "b\"\"\"", "r\"\"\"c\"\"\""];
        assert_eq!(pinned(&accented, 0, Allowed::default()), [false, true, true]);
        let all = Allowed { comments: true, head: true };
        assert!(!pinned(&lines, 1, all).contains(&true));
    }

    #[test]
    fn code_with_fences_or_without_end_has_no_such_form() {
        assert!(format("a = '```'\n", "python", 0, Allowed::default()).is_none());
        assert!(format(&"x\n".repeat(500), "python", 0, Allowed::default()).is_none());
    }
}
