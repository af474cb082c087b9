//! Checks for the tables in the tests of the rules.

use super::Rules;
use super::rule::{Cursor, Goal, Rule};

/// What the rules pass on of the generated pieces, and the rule that ended the completion.
pub(super) fn run(cursor: &Cursor<'_>, goal: Goal, off: &[Rule], pieces: &[&str]) -> (String, Option<Rule>) {
    let mut rules = Rules::new(cursor, goal, off);
    let (mut text, mut stopped) = (String::new(), None);
    for piece in pieces {
        let output = rules.push(piece);
        text.push_str(&output.emit);
        stopped = stopped.or(output.stopped);
    }
    text.push_str(&rules.flush());
    (text, stopped)
}

/// Checks what is left of the generated text, and which rule ended it.
pub(super) fn check(path: &str, prefix: &str, suffix: &str, drawn: &str, text: &str, rule: Option<Rule>) {
    let cursor = Cursor { prefix, suffix, language: None, path: Some(path) };
    let expected = (text.to_owned(), rule);
    assert_eq!(run(&cursor, Goal::Auto, &[], &[drawn]), expected, "at {prefix:?}|{suffix:?}");
}

/// Checks what is left of the generated text if no rule ends it early.
pub(super) fn check_whole(path: &str, prefix: &str, suffix: &str, drawn: &str, text: &str) {
    check(path, prefix, suffix, drawn, text, None);
}
