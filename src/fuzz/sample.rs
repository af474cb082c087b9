//! A small tokenizer, of which every byte is a token, for targets that need one.

use runabout_text::{Tokenizer, TokenizerParts};
use serde_json::json;

/// The files of the sample, with this chat template.
pub(crate) fn parts(template: &str) -> TokenizerParts {
    TokenizerParts {
        tokenizer_json: json(),
        tokenizer_config: Some(json!({"eos_token": "<|endoftext|>", "chat_template": template})),
        ..TokenizerParts::default()
    }
}

/// The sample with this chat template.
pub(crate) fn tokenizer(template: &str) -> Tokenizer {
    Tokenizer::from_parts(&parts(template)).expect("the sample is valid")
}

/// A tokenizer.json of bytes, a few merges and special tokens.
pub(crate) fn json() -> Vec<u8> {
    let special =
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"];
    let merges = ["t h", "th e", "i n", "r e", "\u{120} a"];
    let tokens = (0..=u8::MAX).map(|it| spelled(it).to_string());
    let tokens = tokens.chain(merges.iter().map(|it| it.replace(' ', ""))).chain(special.map(str::to_owned));
    let vocabulary: serde_json::Map<_, _> =
        tokens.enumerate().map(|(id, token)| (token, serde_json::Value::from(id))).collect();
    let added = special.map(|token| {
        json!({"id": vocabulary[token], "content": token, "special": true, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false})
    });
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true});
    let tokenizer = json!({"version": "1.0", "added_tokens": added, "pre_tokenizer": bytes, "decoder": bytes,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges}});
    tokenizer.to_string().into_bytes()
}

/// How GPT-2's vocabulary writes a byte.
fn spelled(byte: u8) -> char {
    let is_itself = |it: u8| matches!(it, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if is_itself(byte) {
        return char::from(byte);
    }
    let n_before = (0..byte).filter(|it| !is_itself(*it)).count();
    char::from_u32(0x100 + u32::try_from(n_before).unwrap_or_default()).unwrap_or_default()
}
