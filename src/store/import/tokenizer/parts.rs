//! What both kinds of tokenizers share: the [`Parts`] of a tokenizer.json, its vocabulary and its post-processor.

use serde_json::{Map, Value, json};

use crate::error::StoreError;
use crate::gguf::GgufFile;
use crate::import::vocabulary::{Vocabulary, adds_bos_and_eos};

/// The five components of a tokenizer.json.
pub(super) struct Parts {
    pub(super) normalizer: Value,
    pub(super) pre_tokenizer: Value,
    pub(super) post_processor: Value,
    pub(super) decoder: Value,
    pub(super) model: Value,
}

/// Maps texts to ids. Added tokens are included: the tokenizers library would give others to those that are not.
pub(super) fn vocab(vocabulary: &Vocabulary<'_>) -> Value {
    let mut entries: Vec<(&str, u32)> = vocabulary.ids.iter().map(|(text, id)| (*text, *id)).collect();
    entries.sort_unstable_by_key(|(_, id)| *id);
    Value::Object(entries.into_iter().map(|(text, id)| (text.to_owned(), id.into())).collect())
}

/// Adds bos before a text and eos after it if the file says so; else returns `otherwise`.
pub(super) fn post_processor(
    gguf: &GgufFile,
    vocabulary: &Vocabulary<'_>,
    otherwise: Value,
    default_bos: bool,
) -> Result<Value, StoreError> {
    let (add_bos, add_eos) = adds_bos_and_eos(&gguf.metadata, default_bos);
    let wanted = |wanted: bool, id: Option<u32>, role: &str| match (wanted, id) {
        (false, _) => Ok(None),
        (true, Some(id)) => Ok(Some((id, vocabulary.text(id)))),
        (true, None) => Err(gguf.bad(format!("it adds a {role} token but does not say which"))),
    };
    let bos = wanted(add_bos, vocabulary.bos, "bos")?;
    let eos = wanted(add_eos, vocabulary.ends.first().copied(), "eos")?;
    if bos.is_none() && eos.is_none() {
        return Ok(otherwise);
    }
    let piece = |sequence: &str, type_id: u32| {
        let special = |it: Option<(u32, &str)>| {
            it.map(|(_, text)| json!({ "SpecialToken": { "id": text, "type_id": type_id } }))
        };
        let text = json!({ "Sequence": { "id": sequence, "type_id": type_id } });
        special(bos).into_iter().chain([text]).chain(special(eos)).collect::<Vec<Value>>()
    };
    let special_tokens: Map<String, Value> = [bos, eos]
        .into_iter()
        .flatten()
        .map(|(id, text)| (text.to_owned(), json!({ "id": text, "ids": [id], "tokens": [text] })))
        .collect();
    let pair = [piece("A", 0), piece("B", 1)].concat();
    let template = json!({
        "type": "TemplateProcessing",
        "single": piece("A", 0),
        "pair": pair,
        "special_tokens": special_tokens,
    });
    Ok(if otherwise.is_null() {
        template
    } else {
        json!({ "type": "Sequence", "processors": [otherwise, template] })
    })
}
