//! Which files of a model folder say something about text, and where in them it stands.
//!
//! The layout grew over years: a chat template may live in three places, a token's name may be a string or an
//! object, an end token may be one number or a list.

use std::path::Path;

use serde_json::Value;

use crate::{TextError, TokenId, model_json};

/// What a tokenizer is made from. Everything but `tokenizer_json` may be missing.
#[derive(Clone, Debug, Default)]
pub struct TokenizerParts {
    /// Bytes of tokenizer.json.
    pub tokenizer_json: Vec<u8>,
    /// tokenizer_config.json.
    pub tokenizer_config: Option<Value>,
    /// special_tokens_map.json, which names what tokenizer_config.json does not.
    pub special_tokens_map: Option<Value>,
    /// chat_template.jinja, or the `chat_template` of chat_template.json. Goes before the one in
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
            tokenizer_config: read_json(&folder.join("tokenizer_config.json"))?,
            special_tokens_map: read_json(&folder.join("special_tokens_map.json"))?,
            chat_template: read_chat_template(folder)?,
            config: read_json(&folder.join("config.json"))?,
            generation_config: read_json(&folder.join("generation_config.json"))?,
        })
    }

    /// The text of `bos_token`, `eos_token` and the like.
    pub(crate) fn special_token(&self, name: &str) -> Option<String> {
        let text =
            |token: &Value| token.as_str().or_else(|| token.get("content")?.as_str()).map(str::to_owned);
        let files = [&self.tokenizer_config, &self.special_tokens_map];
        files.into_iter().flatten().find_map(|file| text(file.get(name)?))
    }

    /// All `eos_token_id` of config.json (of its `text_config`, too) and generation_config.json.
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

/// `None` when there is no such file.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, TextError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TextError::Unreadable { path: path.to_owned(), source }),
    }
}

fn read_json(path: &Path) -> Result<Option<Value>, TextError> {
    let Some(bytes) = read_file(path)? else { return Ok(None) };
    model_json::parse(&bytes).map(Some).map_err(|source| TextError::BadJson { path: path.to_owned(), source })
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
    let json = read_json(&folder.join("chat_template.json"))?;
    Ok(json.and_then(|mut it| it.get_mut("chat_template").map(Value::take)))
}
