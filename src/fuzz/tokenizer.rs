//! tokenizer.json.

use std::sync::Arc;

use runabout_text::{Detokenizer, FimFormat, Tokenizer, TokenizerParts};

use crate::sample;

const TEXT: &str = "def the(in):\n    return \u{e9}\u{1f600} in\n";

pub(crate) fn run(data: &[u8]) {
    let parts = TokenizerParts { tokenizer_json: data.to_vec(), ..sample::parts("{{ messages }}") };
    let Ok(tokenizer) = Tokenizer::from_parts(&parts) else { return };
    let tokens = tokenizer.encode_text(TEXT);
    let _ = (tokenizer.encode_prompt(TEXT), tokenizer.least_tokens(TEXT), FimFormat::detect(&tokenizer));
    let n_known = u32::try_from(tokenizer.vocabulary_size()).unwrap_or(u32::MAX);
    let mut detokenizer = Detokenizer::new(Arc::new(tokenizer));
    for token in tokens.into_iter().chain([0, n_known.wrapping_sub(1), n_known, u32::MAX]) {
        detokenizer.push(token);
    }
    detokenizer.flush();
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let unigram = r#"{"version":"1.0","added_tokens":[{"id":3,"content":"</s>","special":true,"normalized":false,
        "single_word":false,"lstrip":false,"rstrip":false}],"normalizer":{"type":"Sequence","normalizers":[
        {"type":"Prepend","prepend":"_"},{"type":"Replace","pattern":{"String":" "},"content":"_"}]},
        "pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"first","split":true},
        "decoder":{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"},
        {"type":"Strip","content":" ","start":1,"stop":0}]},"model":{"type":"BPE","unk_token":"a","byte_fallback":true,
        "vocab":{"a":0,"b":1,"ab":2},"merges":[["a","b"]]}}"#;
    vec![sample::json(), unigram.as_bytes().to_vec()]
}
