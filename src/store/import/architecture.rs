//! What a GGUF file says about the model's shape, and the `config.json` that says the same in transformers' words.
//!
//! Two architectures, `llama` and `qwen2`; each knows which weights llama.cpp permuted. Anything that would make the
//! model compute something else (experts, another rope, sliding windows) is refused here, before a byte is converted.

use serde_json::{Map, Value, json};

use super::blocks::GROUP;
use crate::error::StoreError;
use crate::gguf::{GgufFile, TensorInfo};

/// rope_freqs that differ by less than this (relatively) from Llama 3's formula are taken for it; they are f32.
const ROPE_TOLERANCE: f64 = 1e-4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Llama,
    Qwen2,
}

/// The numbers that shape the model.
#[derive(Debug)]
pub(super) struct Architecture {
    pub(super) family: Family,
    pub(super) n_layers: usize,
    pub(super) n_heads: usize,
    pub(super) n_kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) context_len: usize,
    hidden_size: usize,
    intermediate_size: usize,
    vocab_size: usize,
    norm_eps: f64,
    rope_theta: f64,
    rope_scaling: Value,
    tied: bool,
    attention_bias: bool,
    mlp_bias: bool,
}

impl Architecture {
    pub(super) fn read(gguf: &GgufFile) -> Result<Self, StoreError> {
        let metadata = &gguf.metadata;
        let name =
            metadata.text("general.architecture").ok_or_else(|| gguf.bad("it names no architecture"))?;
        let family = match name {
            "llama" => Family::Llama,
            "qwen2" => Family::Qwen2,
            other => {
                return Err(gguf.unsupported(
                    format!("the architecture `{other}`"),
                    "`llama` and `qwen2` are known; for others take a safetensors folder in the layout of mlx-community",
                ));
            }
        };
        if metadata.count("split.count").is_some_and(|it| it > 1) {
            return Err(gguf.unsupported(
                "the other parts of a split file",
                "join them first: `llama-gguf-split --merge`",
            ));
        }
        if metadata.count(&format!("{name}.expert_count")).is_some_and(|it| it > 0) {
            return Err(gguf.unsupported("experts", "choose a dense model"));
        }

        let count = |key: &str| -> Result<usize, StoreError> {
            let key = format!("{name}.{key}");
            match metadata.count(&key) {
                // Larger numbers do not occur; the bound keeps products of two within an integer.
                Some(it) if it > 0 && it <= 1 << 28 => Ok(it),
                Some(it) => Err(gguf.bad(format!("`{key}` must be between 1 and 268435456, got {it}"))),
                None => Err(gguf.bad(format!("it does not say `{key}`"))),
            }
        };
        let n_heads = count("attention.head_count")?;
        let n_kv_heads = count("attention.head_count_kv").unwrap_or(n_heads);
        let hidden_size = count("embedding_length")?;
        let head_dim = count("attention.key_length").unwrap_or(hidden_size / n_heads);
        if n_heads % n_kv_heads != 0 || head_dim == 0 || head_dim % 2 != 0 {
            return Err(
                gguf.bad(format!("{n_heads} heads, {n_kv_heads} of keys, {head_dim} wide: impossible"))
            );
        }
        let rope_dims = count("rope.dimension_count").unwrap_or(head_dim);
        if rope_dims != head_dim {
            return Err(gguf.unsupported(
                format!("a rope over {rope_dims} of {head_dim} dimensions"),
                "choose another model",
            ));
        }
        let embedding =
            gguf.tensor("token_embd.weight").ok_or_else(|| gguf.bad("it has no `token_embd.weight`"))?;
        let rope_theta = metadata.number(&format!("{name}.rope.freq_base")).unwrap_or(10_000.0);
        let norm_eps = metadata
            .number(&format!("{name}.attention.layer_norm_rms_epsilon"))
            .ok_or_else(|| gguf.bad(format!("it does not say `{name}.attention.layer_norm_rms_epsilon`")))?;

        let this = Self {
            family,
            n_layers: count("block_count")?,
            n_heads,
            n_kv_heads,
            head_dim,
            context_len: count("context_length")?,
            hidden_size,
            intermediate_size: count("feed_forward_length")?,
            vocab_size: embedding.n_rows,
            norm_eps: shortest(norm_eps),
            rope_theta,
            rope_scaling: rope_scaling(gguf, name, head_dim, rope_theta)?,
            tied: gguf.tensor("output.weight").is_none(),
            attention_bias: gguf.tensor("blk.0.attn_q.bias").is_some(),
            mlp_bias: gguf.tensor("blk.0.ffn_down.bias").is_some(),
        };
        if family == Family::Qwen2 && !this.attention_bias {
            return Err(gguf.bad("a `qwen2` model has biases on q, k and v, and this one has not"));
        }
        this.check_tensors(gguf)?;
        Ok(this)
    }

