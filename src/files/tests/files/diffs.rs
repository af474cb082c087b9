//! Diffs, checked by git itself.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use runabout_files::unified_diff;

/// Applies a diff with git in a fresh directory that has `old` at `path`, and returns what is there then.
fn applied(path: &str, old: Option<&str>, diff: &str) -> Result<String, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    if let Some(old) = old {
        fs::write(&file, old).unwrap();
    }
    // Outside a repository, so that no configuration of this one counts.
    let mut git = Command::new("git")
        .args(["-c", "core.autocrlf=false", "apply", "--whitespace=nowarn", "-"])
        .current_dir(directory.path())
        .env("GIT_CEILING_DIRECTORIES", directory.path().parent().unwrap())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("git is installed");
    git.stdin.take().unwrap().write_all(diff.as_bytes()).unwrap();
    let output = git.wait_with_output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(fs::read_to_string(file).unwrap())
}

#[test]
fn git_takes_the_diffs_of_special_cases() {
    for (path, old, new) in [
        ("a.txt", Some("a\nb\n"), "a\nc\n"),
        ("a.txt", Some("a\nb"), "a\nc"),
        ("a.txt", Some("a\r\nb\r\n"), "a\r\nc\r\n"),
        ("a.txt", Some("a\nb\n"), "a\nb"),
        ("a.txt", Some("a\rb\n"), "a\rc\n"),
        ("a.txt", Some(""), "x\n"),
        ("a.txt", Some("x\n"), ""),
        ("a.txt", None, "x\n"),
        ("a.txt", None, "x"),
        ("a.txt", None, ""),
        ("with space/and ü.txt", Some("a\n"), "b\n"),
        ("quote\".txt", Some("a\n"), "b\n"),
        ("back\\slash\t.txt", None, "b\n"),
        ("a.txt", Some("-- a\n++ b\n"), "--- a\n+++ b\n"),
        ("a.txt", Some("\u{2028}\u{85}\u{c}\n"), "\u{2028}\u{85}\u{b}\n"),
    ] {
        let diff = unified_diff(path, old, new);
        assert_eq!(applied(path, old, &diff).as_deref(), Ok(new), "{path} {old:?} {new:?}\n{diff}");
    }
}

#[test]
fn no_change_is_no_diff() {
    assert_eq!(unified_diff("a.txt", Some("a\n"), "a\n"), "");
}

/// A text of a few different lines, so that two have much in common.
fn text() -> impl Strategy<Value = String> {
    let line = select(vec![
        "a",
        "b",
        "",
        " ",
        "-",
        "+x",
        "@@ -1 +1 @@",
        "\\ No newline at end of file",
        "c\r",
        "d\re",
    ]);
    (vec(line, 0..24), any::<bool>()).prop_map(|(lines, ends)| {
        let text = lines.join("\n");
        if ends && !text.is_empty() { text + "\n" } else { text }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn git_takes_every_diff_and_makes_the_new_text_of_it((old, new, is_new) in (text(), text(), any::<bool>())) {
        let old = (!is_new).then_some(old.as_str());
        prop_assume!(old != Some(new.as_str()));
        let diff = unified_diff("dir/file.txt", old, &new);
        prop_assert_eq!(applied("dir/file.txt", old, &diff), Ok(new), "{}", diff);
    }
}
