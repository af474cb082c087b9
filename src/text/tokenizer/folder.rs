//! The files of a model folder that describe its tokenizer and chat template: [`TokenizerParts`].
//!
//! The layout has grown over years: a chat template can be in three places, a token's name can be a string or an
//! object, and an end token can be one number or a list.

use std::path::Path;

use serde_json::Value;

use crate::model_json::ModelJsonError;
use crate::{TextError, TokenId, model_json};

/// The fields of tokenizer_config.json and special_tokens_map.json that contain the text of a token.
pub(crate) const SPECIAL_TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The contents of the files that a tokenizer is made from. Only `tokenizer_json` is required.
#[derive(Clone, Debug, Default)]
pub struct TokenizerParts {
    /// Bytes of tokenizer.json.
    pub tokenizer_json: Vec<u8>,
    /// tokenizer_config.json.
    pub tokenizer_config: Option<Value>,
    /// special_tokens_map.json, used for tokens that tokenizer_config.json does not name.
    pub special_tokens_map: Option<Value>,
    /// chat_template.jinja, or the `chat_template` of chat_template.json. Takes precedence over the one in
    /// tokenizer_config.json.
    pub chat_template: Option<Value>,
    /// config.json.
    pub config: Option<Value>,
    /// generation_config.json.
    pub generation_config: Option<Value>,
}

impl TokenizerParts {
    pub fn read(folder: &Path) -> Result<Self, TextError> {
        let tokenizer_json = read_file(&folder.join("tokenizer.json"))?
            .ok_or_else(|| TextError::MissingTokenizer { folder: folder.to_owned() })?;
        Ok(Self {
            tokenizer_json,
            tokenizer_config: read_json(&folder.join("tokenizer_config.json"), check_tokenizer_config)?,
            special_tokens_map: read_json(&folder.join("special_tokens_map.json"), check_special_tokens)?,
            chat_template: read_chat_template(folder)?,
            config: read_json(&folder.join("config.json"), check_end_tokens)?,
            generation_config: read_json(&folder.join("generation_config.json"), check_end_tokens)?,
        })
    }

    /// The text of `bos_token`, `eos_token` and the like.
    pub(crate) fn special_token(&self, name: &str) -> Option<String> {
        let text =
            |token: &Value| token.as_str().or_else(|| token.get("content")?.as_str()).map(str::to_owned);
        let files = [&self.tokenizer_config, &self.special_tokens_map];
        files.into_iter().flatten().find_map(|file| text(file.get(name)?))
    }

    /// All values of `eos_token_id` in config.json (also in its `text_config`) and generation_config.json.
    pub(crate) fn eos_token_ids(&self) -> Vec<TokenId> {
        let configs = [self.config.as_ref(), self.generation_config.as_ref()];
        let text_config = self.config.as_ref().and_then(|it| it.get("text_config"));
        configs
            .into_iter()
            .flatten()
            .chain(text_config)
            .filter_map(|config| config.get("eos_token_id"))
            .flat_map(|ids| ids.as_array().map_or(std::slice::from_ref(ids), Vec::as_slice))
            .filter_map(|id| TokenId::try_from(id.as_u64()?).ok())
            .collect()
    }
}

/// The bytes of a file; `None` if there is no such file.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, TextError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TextError::Unreadable { path: path.to_owned(), source }),
    }
}

type Check = fn(&Value) -> Result<(), ModelJsonError>;

fn read_json(path: &Path, check: Check) -> Result<Option<Value>, TextError> {
    let Some(bytes) = read_file(path)? else { return Ok(None) };
    let read = model_json::parse(&bytes).and_then(|it| check(&it).map(|()| it));
    read.map(Some).map_err(|source| TextError::BadJson { path: path.to_owned(), source })
}

/// Refuses what transformers refuses: a file that is not an object, a special token that is neither text nor object.
fn check_special_tokens(file: &Value) -> Result<(), ModelJsonError> {
    let fields = file.as_object().ok_or_else(|| wrong("", "an object", file))?;
    for name in SPECIAL_TOKENS {
        match fields.get(name) {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(Value::Object(token)) => match token.get("content") {
                Some(Value::String(_)) => {}
                content => {
                    let field = format!("{name}.content");
                    return Err(wrong(&field, "a string", content.unwrap_or(&Value::Null)));
                }
            },
            Some(other) => return Err(wrong(name, "a string or an object with its `content`", other)),
        }
    }
    Ok(())
}

fn check_tokenizer_config(file: &Value) -> Result<(), ModelJsonError> {
    check_special_tokens(file)?;
    match file.get("add_bos_token") {
        Some(flag) if !flag.is_null() && truth(flag).is_none() => {
            Err(wrong("add_bos_token", "true or false", flag))
        }
        _ => Ok(()),
    }
}

