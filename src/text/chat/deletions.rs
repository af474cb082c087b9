//! The texts that a template deletes from others: [`deleted_texts`].
//!
//! What was around a deleted text comes together, so [`super::marking`] has to know. Only literal texts are found, which is
//! how public templates do it, such as SmolLM3's `replace("/no_think", "")`.

use std::sync::LazyLock;

use regex::Regex;

/// A call of Python's or Jinja's `replace` with a literal text that is replaced by nothing.
static DELETION: LazyLock<Regex> = LazyLock::new(|| {
    let call = r#"\breplace\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*,\s*(?:''|"")"#;
    Regex::new(call).expect("the pattern is valid")
});

/// The literal texts that the template with this source replaces by nothing.
pub(super) fn deleted_texts(source: &str) -> Vec<String> {
    let literals = DELETION.captures_iter(source).filter_map(|it| it.get(1).or_else(|| it.get(2)));
    literals.map(|it| unescaped(it.as_str())).filter(|it| !it.is_empty()).collect()
}

/// What a string literal stands for, as far as deletions need it.
fn unescaped(literal: &str) -> String {
    let mut text = String::new();
    let mut chars = literal.chars();
    while let Some(next) = chars.next() {
        text.extend(if next == '\\' { chars.next().map(escaped) } else { Some(next) });
    }
    text
}

/// The character that a backslash and `letter` stand for.
fn escaped(letter: char) -> char {
    match letter {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_texts_that_are_replaced_by_nothing_are_found_in_both_forms() {
        let source = r#"{{ a.replace("/no_think", "").replace('/think','') }}{{ b | replace( '\n' , "") }}"#;
        assert_eq!(deleted_texts(source), ["/no_think", "/think", "\n"]);
        let others = r#"{{ a.replace("x", "y") }}{{ a.replace(b, '') }}{{ replaced('x', '') }}"#;
        assert_eq!(deleted_texts(others), [""; 0]);
    }
}
