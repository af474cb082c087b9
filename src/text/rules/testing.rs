//! How the rules' tables are checked.

use super::Rules;
use super::rule::{Cursor, Goal, Rule};

/// All that is given out for the pieces, and the rule that ended it.
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

/// The text that becomes of a longer one, and the rule that ends it.
pub(super) fn check(path: &str, prefix: &str, suffix: &str, drawn: &str, text: &str, rule: Option<Rule>) {
    let cursor = Cursor { prefix, suffix, language: None, path: Some(path) };
    let expected = (text.to_owned(), rule);
    assert_eq!(run(&cursor, Goal::Auto, &[], &[drawn]), expected, "at {prefix:?}|{suffix:?}");
}

/// The text that becomes of one that no rule ends before its end.
pub(super) fn check_whole(path: &str, prefix: &str, suffix: &str, drawn: &str, text: &str) {
    check(path, prefix, suffix, drawn, text, None);
}