/// Checks `eos_token_id` in all places where [`TokenizerParts::eos_token_ids`] looks for it. Numbers that are not token
/// ids are accepted, since some files contain -1 for none.
fn check_end_tokens(file: &Value) -> Result<(), ModelJsonError> {
    let in_text = file.get("text_config").and_then(|it| it.get("eos_token_id"));
    for (field, ids) in [("eos_token_id", file.get("eos_token_id")), ("text_config.eos_token_id", in_text)] {
        let Some(ids) = ids else { continue };
        let listed = ids.as_array().map_or(std::slice::from_ref(ids), Vec::as_slice);
        if let Some(bad) = listed.iter().find(|it| !it.is_null() && it.as_i64().is_none()) {
            return Err(wrong(field, "a whole number or a list of them", bad));
        }
    }
    Ok(())
}

/// The value of a flag; 0 and 1 count as false and true. `None` for anything else.
pub(super) fn truth(flag: &Value) -> Option<bool> {
    flag.as_bool().or_else(|| flag.as_u64().filter(|it| *it <= 1).map(|it| it == 1))
}

fn wrong(field: &str, expected: &str, got: &Value) -> ModelJsonError {
    let got = match got {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(_) => "a string".to_owned(),
        other => other.to_string(),
    };
    ModelJsonError { field: field.to_owned(), reason: format!("must be {expected}, got {got}") }
}

fn read_chat_template(folder: &Path) -> Result<Option<Value>, TextError> {
    let path = folder.join("chat_template.jinja");
    if let Some(bytes) = read_file(&path)? {
        let source = String::from_utf8(bytes).map_err(|err| TextError::Unreadable {
            path,
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, err),
        })?;
        return Ok(Some(Value::String(source)));
    }
    let is_object: Check = |file| if file.is_object() { Ok(()) } else { Err(wrong("", "an object", file)) };
    let json = read_json(&folder.join("chat_template.json"), is_object)?;
    Ok(json.and_then(|mut it| it.get_mut("chat_template").map(Value::take)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::error::Error;

    use super::*;
    use crate::Tokenizer;
    use crate::tokenizer::byte_parts;

    fn load(file: &str, content: &str) -> Result<Tokenizer, TextError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), byte_parts().tokenizer_json).unwrap();
        std::fs::write(folder.path().join(file), content).unwrap();
        Tokenizer::from_folder(folder.path())
    }

    // transformers 5.24 refuses the same, except for `add_bos_token`, which it does not read if there is a
    // tokenizer.json.
    #[test]
    fn a_value_of_the_wrong_type_is_refused_with_its_file_and_field() {
        let [config, map] = ["tokenizer_config.json", "special_tokens_map.json"];
        for (file, content, reason) in [
            (config, "[]", "must be an object, got a list"),
            (config, "null", "must be an object, got null"),
            (
                config,
                r#"{"eos_token": 5}"#,
                "`eos_token` must be a string or an object with its `content`, got 5",
            ),
            (
                config,
                r#"{"mask_token": ["a"]}"#,
                "`mask_token` must be a string or an object with its `content`, got a list",
            ),
            (config, r#"{"bos_token": {"content": 5}}"#, "`bos_token.content` must be a string, got 5"),
            (config, r#"{"bos_token": {}}"#, "`bos_token.content` must be a string, got null"),
            (config, r#"{"add_bos_token": "false"}"#, "`add_bos_token` must be true or false, got a string"),
            (map, "5", "must be an object, got 5"),
            (
                map,
                r#"{"eos_token": true}"#,
                "`eos_token` must be a string or an object with its `content`, got true",
            ),
            ("chat_template.json", "[]", "must be an object, got a list"),
            (
                "config.json",
                r#"{"eos_token_id": "2"}"#,
                "`eos_token_id` must be a whole number or a list of them, got a string",
            ),
            (
                "config.json",
                r#"{"text_config": {"eos_token_id": {}}}"#,
                "`text_config.eos_token_id` must be a whole number or a list of them, got an object",
            ),
            (
                "generation_config.json",
                r#"{"eos_token_id": [2, 1.5]}"#,
                "`eos_token_id` must be a whole number or a list of them, got 1.5",
            ),
        ] {
            let err = load(file, content).unwrap_err();
            assert!(err.to_string().contains(file), "{err}");
            assert_eq!(err.source().unwrap().to_string(), reason);
        }
    }

    #[test]
    fn what_is_missing_or_null_and_what_nothing_reads_may_be_anything() {
        for (file, content) in [
            (
                "tokenizer_config.json",
                r#"{"eos_token": null, "add_bos_token": 1, "model_max_length": "x", "chat_template": 5}"#,
            ),
            ("special_tokens_map.json", r#"{"additional_special_tokens": [1]}"#),
            ("generation_config.json", r#"{"eos_token_id": [-1, null]}"#),
        ] {
            load(file, content).unwrap();
        }
    }
}
