//! Marks in the text of users, so that it cannot be taken for the template's own.
//!
//! A template mixes both into one string, and only then are control tokens looked for. So before it runs, every
//! control token inside a user's string gets a mark in it, which breaks it up, and so does everything that could become one together
//! with its neighbours. After the prompt was cut at the real control tokens, the marks are taken out again.
//!
//! A mark is two noncharacters. The first one is also an escape: where a user's text has it, it is doubled, so no
//! text is lost.

use serde_json::{Map, Value};

use crate::tokenizer::ControlTokens;

const ESCAPE: char = '\u{FDD0}';
const MARK: char = '\u{FDD1}';

/// Marks all strings, however deep, but those of `role`: templates build control tokens out of roles, which is
/// why a role must be a plain word.
pub(super) fn mark_values(variables: &mut Map<String, Value>, control: &ControlTokens) {
    for (_, value) in variables.iter_mut() {
        mark_value(value, control);
    }
}

fn mark_value(value: &mut Value, control: &ControlTokens) {
    match value {
        Value::String(text) => *text = mark(text, control),
        Value::Array(items) => items.iter_mut().for_each(|it| mark_value(it, control)),
        Value::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(key, mut value)| {
                    if !(key == "role" && value.is_string()) {
                        mark_value(&mut value, control);
                    }
                    (mark(&key, control), value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn mark(text: &str, control: &ControlTokens) -> String {
    let mut marked = String::with_capacity(text.len());
    if control.ends_at_start_of(text) {
        marked.extend([ESCAPE, MARK]);
    }
    for (at, it) in text.char_indices() {
        marked.push(it);
        let rest = &text[at..];
        if it == ESCAPE {
            marked.push(ESCAPE);
        } else if control.may_begin_with(it) && (control.begins_with_one(rest) || control.continues(rest)) {
            marked.extend([ESCAPE, MARK]);
        }
    }
    marked
}

/// The text as it was before [`mark`].
pub(super) fn unmark(text: &str) -> String {
    let mut unmarked = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(it) = chars.next() {
        if it != ESCAPE {
            unmarked.push(it);
        } else if let Some(escaped) = chars.next().filter(|&it| it != MARK) {
            unmarked.push(escaped);
        }
    }
    unmarked
}
