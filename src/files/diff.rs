//! Shows a change as a unified diff that `git apply` takes: [`unified_diff`].

use std::fmt::Write;

use diffy::DiffOptions;

/// The unified diff of one file, with three lines of context; empty if nothing changed. `relative` is the path from the
/// directory in which the diff is applied. With `old` being `None` the file is new.
pub fn unified_diff(relative: &str, old: Option<&str>, new: &str) -> String {
    if old == Some(new) {
        return String::new();
    }
    let (before, after) = (quoted("a/", relative), quoted("b/", relative));
    // With git's own header, an empty file is not taken for a missing one.
    let mut text = format!("diff --git {before} {after}\n");
    if old.is_none() {
        text.push_str("new file mode 100644\n");
    }
    if new.is_empty() && old.is_none() {
        return text;
    }
    let _ = write!(text, "--- {}\n+++ {after}\n", if old.is_none() { "/dev/null" } else { before.as_str() });
    let patch = DiffOptions::new()
        .set_original_filename("a")
        .set_modified_filename("b")
        .create_patch(old.unwrap_or_default(), new)
        .to_string();
    // What is left after diffy's own two lines of header are the hunks.
    text.push_str(patch.splitn(3, '\n').nth(2).unwrap_or_default());
    text
}

/// A path as git writes it: in quotes with escapes if it has characters that would end it.
fn quoted(prefix: &str, path: &str) -> String {
    if !path.contains(|it: char| it.is_control() || it == '"' || it == '\\') {
        return format!("{prefix}{path}");
    }
    let mut text = format!("\"{prefix}");
    for byte in path.bytes() {
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(byte.into());
            }
            0x20..=0x7e => text.push(byte.into()),
            _ => {
                let _ = write!(text, "\\{byte:03o}");
            }
        }
    }
    text.push('"');
    text
}
