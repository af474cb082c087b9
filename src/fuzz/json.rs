//! The small files of a model's folder: config.json and its neighbours.

use std::fs;

use runabout_store::ModelFacts;
use runabout_text::{Abilities, SamplingDefaults, Tokenizer, model_json};

use crate::mutate::{joined, parts};
use crate::sample;

const NAMES: [&str; 4] =
    ["config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json"];

pub(crate) fn run(data: &[u8]) {
    let files = parts::<{ NAMES.len() }>(data);
    let folder = tempfile::tempdir().expect("a folder can be made");
    for (name, bytes) in NAMES.iter().zip(files) {
        fs::write(folder.path().join(name), bytes).expect("a file can be written");
        let _ = model_json::parse(bytes);
    }
    fs::write(folder.path().join("tokenizer.json"), sample::json()).expect("a file can be written");
    if let Ok(facts) = ModelFacts::read(folder.path()) {
        let _ = facts.footprint(1 << 30, 4096);
    }
    let _ = Abilities::read(folder.path());
    if let Ok(tokenizer) = Tokenizer::from_folder(folder.path()) {
        let defaults = SamplingDefaults::read(folder.path(), &tokenizer);
        let _ = (defaults.for_completion(), defaults.for_conversation());
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let qwen = r#"{"model_type":"qwen2","architectures":["Qwen2ForCausalLM"],"hidden_size":896,"num_hidden_layers":24,
        "num_attention_heads":14,"num_key_value_heads":2,"intermediate_size":4864,"vocab_size":151936,
        "max_position_embeddings":32768,"rope_theta":1000000.0,"rms_norm_eps":1e-6,"tie_word_embeddings":true,
        "eos_token_id":[260,261],"quantization":{"group_size":64,"bits":4,"lm_head":{"bits":8,"group_size":32}}}"#;
    let nested = r#"{"model_type":"gemma3","text_config":{"model_type":"gemma3_text","hidden_size":64,
        "num_hidden_layers":2,"rope_parameters":{"full_attention":{"rope_theta":{"__float__":"Infinity"}}},
        "layer_types":["full_attention","sliding_attention"],"sliding_window":512},"eos_token_id":1}"#;
    let generation =
        r#"{"eos_token_id":[1,2],"temperature":0.7,"top_p":0.8,"top_k":20,"repetition_penalty":1.05}"#;
    let tokenizer = r#"{"eos_token":"<|im_end|>","bos_token":{"content":"<|endoftext|>"},"chat_template":
        [{"name":"default","template":"{{ messages[0].content }}"}],"clean_up_tokenization_spaces":false}"#;
    let special = r#"{"eos_token":{"content":"<|im_end|>"},"additional_special_tokens":["<|fim_prefix|>"]}"#;
    [qwen, nested].map(|it| joined(&[it, generation, tokenizer, special].map(str::as_bytes))).into()
}