    /// Each weight that the model will ask for is there and has its shape.
    fn check_tensors(&self, gguf: &GgufFile) -> Result<(), StoreError> {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let (q, kv) = (self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim);
        let check = |name: String, n_rows: usize, n_columns: usize| match gguf.tensor(&name) {
            Some(it) if (it.n_rows, it.n_columns) == (n_rows, n_columns) => Ok(()),
            Some(it) => Err(gguf.bad(format!(
                "tensor `{name}` must be {n_rows} x {n_columns}, got {} x {}",
                it.n_rows, it.n_columns
            ))),
            None => Err(gguf.bad(format!("it has no `{name}`"))),
        };
        check("token_embd.weight".into(), self.vocab_size, hidden)?;
        check("output_norm.weight".into(), 1, hidden)?;
        if !self.tied {
            check("output.weight".into(), self.vocab_size, hidden)?;
        }
        for layer in 0..self.n_layers {
            for (part, n_rows, n_columns) in [
                ("attn_norm", 1, hidden),
                ("attn_q", q, hidden),
                ("attn_k", kv, hidden),
                ("attn_v", kv, hidden),
                ("attn_output", hidden, q),
                ("ffn_norm", 1, hidden),
                ("ffn_gate", inner, hidden),
                ("ffn_up", inner, hidden),
                ("ffn_down", hidden, inner),
            ] {
                check(format!("blk.{layer}.{part}.weight"), n_rows, n_columns)?;
            }
            let mut biases = Vec::new();
            if self.attention_bias {
                biases.extend([("attn_q", q), ("attn_k", kv), ("attn_v", kv)]);
                // transformers' `attention_bias` means all four projections for llama, three for qwen2.
                if self.family == Family::Llama {
                    biases.push(("attn_output", hidden));
                }
            }
            if self.mlp_bias {
                biases.extend([("ffn_gate", inner), ("ffn_up", inner), ("ffn_down", hidden)]);
            }
            for (part, len) in biases {
                check(format!("blk.{layer}.{part}.bias"), 1, len)?;
            }
        }
        Ok(())
    }

    /// Where a tensor goes: the module's path and `weight` or `bias`. `None`: the model has no place for it.
    pub(super) fn module_of(&self, tensor: &str) -> Option<(String, &'static str)> {
        let (stem, kind) = if let Some(stem) = tensor.strip_suffix(".weight") {
            (stem, "weight")
        } else {
            (tensor.strip_suffix(".bias")?, "bias")
        };
        let module = match stem {
            "token_embd" => "model.embed_tokens".to_owned(),
            "output_norm" => "model.norm".to_owned(),
            "output" => "lm_head".to_owned(),
            _ => {
                let (layer, part) = stem.strip_prefix("blk.")?.split_once('.')?;
                let layer: usize = layer.parse().ok().filter(|it| *it < self.n_layers)?;
                let part = match part {
                    "attn_norm" => "input_layernorm",
                    "attn_q" => "self_attn.q_proj",
                    "attn_k" => "self_attn.k_proj",
                    "attn_v" => "self_attn.v_proj",
                    "attn_output" => "self_attn.o_proj",
                    "ffn_norm" => "post_attention_layernorm",
                    "ffn_gate" => "mlp.gate_proj",
                    "ffn_up" => "mlp.up_proj",
                    "ffn_down" => "mlp.down_proj",
                    _ => return None,
                };
                format!("model.layers.{layer}.{part}")
            }
        };
        Some((module, kind))
    }

    /// True where llama.cpp stored the rows of each head with the two halves of the rope interleaved.
    pub(super) fn is_permuted(&self, tensor: &TensorInfo) -> bool {
        self.family == Family::Llama && (tensor.name.contains(".attn_q.") || tensor.name.contains(".attn_k."))
    }

    /// `config.json`. `bits_by_module`: the quantized modules; the commonest width becomes the default.
    pub(super) fn config(
        &self,
        float: &str,
        bos: Option<u32>,
        eos: &[u32],
        bits_by_module: &[(String, usize)],
    ) -> Value {
        let (model_type, class) = match self.family {
            Family::Llama => ("llama", "LlamaForCausalLM"),
            Family::Qwen2 => ("qwen2", "Qwen2ForCausalLM"),
        };
        let mut config = json!({
            "architectures": [class],
            "model_type": model_type,
            "hidden_act": "silu",
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_kv_heads,
            "head_dim": self.head_dim,
            "max_position_embeddings": self.context_len,
            "rms_norm_eps": self.norm_eps,
            "rope_theta": self.rope_theta,
            "rope_scaling": self.rope_scaling,
            "tie_word_embeddings": self.tied,
            "vocab_size": self.vocab_size,
            "torch_dtype": float,
            "bos_token_id": bos,
            "eos_token_id": one_or_many(eos),
        });
        if self.family == Family::Llama {
            config["attention_bias"] = self.attention_bias.into();
            config["mlp_bias"] = self.mlp_bias.into();
        }
        if let Some(quantization) = quantization(bits_by_module) {
            // mlx_lm writes both names and reads the first.
            config["quantization"] = quantization.clone();
            config["quantization_config"] = quantization;
        }
        config
    }
}

