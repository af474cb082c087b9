//! Renames control tokens in a tokenizer's model if text could be encoded as them.
//!
//! The tokenizers library can be told to leave control tokens in a text alone, but the BPE or Unigram model that
//! encodes the text may still have them as pieces: a Unigram vocabulary lists `</s>` with the best score, and a BPE
//! model may accept whole words without merging. SentencePiece itself never matches control tokens.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use serde_json::{Value, json};
use tokenizers::{ModelWrapper, Tokenizer};

use crate::{TextError, TokenId};

/// Changes the tokenizer's model if encoding the text of one of the control tokens `names` gives that token.
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
    // The tokens keep their ids, but get names that no text contains.
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

/// A name that no text contains: a noncharacter and a new random number.
fn name_of_nothing() -> String {
    let random = || RandomState::new().hash_one(0);
    format!("\u{FDD2}{:016x}{:016x}", random(), random())
}
