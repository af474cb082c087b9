//! The shapes of models that people often ask about: their config.json, as far as the speed depends on it.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// Names and files. All are quantized as their 4-bit conversions for MLX are.
const SHAPES: &[(&str, &str)] = &[
    (
        "llama-3.1-8b-4bit",
        r#"{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 14336,
            "num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "vocab_size": 128256,
            "max_position_embeddings": 131072, "rope_theta": 500000.0, "tie_word_embeddings": false,
            "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192},
            "quantization": {"group_size": 64, "bits": 4}}"#,
    ),
    (
        "qwen2.5-coder-0.5b-4bit",
        r#"{"model_type": "qwen2", "hidden_size": 896, "num_hidden_layers": 24, "intermediate_size": 4864,
            "num_attention_heads": 14, "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "vocab_size": 151936,
            "max_position_embeddings": 32768, "rope_theta": 1000000.0, "tie_word_embeddings": true,
            "quantization": {"group_size": 64, "bits": 4}}"#,
    ),
    (
        "qwen2.5-coder-1.5b-4bit",
        r#"{"model_type": "qwen2", "hidden_size": 1536, "num_hidden_layers": 28, "intermediate_size": 8960,
            "num_attention_heads": 12, "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "vocab_size": 151936,
            "max_position_embeddings": 32768, "rope_theta": 1000000.0, "tie_word_embeddings": true,
            "quantization": {"group_size": 64, "bits": 4}}"#,
    ),
    (
        "qwen2.5-coder-7b-4bit",
        r#"{"model_type": "qwen2", "hidden_size": 3584, "num_hidden_layers": 28, "intermediate_size": 18944,
            "num_attention_heads": 28, "num_key_value_heads": 4, "rms_norm_eps": 1e-6, "vocab_size": 152064,
            "max_position_embeddings": 32768, "rope_theta": 1000000.0, "tie_word_embeddings": false,
            "quantization": {"group_size": 64, "bits": 4}}"#,
    ),
    (
        "qwen3-8b-4bit",
        r#"{"model_type": "qwen3", "hidden_size": 4096, "num_hidden_layers": 36, "intermediate_size": 12288,
            "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "rms_norm_eps": 1e-6,
            "vocab_size": 151936, "max_position_embeddings": 40960, "rope_theta": 1000000.0,
            "tie_word_embeddings": false, "quantization": {"group_size": 64, "bits": 4}}"#,
    ),
    (
        "qwen3-30b-a3b-4bit",
        r#"{"model_type": "qwen3_moe", "hidden_size": 2048, "num_hidden_layers": 48, "intermediate_size": 6144,
            "moe_intermediate_size": 768, "num_experts": 128, "num_experts_per_tok": 8, "norm_topk_prob": true,
            "decoder_sparse_step": 1, "mlp_only_layers": [], "num_attention_heads": 32, "num_key_value_heads": 4,
            "head_dim": 128, "rms_norm_eps": 1e-6, "vocab_size": 151936, "max_position_embeddings": 40960,
            "rope_theta": 1000000.0, "tie_word_embeddings": false, "quantization": {"group_size": 64, "bits": 4}}"#,
    ),
];

/// The config.json of a shape: of this name, or the file at this path.
pub(super) fn config(name: &str) -> Result<String> {
    if let Some((_, config)) = SHAPES.iter().find(|it| it.0 == name) {
        return Ok((*config).to_owned());
    }
    if name.contains('/') || Path::new(name).exists() {
        return std::fs::read_to_string(name).with_context(|| format!("cannot read `{name}`"));
    }
    let names: Vec<_> = SHAPES.iter().map(|it| format!("`{}`", it.0)).collect();
    bail!(
        "there is no shape `{name}`\nhint: choose one of {}, or give the path of a config.json",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use runabout_mlx::{LoadOptions, RandomModel};

    use super::*;

    #[test]
    fn every_shape_is_one_of_a_supported_model_and_has_its_known_size() {
        // The sizes in GB of the 4-bit conversions, without what the tokenizer and other files take.
        let sizes = [4.52, 0.28, 0.87, 4.28, 4.61, 17.2];
        for ((name, json), expected) in SHAPES.iter().zip(sizes) {
            let got = RandomModel::new(json, &LoadOptions::default()).unwrap().n_bytes() as f64 / 1e9;
            assert!((got - expected).abs() < expected * 0.02, "{name}: {got} GB");
        }
    }

    #[test]
    fn an_unknown_shape_is_answered_with_those_there_are() {
        let error = config("llama-9000").unwrap_err().to_string();
        assert!(error.contains("`qwen3-8b-4bit`"), "{error}");
        assert!(config("./no-such/config.json").unwrap_err().to_string().contains("no-such"));
    }
}
