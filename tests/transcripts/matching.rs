//! Patterns for messages: JSON, with a few special words for what differs from run to run.
//!
//! - `"$any"`, `"$string"`, `"$number"`, `"$object"`, `"$array"`: any value, or any of that type.
//! - `{"$one_of": [..]}`: one of these.
//! - `"..."` as a member of an object, or as the last entry of an array: there may be more.
//!
//! Everything else must be equal.

use serde_json::{Map, Value};

const ANY: &str = "$any";
const ONE_OF: &str = "$one_of";
const MORE: &str = "...";

/// Compares `got` with the pattern `expected`. The error has the path of the first difference.
pub(super) fn matches(expected: &Value, got: &Value) -> Result<(), String> {
    matches_at("message", expected, got)
}

fn matches_at(path: &str, expected: &Value, got: &Value) -> Result<(), String> {
    let differs = || Err(format!("`{path}` must be {expected}, got {got}"));
    match (expected, got) {
        (Value::String(word), _) if word.starts_with('$') => match is_of_kind(word, got) {
            Some(true) => Ok(()),
            Some(false) => differs(),
            None => Err(format!("the pattern of `{path}` must be a known word, got `{word}`")),
        },
        (Value::Object(expected), _) if expected.contains_key(ONE_OF) => {
            let choices = expected[ONE_OF].as_array().map(Vec::as_slice).unwrap_or_default();
            if choices.iter().any(|it| matches_at(path, it, got).is_ok()) { Ok(()) } else { differs() }
        }
        (Value::Object(expected), Value::Object(got)) => members_match(path, expected, got),
        (Value::Array(expected), Value::Array(got)) => entries_match(path, expected, got),
        _ if expected == got => Ok(()),
        _ => differs(),
    }
}

/// `None` if the word is unknown.
fn is_of_kind(word: &str, got: &Value) -> Option<bool> {
    Some(match word {
        ANY => true,
        "$string" => got.is_string(),
        "$number" => got.is_number(),
        "$object" => got.is_object(),
        "$array" => got.is_array(),
        _ => return None,
    })
}

fn members_match(path: &str, expected: &Map<String, Value>, got: &Map<String, Value>) -> Result<(), String> {
    for (name, expected) in expected.iter().filter(|(name, _)| *name != MORE) {
        let got = got.get(name).ok_or_else(|| format!("`{path}` must have `{name}`, got none"))?;
        matches_at(&format!("{path}.{name}"), expected, got)?;
    }
    match got.keys().find(|name| !expected.contains_key(*name)) {
        Some(name) if !expected.contains_key(MORE) => {
            Err(format!("`{path}` must not have `{name}`, got {}", got[name]))
        }
        _ => Ok(()),
    }
}

fn entries_match(path: &str, expected: &[Value], got: &[Value]) -> Result<(), String> {
    let (expected, is_open) = match expected.split_last() {
        Some((last, rest)) if last == MORE => (rest, true),
        _ => (expected, false),
    };
    if got.len() < expected.len() || (got.len() > expected.len() && !is_open) {
        return Err(format!("`{path}` must have {} entries, got {}", expected.len(), got.len()));
    }
    expected
        .iter()
        .zip(got)
        .enumerate()
        .try_for_each(|(i, (expected, got))| matches_at(&format!("{path}[{i}]"), expected, got))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pattern_accepts_what_it_describes_and_nothing_else() {
        let table = [
            (json!(1), json!(1), json!(2)),
            (json!("a"), json!("a"), json!("b")),
            (json!(null), json!(null), json!(false)),
            (json!("$string"), json!(""), json!(1)),
            (json!("$number"), json!(1.5), json!("1.5")),
            (json!("$object"), json!({"a": 1}), json!([])),
            (json!("$array"), json!([1]), json!({})),
            (json!({"$one_of": ["a", "$number"]}), json!(3), json!("b")),
            (json!({"a": 1}), json!({"a": 1}), json!({"a": 1, "b": 2})),
            (json!({"a": "$any"}), json!({"a": null}), json!({})),
            (json!({"a": 1, "...": "..."}), json!({"a": 1, "b": 2}), json!({"b": 2})),
            (json!([1, "$number"]), json!([1, 2]), json!([1, 2, 3])),
            (json!([1, "..."]), json!([1, 2, 3]), json!([])),
            (json!([]), json!([]), json!([1])),
            (json!({"a": [{"b": "$string"}]}), json!({"a": [{"b": "x"}]}), json!({"a": [{"b": 1}]})),
        ];
        for (pattern, right, wrong) in table {
            assert_eq!(matches(&pattern, &right), Ok(()), "{pattern}");
            assert!(matches(&pattern, &wrong).is_err(), "{pattern} must not accept {wrong}");
        }
    }

    #[test]
    fn a_difference_is_named_by_its_path() {
        let message = matches(&json!({"a": [{"b": 1}]}), &json!({"a": [{"b": 2}]}));
        assert_eq!(message, Err("`message.a[0].b` must be 1, got 2".to_owned()));
    }

    #[test]
    fn an_unknown_word_is_an_error_and_accepts_nothing() {
        assert!(matches(&json!("$strnig"), &json!("$strnig")).is_err());
    }
}