/// An id alone where there is one, as transformers writes it.
pub(super) fn one_or_many(ids: &[u32]) -> Value {
    match ids {
        [] => Value::Null,
        [id] => json!(id),
        ids => json!(ids),
    }
}

/// As mlx_lm writes mixtures: defaults, and an entry for each module that differs.
fn quantization(bits_by_module: &[(String, usize)]) -> Option<Value> {
    let default_bits = [4, 5, 8]
        .into_iter()
        .max_by_key(|bits| bits_by_module.iter().filter(|(_, it)| it == bits).count())?;
    if bits_by_module.is_empty() {
        return None;
    }
    let entry = |bits: usize| {
        let mut entry = Map::new();
        entry.insert("group_size".into(), GROUP.into());
        entry.insert("bits".into(), bits.into());
        entry.insert("mode".into(), "affine".into());
        entry
    };
    let mut res = entry(default_bits);
    for (module, bits) in bits_by_module.iter().filter(|(_, bits)| *bits != default_bits) {
        res.insert(module.clone(), entry(*bits).into());
    }
    Some(res.into())
}

fn rope_scaling(gguf: &GgufFile, name: &str, head_dim: usize, theta: f64) -> Result<Value, StoreError> {
    let metadata = &gguf.metadata;
    let factor = metadata.number(&format!("{name}.rope.scaling.factor"));
    if let Some(freqs) = gguf.tensor("rope_freqs.weight") {
        return llama3_scaling(gguf, freqs, head_dim, theta);
    }
    match (metadata.text(&format!("{name}.rope.scaling.type")).unwrap_or("none"), factor) {
        ("none", _) => Ok(Value::Null),
        ("linear", Some(factor)) => Ok(json!({ "rope_type": "linear", "type": "linear", "factor": factor })),
        ("yarn", Some(factor)) => {
            let key = format!("{name}.rope.scaling.original_context_length");
            let original =
                metadata.count(&key).ok_or_else(|| gguf.bad(format!("it does not say `{key}`")))?;
            Ok(json!({
                "rope_type": "yarn",
                "type": "yarn",
                "factor": factor,
                "original_max_position_embeddings": original,
            }))
        }
        (kind @ ("linear" | "yarn"), None) => {
            Err(gguf.bad(format!("its `{kind}` rope scaling has no factor")))
        }
        (kind, _) => Err(gguf.unsupported(format!("the rope scaling `{kind}`"), "choose another model")),
    }
}

/// llama.cpp stores the result of Llama 3's rope formula, not its parameters. The factor is the largest number; the
/// others are the same in all published models, and the result is compared with the stored one.
fn llama3_scaling(
    gguf: &GgufFile,
    tensor: &TensorInfo,
    head_dim: usize,
    theta: f64,
) -> Result<Value, StoreError> {
    const LOW: f64 = 1.0;
    const HIGH: f64 = 4.0;
    const ORIGINAL_CONTEXT: f64 = 8192.0;

    if tensor.row_bytes() != head_dim / 2 * 4 || tensor.n_rows != 1 {
        return Err(gguf.bad("`rope_freqs.weight` must be half a head of F32"));
    }
    let mut bytes = vec![0; tensor.row_bytes()];
    gguf.read(tensor, 0, &mut bytes)?;
    let stored: Vec<f64> =
        bytes.chunks_exact(4).map(|it| f64::from(f32::from_le_bytes([it[0], it[1], it[2], it[3]]))).collect();
    let factor = stored.iter().copied().fold(1.0, f64::max);
    let expected = (0..head_dim / 2).map(|i| {
        let wavelength = std::f64::consts::TAU * theta.powf(2.0 * i as f64 / head_dim as f64);
        if wavelength < ORIGINAL_CONTEXT / HIGH {
            1.0
        } else if wavelength > ORIGINAL_CONTEXT / LOW {
            factor
        } else {
            let smooth = (ORIGINAL_CONTEXT / wavelength - LOW) / (HIGH - LOW);
            ((1.0 - smooth) / factor + smooth).recip()
        }
    });
    if stored.iter().zip(expected).any(|(got, expected)| (got / expected - 1.0).abs() > ROPE_TOLERANCE) {
        return Err(gguf.unsupported("rope frequencies that are not Llama 3's", "choose another model"));
    }
    Ok(json!({
        "rope_type": "llama3",
        "factor": shortest(factor),
        "low_freq_factor": LOW,
        "high_freq_factor": HIGH,
        "original_max_position_embeddings": 8192,
    }))
}

/// The shortest decimal that reads back as the same f32: 1e-5 instead of 9.999999747378752e-6.
fn shortest(value: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "the file holds an f32")]
    let text = (value as f32).to_string();
    text.parse().unwrap_or(value)
}
