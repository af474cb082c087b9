//! JSON Schemas, patterns and grammars that a text is held to.

use std::sync::LazyLock;

use runabout_text::{Constraint, Format, Tokenizer};

use crate::mutate::{joined, parts};
use crate::sample;

/// The most tokens that are drawn.
const N_TOKENS: usize = 40;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| sample::tokenizer("{{ messages }}"));

pub(crate) fn run(data: &[u8]) {
    let [choices, format] = parts::<2>(data);
    let Ok(text) = std::str::from_utf8(format) else { return };
    let text = text.to_owned();
    let format = match choices.first().map_or(0, |it| it % 3) {
        0 => Format::JsonSchema(text),
        1 => Format::Regex(text),
        _ => Format::Lark(text),
    };
    let Ok(mut constraint) = Constraint::new(&TOKENIZER, &format, "") else { return };
    let end = TOKENIZER.end_tokens().to_vec();
    let mut choices = choices.iter().map(|it| usize::from(*it)).cycle();
    for _ in 0..N_TOKENS {
        let Ok(allowed) = constraint.allowed(&[], &end) else { return };
        let Some(set) = allowed.sets.into_iter().next() else { return };
        let n = choices.next().unwrap_or_default();
        let tokens: Vec<u32> = set.iter().collect();
        assert!(!tokens.is_empty() || constraint.is_complete(), "a text that is not whole can go on");
        let Some(token) = tokens.get(n % tokens.len().max(1)) else { return };
        if end.contains(token) || constraint.push(*token).is_err() || constraint.is_complete() {
            return;
        }
        for token in constraint.forced() {
            let _ = token;
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let schema = r##"{"type":"object","properties":{"a":{"type":"array","items":{"type":"integer","minimum":0,"maximum":9},
        "maxItems":3},"b":{"enum":["x","y"]},"c":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/d"}]}},"required":["a","b"],
        "additionalProperties":false,"$defs":{"d":{"type":"string","pattern":"^[a-c]{1,3}$"}}}"##;
    let lark = "start: item (\",\" item)*\nitem: /[a-z]+/ | \"(\" start \")\"\n";
    [(0_u8, schema), (0, r#"{"const":[1,{"a":null}]}"#), (1, r"(ab|c\d{2,4})+[^x]?"), (2, lark)]
        .map(|(kind, text)| joined(&[&[kind, 3, 5], text.as_bytes()]))
        .into()
}
