//! Reads a unified diff, file by file, with the line numbers that a reviewer names: [`files_of`].

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::fault::Fault;

/// The changes of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileDiff {
    /// The new path; the old one of a deleted file.
    pub(crate) path: String,
    /// The hunks, each line with its number in the new file.
    pub(crate) shown: String,
    /// The numbers of the lines in the hunks.
    pub(crate) lines: BTreeSet<u32>,
}

/// The files of a diff that have hunks.
pub(crate) fn files_of(diff: &str) -> Result<Vec<FileDiff>, Fault> {
    let mut files: Vec<FileDiff> = Vec::new();
    let mut old_path = String::new();
    // The lines of the hunk that are still to come, old and new, and the number of the next new one.
    let (mut n_old, mut n_new, mut next) = (0_u32, 0_u32, 0_u32);
    for (idx, line) in diff.lines().enumerate() {
        let invalid = |message: &str| Fault::InvalidDiff { message: format!("line {}: {message}", idx + 1) };
        if n_old > 0 || n_new > 0 {
            let Some(file) = files.last_mut() else { return Err(invalid("a hunk without a file")) };
            // Editors cut the space of an empty line.
            let mark = line.chars().next().unwrap_or(' ');
            if !"+- \\".contains(mark) {
                return Err(invalid("the hunk is shorter than its header says"));
            }
            let text = line.get(1..).unwrap_or_default();
            let number = if mark == '+' || mark == ' ' { next.to_string() } else { String::new() };
            if mark != '\\' {
                let _ = writeln!(file.shown, "{number:>5} {mark} {text}");
            }
            if mark == '+' || mark == ' ' {
                file.lines.insert(next);
                next += 1;
                n_new = n_new.saturating_sub(1);
            }
            if mark == '-' || mark == ' ' {
                n_old = n_old.saturating_sub(1);
            }
        } else if let Some(path) = line.strip_prefix("--- ") {
            path_of(path).clone_into(&mut old_path);
        } else if let Some(path) = line.strip_prefix("+++ ") {
            let path = path_of(path);
            let path = if path == "/dev/null" { old_path.clone() } else { path.to_owned() };
            files.push(FileDiff { path, ..FileDiff::default() });
        } else if line.starts_with("@@ ") {
            let header = hunk(line).ok_or_else(|| invalid("no valid hunk header"))?;
            ((n_old, n_new), next) = header;
            let Some(file) = files.last_mut() else { return Err(invalid("a hunk without a file")) };
            let _ = writeln!(file.shown, "{line}");
        }
    }
    if n_old > 0 || n_new > 0 {
        return Err(Fault::InvalidDiff {
            message: "the last hunk is shorter than its header says".to_owned(),
        });
    }
    files.retain(|it| !it.lines.is_empty() || !it.shown.is_empty());
    if files.is_empty() {
        Err(Fault::InvalidDiff { message: "it has no hunks".to_owned() })
    } else {
        Ok(files)
    }
}

/// The path in a header, without the `a/` or `b/` of git and without a time.
fn path_of(header: &str) -> &str {
    let path = header.split('\t').next().unwrap_or_default().trim().trim_matches('"');
    path.strip_prefix("a/").or_else(|| path.strip_prefix("b/")).unwrap_or(path)
}

/// The numbers of old and new lines in a hunk, and the first new one: `@@ -1,2 +3,4 @@`.
fn hunk(line: &str) -> Option<((u32, u32), u32)> {
    let mut parts = line.strip_prefix("@@ -")?.split(' ');
    let range = |text: &str| {
        let (start, n) = text.split_once(',').unwrap_or((text, "1"));
        Some((start.parse::<u32>().ok()?, n.parse::<u32>().ok()?))
    };
    let (_, n_old) = range(parts.next()?)?;
    let (start, n_new) = range(parts.next()?.strip_prefix('+')?)?;
    Some(((n_old, n_new), start))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const DIFF: &str = "\
diff --git a/m.py b/m.py
--- a/m.py
+++ b/m.py
@@ -9,3 +9,3 @@ def a():
 x = 1
--- y
+++ y
 z
diff --git a/old.py b/old.py
--- a/old.py
+++ /dev/null
@@ -1 +0,0 @@
-gone
";

    #[test]
    fn each_file_has_its_lines_with_their_new_numbers() {
        let files = files_of(DIFF).unwrap();
        assert_eq!(files.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(), ["m.py", "old.py"]);
        assert_eq!(files[0].lines, BTreeSet::from([9, 10, 11]));
        // A removed line that begins with `--` is no header.
        assert!(files[0].shown.contains("      - -- y\n   10 + ++ y\n"), "{}", files[0].shown);
    }

    #[test]
    fn what_is_no_diff_is_refused() {
        for text in ["", "hello", "--- a\n+++ b\n@@ -1 +1 @@\n-x\n", "--- a\n+++ b\n@@ what @@\n"] {
            assert!(matches!(files_of(text), Err(Fault::InvalidDiff { .. })), "{text:?}");
        }
    }
}
