//! A tiny tokenizer for tests of this crate and others, in which every byte is a token.

use serde_json::{Map, Value, json};

use super::bytes::char_of_byte;
use super::{Tokenizer, TokenizerParts};

/// The control tokens of the sample, in the order of their ids, which begin at 256.
const CONTROL_TOKENS: [&str; 9] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
];

const CHAT_ML: &str = "\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}
        {{- tool | tojson + '\\n' }}
    {%- endfor %}
    {{- 'Call them with <tool_call></tool_call>.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + (message.content or '') }}
    {%- for call in message.tool_calls or [] %}
        {{- '<tool_call>' + call.function | tojson + '</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}";

impl Tokenizer {
    /// A tokenizer for tests: tokens 0-255 are the single bytes; 256 `<|endoftext|>` (the end token), 257
    /// `<|im_start|>`, 258 `<|im_end|>`, 259 `<|fim_prefix|>`, 260 `<|fim_middle|>`, 261 `<|fim_suffix|>`, 262
    /// `<|fim_pad|>`, 263 `<|repo_name|>`, 264 `<|file_sep|>`. Its chat template is ChatML with tools as Hermes has
    /// them.
    pub fn bytes_for_tests() -> Self {
        Self::from_parts(&byte_parts()).expect("the sample tokenizer is valid")
    }
}

pub(crate) fn byte_parts() -> TokenizerParts {
    let mut vocabulary: Map<String, Value> =
        (0..=u8::MAX).map(|byte| (char_of_byte(byte).to_string(), json!(byte))).collect();
    vocabulary.extend((256..).zip(CONTROL_TOKENS).map(|(id, token)| (token.to_owned(), json!(id))));
    let added_tokens: Vec<Value> = (256..)
        .zip(CONTROL_TOKENS)
        .map(|(id, token)| {
            json!({
                "id": id, "content": token, "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            })
        })
        .collect();
    let byte_level =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": added_tokens,
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    });
    TokenizerParts {
        tokenizer_json: tokenizer.to_string().into_bytes(),
        tokenizer_config: Some(json!({"eos_token": "<|endoftext|>", "chat_template": CHAT_ML})),
        ..TokenizerParts::default()
    }
}

/// A byte-level tokenizer with these control tokens, from id 256 on.
#[cfg(test)]
pub(crate) fn bytes_with(tokens: &[&str]) -> Tokenizer {
    let mut parts = byte_parts();
    let mut json: Value = serde_json::from_slice(&parts.tokenizer_json).expect("the sample is JSON");
    let vocabulary = json["model"]["vocab"].as_object_mut().expect("it has a vocabulary");
    vocabulary.retain(|_, id| id.as_u64() < Some(256));
    vocabulary.extend(tokens.iter().zip(256..).map(|(it, id)| ((*it).to_owned(), json!(id))));
    let added = tokens.iter().zip(256..).map(|(it, id)| {
        json!({
            "id": id, "content": it, "special": true, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false,
        })
    });
    json["added_tokens"] = added.collect();
    parts.tokenizer_json = json.to_string().into_bytes();
    parts.tokenizer_config = None;
    Tokenizer::from_parts(&parts).expect("the sample with other control tokens is valid")
}
