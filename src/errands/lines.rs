//! Lines of a text before and after a change: [`restored`] keeps untouched lines untouched to the byte.

use similar::{Algorithm, DiffOp, capture_diff_slices};

/// The changed text, in which each line that differs from a line of the original only in its end (line end and white
/// space before it) is that line again, and new lines end as the original's do. Models write `\n`, and rarely keep white
/// space at the end of a line. Where only empty lines were added or removed, there is no change. The last line ends as
/// the original's last one does.
pub(crate) fn restored(original: &str, changed: &str) -> String {
    let old: Vec<&str> = original.split_inclusive('\n').collect();
    let new: Vec<&str> = changed.split_inclusive('\n').collect();
    let line_end = line_end(original);
    let is_blank = |lines: &[&str]| lines.iter().all(|it| it.trim().is_empty());
    let mut text = String::with_capacity(changed.len());
    for op in capture_diff_slices(Algorithm::Myers, &keys(&old), &keys(&new)) {
        match op {
            DiffOp::Equal { old_index, len, .. } => {
                for line in &old[old_index..old_index + len] {
                    text.push_str(line);
                    if !line.ends_with('\n') {
                        text.push_str(line_end);
                    }
                }
            }
            DiffOp::Insert { new_index, new_len, .. } if is_blank(&new[new_index..new_index + new_len]) => {}
            DiffOp::Insert { new_index, new_len, .. } | DiffOp::Replace { new_index, new_len, .. } => {
                for line in &new[new_index..new_index + new_len] {
                    text.push_str(line.trim_end_matches(['\r', '\n']));
                    text.push_str(line_end);
                }
            }
            DiffOp::Delete { old_index, old_len, .. } => {
                let removed = &old[old_index..old_index + old_len];
                if is_blank(removed) {
                    text.push_str(&removed.concat());
                }
            }
        }
    }
    if !original.is_empty() && !original.ends_with('\n') {
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
    }
    text
}

/// The line end that most lines of a text have.
pub(crate) fn line_end(text: &str) -> &'static str {
    let n_lines = text.matches('\n').count();
    if text.matches("\r\n").count() * 2 > n_lines { "\r\n" } else { "\n" }
}

/// The text as models see it, with `\n` only.
pub(crate) fn in_lf(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// Lines as they are compared.
fn keys(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|it| it.trim_end().to_owned()).collect()
}

/// The white space that all lines of a text begin with, empty lines aside.
pub(crate) fn indentation(text: &str) -> &str {
    let mut indentations = text.lines().filter(|it| !it.trim().is_empty()).map(|it| {
        let n_blank = it.len() - it.trim_start().len();
        &it[..n_blank]
    });
    let Some(first) = indentations.next() else { return "" };
    indentations.fold(first, |common, it| {
        let n_same = common.bytes().zip(it.bytes()).take_while(|(one, other)| one == other).count();
        &common[..n_same]
    })
}

/// The text without the white space that all its lines begin with.
pub(crate) fn dedented(text: &str) -> String {
    let n_common = indentation(text).len();
    let lines = text
        .split_inclusive('\n')
        .map(|it| it.get(n_common..).filter(|_| !it.trim().is_empty()).unwrap_or("\n"));
    let text_ends = text.ends_with('\n');
    let joined: String = lines.collect();
    if text_ends { joined } else { joined.trim_end_matches('\n').to_owned() }
}

/// The text with `indentation` before each line that is not empty.
pub(crate) fn indented(text: &str, indentation: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines.map(|it| if it.trim().is_empty() { it.to_owned() } else { format!("{indentation}{it}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untouched_lines_keep_their_ends() {
        assert_eq!(restored("a\r\nb  \r\nc\r\n", "a\nb\nx\nc"), "a\r\nb  \r\nx\r\nc\r\n");
        assert_eq!(restored("a\nb\r\nc\n", "a\nb\nd\n"), "a\nb\r\nd\n");
    }

    #[test]
    fn empty_lines_alone_are_no_change() {
        assert_eq!(restored("a\n\n\nb\n", "a\n\nb\n"), "a\n\n\nb\n");
        assert_eq!(restored("a\nb\n", "a\n\nb\n\n"), "a\nb\n");
        assert_eq!(restored("a\nb\n", "a\n\nx\nb\n"), "a\n\nx\nb\n");
    }

    #[test]
    fn the_last_line_ends_as_before() {
        assert_eq!(restored("a\nb", "a\nc\n"), "a\nc");
        assert_eq!(restored("a\nb\n", "a\nc"), "a\nc\n");
        assert_eq!(restored("a", "a\nb\n"), "a\nb");
        assert_eq!(restored("", "a"), "a\n");
    }

    #[test]
    fn indentation_is_taken_away_and_put_back() {
        let text = "    def a():\n\n        pass\n";
        assert_eq!(dedented(text), "def a():\n\n    pass\n");
        assert_eq!(indented(&dedented(text), "    "), text);
        assert_eq!(dedented("\ta\n\tb"), "a\nb");
    }
}
