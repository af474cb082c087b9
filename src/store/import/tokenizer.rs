//! Makes tokenizer.json, tokenizer_config.json and generation_config.json from a GGUF file's vocabulary.
//!
//! A GGUF file only names its pre-tokenizer. The names and their splitting rules are those of llama.cpp's
//! `llama-vocab.cpp`, written as in the model's own tokenizer.json. An unknown name is refused: with a guess, texts
//! would silently get wrong ids. Tokenizing itself is the job of the `text` crate.

mod parts;
mod sentencepiece;

use serde_json::{Value, json};

use parts::{Parts, post_processor, vocab};

use super::architecture::one_or_many;
use super::vocabulary::{TokenKind, Vocabulary, adds_bos_and_eos};
use crate::error::StoreError;
use crate::gguf::{GgufFile, Metadata};

/// StarCoder and others: GPT-2's rule, which is built into [`byte_level`], after splitting off each digit.
const DIGITS: &str = r"\p{N}";
/// Qwen 2: single digits.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Llama 3: up to three digits.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// GPT-4o and gpt-oss: words are also divided where small letters are followed by large ones.
const GPT_4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// DeepSeek Coder: these are applied one after the other.
const DEEPSEEK_CODER: [&str; 4] = ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"];

/// `tokenizer.json`.
pub(super) fn tokenizer(gguf: &GgufFile, vocabulary: &Vocabulary<'_>) -> Result<Value, StoreError> {
    let parts = match gguf.metadata.text("tokenizer.ggml.model") {
        Some("gpt2") => byte_level_parts(gguf, vocabulary)?,
        Some("llama") => sentencepiece::parts(gguf, vocabulary)?,
        Some(other) => {
            return Err(gguf.unsupported(
                format!("the tokenizer model `{other}`"),
                "`gpt2` and `llama` are known; for others take a safetensors folder",
            ));
        }
        None => return Err(gguf.bad("`tokenizer.ggml.model` is missing")),
    };
    let added: Vec<Value> = vocabulary
        .added()
        .map(|(id, text, kind)| {
            json!({
                "id": id,
                "content": text,
                "single_word": false,
                "lstrip": false,
                "rstrip": false,
                "normalized": false,
                "special": kind != TokenKind::UserDefined,
            })
        })
        .collect();
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": parts.normalizer,
        "pre_tokenizer": parts.pre_tokenizer,
        "post_processor": parts.post_processor,
        "decoder": parts.decoder,
        "model": parts.model,
    }))
}

fn byte_level_parts(gguf: &GgufFile, vocabulary: &Vocabulary<'_>) -> Result<Parts, StoreError> {
    let name = gguf.metadata.text("tokenizer.ggml.pre").unwrap_or("default");
    let (mut normalizer, mut ignore_merges, mut default_bos) = (Value::Null, false, false);
    let pre_tokenizer = match name {
        "gpt-2" | "mpt" | "olmo" | "jais" => byte_level(true),
        "starcoder" | "refact" | "command-r" | "smollm" | "codeshell" | "exaone" | "minerva-7b" => {
            sequence(&[split(DIGITS), byte_level(true)])
        }
        "qwen2" | "deepseek-r1-qwen" => {
            normalizer = json!({ "type": "NFC" });
            sequence(&[split(QWEN2), byte_level(false)])
        }
        "llama-bpe" | "llama3" | "llama-v3" => {
            (ignore_merges, default_bos) = (true, true);
            sequence(&[split(LLAMA3), byte_level(false)])
        }
        "gpt-4o" => sequence(&[split(GPT_4O), byte_level(false)]),
        "deepseek-coder" => {
            default_bos = true;
            let mut steps: Vec<Value> = DEEPSEEK_CODER.into_iter().map(split).collect();
            steps.extend([split(DIGITS), byte_level(false)]);
            sequence(&steps)
        }
        other => {
            return Err(gguf.unsupported(
                format!("the pre-tokenizer `{other}`"),
                "take the model as a safetensors folder, which brings its own tokenizer.json",
            ));
        }
    };
    Ok(Parts {
        normalizer,
        pre_tokenizer,
        post_processor: post_processor(gguf, vocabulary, byte_level(false), default_bos)?,
        decoder: byte_level(true),
        model: json!({
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": ignore_merges,
            "vocab": vocab(vocabulary),
            "merges": merges(gguf, vocabulary)?,
        }),
    })
}

fn byte_level(use_regex: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": use_regex })
}

fn split(regex: &str) -> Value {
    json!({ "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false })
}

fn sequence(steps: &[Value]) -> Value {
    json!({ "type": "Sequence", "pretokenizers": steps })
}

/// The merges in order of rank. Each must consist of tokens, or else the tokenizers library refuses the file.
fn merges(gguf: &GgufFile, vocabulary: &Vocabulary<'_>) -> Result<Vec<Value>, StoreError> {
    let merges = gguf
        .metadata
        .array("tokenizer.ggml.merges")
        .ok_or_else(|| gguf.bad("it has no merges (`tokenizer.ggml.merges`)"))?;
    let known = |text: &str| vocabulary.ids.contains_key(text);
    merges
        .iter()
        .enumerate()
        .map(|(rank, merge)| {
            let pair = merge.as_text().and_then(|it| it.split_once(' '));
            match pair {
                Some((left, right)) if known(left) && known(right) && known(&format!("{left}{right}")) => {
                    Ok(json!([left, right]))
                }
                _ => Err(gguf.bad(format!("merge {rank} is not a pair of tokens that make a token"))),
            }
        })
        .collect()
}

/// `tokenizer_config.json`.
pub(super) fn tokenizer_config(
    metadata: &Metadata,
    vocabulary: &Vocabulary<'_>,
    context_len: usize,
) -> Value {
    let text = |id: Option<u32>| id.map(|id| vocabulary.text(id));
    let default_bos = metadata.text("tokenizer.ggml.model") == Some("llama")
        || matches!(
            metadata.text("tokenizer.ggml.pre"),
            Some("llama-bpe" | "llama3" | "llama-v3" | "deepseek-coder")
        );
    let (add_bos, add_eos) = adds_bos_and_eos(metadata, default_bos);
    let mut config = json!({
        // With this class, transformers uses tokenizer.json as it is, whatever the architecture.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_len,
        "clean_up_tokenization_spaces": false,
        "add_bos_token": add_bos,
        "add_eos_token": add_eos,
        "bos_token": text(vocabulary.bos),
        "eos_token": text(vocabulary.ends.first().copied()),
        "pad_token": text(vocabulary.padding),
        "unk_token": text(vocabulary.unknown),
    });
    if let Some(template) = chat_template(metadata) {
        config["chat_template"] = template;
    }
    config
}

/// A single template, or a list of named ones if the file has several.
fn chat_template(metadata: &Metadata) -> Option<Value> {
    let default = metadata.text("tokenizer.chat_template");
    let mut named: Vec<(&str, &str)> = metadata
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("tokenizer.chat_template.")?, value.as_text()?)))
        .collect();
    if named.is_empty() {
        return default.map(Into::into);
    }
    named.sort_unstable();
    let all = default.map(|it| ("default", it)).into_iter().chain(named);
    Some(all.map(|(name, template)| json!({ "name": name, "template": template })).collect())
}

/// `generation_config.json`: the ids that end a turn.
pub(super) fn generation_config(vocabulary: &Vocabulary<'_>) -> Value {
    json!({
        "bos_token_id": vocabulary.bos,
        "eos_token_id": one_or_many(&vocabulary.ends),
        "pad_token_id": vocabulary.padding,
    })
}
