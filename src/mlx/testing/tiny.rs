//! Tiny random checkpoints in a temporary folder, with every kind of weight that is loaded differently: [`Tiny`].

#![allow(clippy::unwrap_used)]

use mlx_rs::{Array, Dtype, ops, random};
use serde_json::{Value, json};

pub(crate) const VOCABULARY: u32 = 250;
const HIDDEN: i32 = 64;
const INTERMEDIATE: i32 = 96;
const N_LAYERS: usize = 2;
const N_HEADS: i32 = 4;
const N_KV_HEADS: i32 = 2;

/// A checkpoint on disk.
pub(crate) struct Tiny {
    pub(crate) name: &'static str,
    pub(crate) folder: tempfile::TempDir,
}

/// What the matrices are made of.
#[derive(Clone, Copy)]
enum Weights {
    Plain(Dtype),
    /// The number of bits differs between matrices, also within a layer.
    Mixed,
}

impl Tiny {
    pub(crate) fn all() -> Vec<Tiny> {
        let scaled = json!({"rope_scaling": {
            "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        }});
        vec![
            Tiny::llama(),
            Tiny::plain(),
            Tiny::new("plain bfloat16", "llama", Weights::Plain(Dtype::Bfloat16), &json!({})),
            Tiny::new("qwen2", "qwen2", Weights::Mixed, &json!({"tie_word_embeddings": false})),
            Tiny::new("scaled rope", "llama", Weights::Mixed, &scaled),
            Tiny::new("adjacent pairs", "llama", Weights::Mixed, &json!({"rope_traditional": true})),
            // Unsupported by the kernels, so MLX computes them: gates with a bias, heads of 12.
            Tiny::new(
                "every bias",
                "llama",
                Weights::Mixed,
                &json!({"attention_bias": true, "mlp_bias": true}),
            ),
            Tiny::new("odd heads", "llama", Weights::Mixed, &json!({"head_dim": 12})),
        ]
    }

    /// Not quantized, with tied embeddings.
    pub(crate) fn plain() -> Tiny {
        Tiny::new("plain float32", "llama", Weights::Plain(Dtype::Float32), &json!({}))
    }

    /// Quantized, with tied embeddings.
    pub(crate) fn llama() -> Tiny {
        Tiny::new("llama", "llama", Weights::Mixed, &json!({}))
    }

    /// Models of one layer, whose keys and values depend only on a token and its position: one for each kind of rope,
    /// with heads that can be quantized.
    pub(crate) fn single_layers() -> Vec<Tiny> {
        let llama3 = json!({
            "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        });
        let linear = json!({"rope_type": "linear", "factor": 2.0});
        [
            ("plain", json!({})),
            ("linear", json!({"rope_scaling": linear})),
            ("llama3", json!({"rope_scaling": llama3})),
            ("adjacent pairs", json!({"rope_traditional": true})),
        ]
        .into_iter()
        .map(|(name, mut more)| {
            (more["num_hidden_layers"], more["head_dim"]) = (json!(1), json!(32));
            Tiny::new(name, "llama", Weights::Plain(Dtype::Float32), &more)
        })
        .collect()
    }

    /// With heads that can be quantized.
    pub(crate) fn wide_heads() -> Tiny {
        Tiny::new("wide heads", "llama", Weights::Mixed, &json!({"head_dim": 32}))
    }

    fn new(name: &'static str, model_type: &str, weights: Weights, more: &Value) -> Tiny {
        let mut config = json!({
            "model_type": model_type,
            "hidden_size": HIDDEN,
            "num_hidden_layers": N_LAYERS,
            "intermediate_size": INTERMEDIATE,
            "num_attention_heads": N_HEADS,
            "num_key_value_heads": N_KV_HEADS,
            "rms_norm_eps": 1e-5,
            "vocab_size": VOCABULARY,
            "max_position_embeddings": 1024,
            "tie_word_embeddings": true,
        });
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let arrays = arrays(&config, weights);
        Array::save_safetensors(arrays, None, folder.path().join("model.safetensors")).unwrap();
        Tiny { name, folder }
    }
}

fn arrays(config: &Value, weights: Weights) -> Vec<(String, Array)> {
    let is = |key: &str| config[key].as_bool().unwrap_or(false);
    let qkv_bias = is("attention_bias") || config["model_type"] == "qwen2";
    let head_dim = config["head_dim"].as_i64().map_or(HIDDEN / N_HEADS, |it| i32::try_from(it).unwrap());
    let (n_q, n_kv) = (N_HEADS * head_dim, N_KV_HEADS * head_dim);
    let n_tokens = i32::try_from(VOCABULARY).unwrap();
    let mut out = Checkpoint { arrays: Vec::new(), weights };
    // Large enough that tokens differ clearly in how likely they are.
    out.matrix("model.embed_tokens", n_tokens, HIDDEN, 1.0, false);
    if !is("tie_word_embeddings") {
        out.matrix("lm_head", n_tokens, HIDDEN, 1.0, false);
    }
    out.norm("model.norm");
    for i in 0..config["num_hidden_layers"].as_u64().unwrap() {
        let layer = format!("model.layers.{i}");
        out.norm(&format!("{layer}.input_layernorm"));
        out.norm(&format!("{layer}.post_attention_layernorm"));
        for (name, n_out, n_in, has_bias) in [
            ("self_attn.q_proj", n_q, HIDDEN, qkv_bias),
            ("self_attn.k_proj", n_kv, HIDDEN, qkv_bias),
            ("self_attn.v_proj", n_kv, HIDDEN, qkv_bias),
            ("self_attn.o_proj", HIDDEN, n_q, is("attention_bias")),
            ("mlp.gate_proj", INTERMEDIATE, HIDDEN, is("mlp_bias")),
            ("mlp.up_proj", INTERMEDIATE, HIDDEN, is("mlp_bias")),
            ("mlp.down_proj", HIDDEN, INTERMEDIATE, is("mlp_bias")),
        ] {
            out.matrix(&format!("{layer}.{name}"), n_out, n_in, 0.2, has_bias);
        }
    }
    out.arrays
}

struct Checkpoint {
    arrays: Vec<(String, Array)>,
    weights: Weights,
}

impl Checkpoint {
    fn random(&self, shape: &[i32], scale: f32) -> Array {
        let key = random::key(self.arrays.len() as u64).unwrap();
        random::normal::<f32>(shape, 0.0, scale, &key).unwrap()
    }

    fn norm(&mut self, name: &str) {
        let weight = self.random(&[HIDDEN], 0.1).add(Array::from_f32(1.0)).unwrap();
        self.arrays.push((format!("{name}.weight"), weight));
    }

    fn matrix(&mut self, name: &str, n_out: i32, n_in: i32, scale: f32, has_bias: bool) {
        let weight = self.random(&[n_out, n_in], scale);
        match self.weights {
            Weights::Plain(dtype) => {
                self.arrays.push((format!("{name}.weight"), weight.as_dtype(dtype).unwrap()));
            }
            Weights::Mixed if n_in % 32 == 0 => {
                let bits = [4, 5, 8, 6][self.arrays.len() % 4];
                let (words, scales, biases) = ops::quantize(&weight, 32, bits).unwrap();
                self.arrays.push((format!("{name}.weight"), words));
                // MLX rounds an embedding to the type of its scales, which would hide small differences between the
                // two paths.
                let is_embedding = name == "model.embed_tokens";
                let dtype = if is_embedding { Dtype::Float32 } else { Dtype::Float16 };
                self.arrays.push((format!("{name}.scales"), scales.as_dtype(dtype).unwrap()));
                self.arrays.push((format!("{name}.biases"), biases.as_dtype(dtype).unwrap()));
            }
            Weights::Mixed => self.arrays.push((format!("{name}.weight"), weight)),
        }
        if has_bias {
            let bias = self.random(&[n_out], 0.1);
            self.arrays.push((format!("{name}.bias"), bias));
        }
    }
}
