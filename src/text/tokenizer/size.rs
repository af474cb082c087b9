//! How many bytes of text a token can stand for at most.
//!
//! A text is too long if it has more bytes than the allowed number of tokens can stand for; its size alone tells,
//! without encoding it. There is only a bound if each step from text to tokens is known to have one.

use serde_json::Value;
use tokenizers::ModelWrapper;

use super::bytes::TokenBytes;
use crate::TokenId;

/// The most bytes of a text that one token can stand for. `None` if no bound is known.
pub(super) fn most_bytes_of_a_token(inner: &tokenizers::Tokenizer, bytes: &TokenBytes) -> Option<usize> {
    let ModelWrapper::BPE(model) = inner.get_model() else { return None };
    if model.unk_token.is_some() && model.fuse_unk {
        return None;
    }
    let added: Vec<_> = inner.get_added_tokens_decoder().into_values().collect();
    // Such tokens take in any amount of whitespace.
    if added.iter().any(|it| it.lstrip || it.rstrip) {
        return None;
    }
    let shrinks = |part: Option<Value>, by: fn(&Value) -> Option<usize>| part.map_or(Some(1), |it| by(&it));
    let factor =
        shrinks(serde_json::to_value(inner.get_normalizer()).ok().filter(|it| !it.is_null()), normalizer)?
            * shrinks(
                serde_json::to_value(inner.get_pre_tokenizer()).ok().filter(|it| !it.is_null()),
                splits,
            )?;
    let in_vocabulary =
        (0..bytes.n_tokens()).filter_map(|it| TokenId::try_from(it).ok()).map(|it| bytes.of(it).len());
    let longest = in_vocabulary.chain(added.iter().map(|it| it.content.len())).max()?;
    // An unknown character is a token of its own.
    Some(longest.max('\u{10FFFF}'.len_utf8()) * factor)
}

/// The factor by which a normalizer can shorten a text, in bytes, at most. `None` if no bound is known.
fn normalizer(it: &Value) -> Option<usize> {
    match it["type"].as_str()? {
        "Sequence" => it["normalizers"].as_array()?.iter().map(normalizer).product(),
        // A syllable of three letters, with three bytes each, becomes one character of three bytes.
        "NFC" => Some(3),
        "Prepend" => Some(1),
        "Replace" => {
            let replaced = it["pattern"]["String"].as_str()?;
            (replaced.len() <= it["content"].as_str()?.len()).then_some(1)
        }
        _ => None,
    }
}

/// The factor by which a pre-tokenizer can shorten a text at most. `None` if it drops what it splits at, or is not
/// known.
fn splits(it: &Value) -> Option<usize> {
    match it["type"].as_str()? {
        "Sequence" => it["pretokenizers"].as_array()?.iter().map(splits).product(),
        "ByteLevel" | "Metaspace" | "Digits" => Some(1),
        "Split" | "Punctuation" => (it["behavior"].as_str()? != "Removed").then_some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use crate::Tokenizer;
    use crate::tokenizer::byte_parts;

    fn least_tokens(text: &str, edit: impl FnOnce(&mut Value)) -> usize {
        let mut parts = byte_parts();
        let mut json: Value = serde_json::from_slice(&parts.tokenizer_json).unwrap();
        edit(&mut json);
        parts.tokenizer_json = json.to_string().into_bytes();
        Tokenizer::from_parts(&parts).unwrap().least_tokens(text)
    }

    #[test]
    fn a_text_has_at_least_as_many_tokens_as_the_longest_one_goes_into_it() {
        // `<|fim_middle|>` and `<|fim_prefix|>`.
        let longest = 14;
        let text = "x".repeat(10 * longest + 1);
        assert_eq!(least_tokens(&text, |_| {}), 11);
        assert_eq!(least_tokens("", |_| {}), 0);
        // Composing characters makes a text shorter.
        assert_eq!(least_tokens(&text, |it| it["normalizer"] = json!({"type": "NFC"})), 4);
    }

    #[test]
    fn nothing_is_said_where_a_token_may_stand_for_any_amount_of_text() {
        let strips = |it: &mut Value| it["added_tokens"][0]["rstrip"] = json!(true);
        assert_eq!(least_tokens("xxxxxxxxxxxxxxxxxxxxxxxx", strips), 0);
        let shortens = |it: &mut Value| {
            it["normalizer"] = json!({"type": "Replace", "pattern": {"Regex": " +"}, "content": " "});
        };
        assert_eq!(least_tokens("xxxxxxxxxxxxxxxxxxxxxxxx", shortens), 0);
    }
}
