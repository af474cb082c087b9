//! The tokenizer of SentencePiece's BPE models (`tokenizer.ggml.model` = `llama`): Llama 2, Mistral, TinyLlama.
//!
//! A GGUF file has scores where tokenizer.json has ranked merges. SentencePiece always joins the neighbouring pair
//! whose joint token has the highest score, the leftmost first. So every way to split a token into two tokens is a
//! merge, and the joint token's score gives its rank. transformers converts these models by the same rule.

use serde_json::{Value, json};

use super::parts::{Parts, post_processor, vocab};
use crate::error::StoreError;
use crate::gguf::GgufFile;
use crate::import::vocabulary::{TokenKind, Vocabulary};

/// The character that SentencePiece uses for a blank.
const BLANK: &str = "\u{2581}";

pub(super) fn parts(gguf: &GgufFile, vocabulary: &Vocabulary<'_>) -> Result<Parts, StoreError> {
    // Without the byte tokens, characters outside the vocabulary would be dropped.
    if vocabulary.tokens.iter().filter(|(_, kind)| *kind == TokenKind::Byte).count() != 256 {
        return Err(gguf.unsupported("a SentencePiece vocabulary without byte tokens", "choose another file"));
    }
    let unknown = vocabulary
        .unknown
        .or_else(|| vocabulary.added().find(|(_, _, kind)| *kind == TokenKind::Unknown).map(|(id, ..)| id))
        .ok_or_else(|| gguf.bad("its SentencePiece vocabulary has no unknown token"))?;
    let adds_blank = gguf.metadata.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);

    let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": BLANK });
    let normalizer = if adds_blank {
        json!({ "type": "Sequence", "normalizers": [{ "type": "Prepend", "prepend": BLANK }, replace] })
    } else {
        replace
    };
    let mut decoders = vec![
        json!({ "type": "Replace", "pattern": { "String": BLANK }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if adds_blank {
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    Ok(Parts {
        normalizer,
        pre_tokenizer: Value::Null,
        post_processor: post_processor(gguf, vocabulary, Value::Null, true)?,
        decoder: json!({ "type": "Sequence", "decoders": decoders }),
        model: json!({
            "type": "BPE",
            "dropout": null,
            "unk_token": vocabulary.text(unknown),
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": true,
            "byte_fallback": true,
            "ignore_merges": false,
            "vocab": vocab(vocabulary),
            "merges": merges(gguf, vocabulary)?,
        }),
    })
}

fn merges(gguf: &GgufFile, vocabulary: &Vocabulary<'_>) -> Result<Vec<Value>, StoreError> {
    let scores = gguf
        .metadata
        .array("tokenizer.ggml.scores")
        .filter(|it| it.len() == vocabulary.tokens.len())
        .ok_or_else(|| gguf.bad("its SentencePiece vocabulary has no score for each token"))?;
    let mut merges = Vec::new();
    for ((id, &(text, kind)), score) in (0_u32..).zip(&vocabulary.tokens).zip(scores) {
        if kind != TokenKind::Normal {
            continue;
        }
        let score = score
            .as_f64()
            .filter(|it| it.is_finite())
            .ok_or_else(|| gguf.bad(format!("token {id} has no score")))?;
        for (cut, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(cut);
            if let (Some(left_id), Some(right_id)) = (vocabulary.ids.get(left), vocabulary.ids.get(right)) {
                merges.push((score, *left_id, *right_id, left, right));
            }
        }
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    Ok(merges.into_iter().map(|(_, _, _, left, right)| json!([left, right])).collect())
}
