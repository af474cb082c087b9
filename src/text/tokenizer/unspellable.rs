//! Takes control tokens out of a model's reach, so that no text can spell one.
//!
//! The tokenizers library leaves control tokens in a text alone when it is told to, but the model that cuts the text
//! may know them as pieces: a Unigram vocabulary lists `</s>` with the best of scores, and a BPE one may take whole
//! words without merging. SentencePiece itself never matches them.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use serde_json::{Value, json};
use tokenizers::{ModelWrapper, Tokenizer};

use crate::{TextError, TokenId};

/// Changes the model if a text of one of these control tokens becomes the token.
pub(super) fn make(inner: &mut Tokenizer, names: &[String]) -> Result<(), TextError> {
    let refused = |reason: String| TextError::BadTokenizer { reason };
    let is_spelt = |name: &String| {
        let id: Option<TokenId> = inner.token_to_id(name);
        let encoded = [name.clone(), format!(" {name} ")].map(|it| inner.encode_fast(it, false));
        encoded.iter().flatten().any(|it| it.get_ids().iter().any(|&token| Some(token) == id))
    };
    let spelt: HashSet<&str> = names.iter().filter(|it| is_spelt(it)).map(String::as_str).collect();
    if spelt.is_empty() {
        return Ok(());
    }
    let mut model = serde_json::to_value(inner.get_model()).map_err(|err| refused(err.to_string()))?;
    let unknown = model["unk_token"].as_str().map(str::to_owned);
    let mut new_unknown = None;
    // The ids stay as they are, under names that no text has.
    match &mut model["vocab"] {
        Value::Array(pieces) => {
            for piece in pieces.iter_mut() {
                if piece[0].as_str().is_some_and(|it| spelt.contains(it)) {
                    piece[0] = json!(name_of_nothing());
                }
            }
        }
        Value::Object(vocabulary) => {
            for &name in &spelt {
                let Some(id) = vocabulary.remove(name) else { continue };
                let new = name_of_nothing();
                if unknown.as_deref() == Some(name) {
                    new_unknown = Some(new.clone());
                }
                vocabulary.insert(new, id);
            }
        }
        _ => {}
    }
    if let Some(new) = new_unknown {
        model["unk_token"] = json!(new);
    }
    if let Value::Array(merges) = &mut model["merges"] {
        merges.retain(|merge| {
            let parts = merge.as_array().map(|it| it.iter().filter_map(Value::as_str).collect::<Vec<_>>());
            let parts = parts.unwrap_or_else(|| merge.as_str().unwrap_or_default().split(' ').collect());
            !spelt.contains(parts.concat().as_str()) && !parts.iter().any(|it| spelt.contains(it))
        });
    }
    let model: ModelWrapper = serde_json::from_value(model).map_err(|err| refused(err.to_string()))?;
    inner.with_model(model);
    Ok(())
}

/// A noncharacter, and a number that is drawn anew each time.
fn name_of_nothing() -> String {
    let random = || RandomState::new().hash_one(0);
    format!("\u{FDD2}{:016x}{:016x}", random(), random())
}
