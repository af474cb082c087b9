//! What a model's tokenizer and chat template make possible, read without making a tokenizer: [`Abilities`].

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use tokenizers::AddedToken;

use crate::TextError;
use crate::fim::family_of;
use crate::tokenizer::{TokenizerParts, is_control};

/// What a model can be asked for. Making a tokenizer takes up to a second, and a list has many models, so this looks only
/// at the names of added tokens and at whether there is a chat template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// The name of the fill-in-the-middle format that [`crate::FimFormat::detect`] will find.
    pub fim: Option<&'static str>,
    /// Whether there is a chat template; it may turn out that it cannot be used.
    pub chat: bool,
}

/// The part of tokenizer.json that counts here.
#[derive(Deserialize)]
struct Vocabulary {
    #[serde(default)]
    added_tokens: Vec<Added>,
}

#[derive(Deserialize)]
struct Added {
    content: String,
    #[serde(default)]
    special: bool,
}

impl Abilities {
    pub fn read(folder: &Path) -> Result<Self, TextError> {
        let parts = TokenizerParts::read(folder)?;
        let in_config = parts.tokenizer_config.as_ref().and_then(|it| it.get("chat_template"));
        let template = parts.chat_template.as_ref().or(in_config);
        let chat = template.is_some_and(|it| matches!(it, Value::String(_) | Value::Array(_)));
        // A tokenizer that cannot be read is reported when it is needed.
        let vocabulary: Vocabulary =
            serde_json::from_slice(&parts.tokenizer_json).unwrap_or(Vocabulary { added_tokens: Vec::new() });
        let added = vocabulary.added_tokens;
        let is_there = |name: &str| added.iter().any(|it| it.content == name);
        let is_control_token = |name: &str| {
            let token = added.iter().find(|it| it.content == name);
            token.is_some_and(|it| is_control(&AddedToken::from(&*it.content, it.special)))
        };
        Ok(Self { fim: family_of(is_control_token, is_there).map(|it| it.name), chat })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn abilities_are_read_from_the_names_of_added_tokens_and_from_any_place_of_a_template() {
        let read = |names: &[&str], file: &str, content: &Value| {
            let folder = tempfile::tempdir().unwrap();
            let added: Vec<_> = names.iter().map(|it| json!({ "content": it, "special": false })).collect();
            let tokenizer = json!({ "added_tokens": added, "model": {} });
            std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
            std::fs::write(folder.path().join(file), content.to_string()).unwrap();
            Abilities::read(folder.path()).unwrap()
        };
        let qwen = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_sep|>", "<|repo_name|>"];
        let found = read(&qwen, "tokenizer_config.json", &json!({ "chat_template": "{{ messages }}" }));
        assert_eq!(found, Abilities { fim: Some("qwen"), chat: true });
        let found = read(&qwen[1..], "tokenizer_config.json", &json!({ "chat_template": null }));
        assert_eq!(found, Abilities { fim: None, chat: false });
        assert!(read(&[], "chat_template.json", &json!({ "chat_template": "x" })).chat);
        assert!(read(&[], "chat_template.jinja", &json!("x")).chat);
    }
}
