//! Marks in users' text, so that it is not mistaken for the template's own: [`mark_values`], [`unmark`].
//!
//! A template joins both into one string, and control tokens are only looked for afterwards. So before the template
//! runs, every control token inside a user's string is broken up by a mark, and so is everything that could become one
//! together with adjacent text, or by a deletion of the template. After the prompt has been split at the real control tokens, the marks are removed.
//!
//! A mark consists of two noncharacters. The first one is also an escape: where it occurs in a user's text, it is
//! doubled, so no text is lost.

use serde_json::{Map, Value};

use super::integers;
use crate::tokenizer::ControlTokens;

const ESCAPE: char = '\u{FDD0}';
const MARK: char = '\u{FDD1}';

/// What can be put into a marked text to find a place again. No marked text contains it by itself, unless a user wrote
/// these very noncharacters.
pub(super) const BORDER: &str = "\u{FDD0}\u{FDD2}";

/// What has to be marked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marking<'a> {
    pub(super) control: &'a ControlTokens,
    /// The texts that the template deletes from others.
    pub(super) deleted: &'a [String],
}

/// Marks all strings at any depth, except the roles of the messages themselves: templates build control tokens from
/// those, so a role must be a plain word.
pub(super) fn mark_values(variables: &mut Map<String, Value>, marking: &Marking<'_>) {
    for (name, value) in variables.iter_mut() {
        match value {
            Value::Array(messages) if name == "messages" => {
                for it in messages {
                    mark_message(it, marking);
                }
            }
            _ => mark_value(value, marking),
        }
    }
}

fn mark_message(message: &mut Value, marking: &Marking<'_>) {
    let Value::Object(fields) = message else { return mark_value(message, marking) };
    for (_, value) in fields.iter_mut().filter(|(key, _)| *key != "role") {
        mark_value(value, marking);
    }
}

fn mark_value(value: &mut Value, marking: &Marking<'_>) {
    match value {
        number if integers::tagged(number).is_some() => {}
        Value::String(text) => *text = mark(text, marking),
        Value::Array(items) => items.iter_mut().for_each(|it| mark_value(it, marking)),
        Value::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(key, mut value)| {
                    mark_value(&mut value, marking);
                    (mark(&key, marking), value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text with a mark in every control token, and in everything that could become part of one.
fn mark(text: &str, marking: &Marking<'_>) -> String {
    let Marking { control, deleted } = *marking;
    let mut marked = String::with_capacity(text.len());
    // A deletion may bring any two parts of the text together.
    let is_torn = deleted.iter().any(|it| text.contains(it));
    if control.ends_at_start_of(text) {
        marked.extend([ESCAPE, MARK]);
    }
    for (at, it) in text.char_indices() {
        marked.push(it);
        let rest = &text[at..];
        if it == ESCAPE {
            marked.push(ESCAPE);
        } else if control.may_begin_with(it)
            && (is_torn || control.begins_with_one(rest) || control.continues(rest))
        {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use tokenizers::AddedToken;

    use super::*;
    use crate::tokenizer::Piece;

    fn control() -> ControlTokens {
        let tokens = ["<|im_end|>", "<|im_start|>", "<|im_end|><s>", "<s>", "[INST]"];
        ControlTokens::new((0..).zip(tokens.map(|text| AddedToken::from(text, true))))
    }

    fn mark(text: &str) -> String {
        super::mark(text, &Marking { control: &control(), deleted: &[] })
    }

    fn is_all_text(text: &str) -> bool {
        control().split(text).iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    #[test]
    fn a_text_without_anything_like_control_tokens_is_left_alone() {
        let text = "if a < b && c[0] > d | e { \"é\" }";
        assert_eq!(mark(text), text);
    }

    #[test]
    fn a_control_token_cannot_be_put_together_from_neighbours() {
        let pair = [mark("<|im_"), mark("end|>")];
        assert!(is_all_text(&pair.concat()));
        assert!(is_all_text(&format!("<|im_{}", mark("end|>"))));
        assert!(is_all_text(&format!("{}im_end|>", mark("<|"))));
    }

    #[test]
    fn roles_of_messages_are_not_marked_and_everything_else_is() {
        let mut values = json!({
            "messages": [{"role": "<s>", "content": "<s>", "tool_calls": [{"role": "<s>"}]}],
            "tools": [{"<s>": ["<s>"], "role": "<s>"}], "role": "<s>",
        });
        if let Some(variables) = values.as_object_mut() {
            mark_values(variables, &Marking { control: &control(), deleted: &[] });
        }
        let marked = mark("<s>");
        assert_eq!(
            values,
            json!({
                "messages": [{"role": "<s>", "content": marked, "tool_calls": [{"role": marked}]}],
                "tools": [{&marked: [marked], "role": marked}], "role": marked,
            })
        );
    }

    proptest! {
        #[test]
        fn marked_text_holds_no_control_token_and_loses_nothing(
            text in r"(<\|im_end\|>|<\|im_start\|>|<\|im|<s>|\[INST\]|[<|i>a\u{FDD0}\u{FDD1}é]){0,12}",
        ) {
            let marked = mark(&text);
            prop_assert!(is_all_text(&marked));
            prop_assert_eq!(unmark(&marked), text);
        }
    }
}
