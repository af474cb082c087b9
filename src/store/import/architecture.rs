//! The model's architecture as a GGUF file describes it, and the `config.json` that describes the same for
//! transformers: [`Architecture`].
//!
//! There are three families, `llama`, `qwen2` and `qwen3`, which differ in the weights that llama.cpp permuted, in biases
//! and in norms of queries and keys. Anything that would change what the model computes (experts, another rope, an unknown
//! tensor) is refused here, before anything is converted.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::blocks::GROUP;
use super::decimal::shortest;
use super::keys::{self, MAX_COUNT};
use super::rope;
use crate::error::StoreError;
use crate::gguf::{GgufFile, TensorInfo};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Llama,
    Qwen2,
    Qwen3,
}

/// The dimensions and constants of the model.
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
    pub(super) vocab_size: usize,
    norm_eps: f64,
    rope_theta: f64,
    rope_scaling: Value,
    tied: bool,
    attention_bias: bool,
    mlp_bias: bool,
}

impl Architecture {
    pub(super) fn read(gguf: &GgufFile) -> Result<Self, StoreError> {
        let name =
            gguf.metadata.text("general.architecture").ok_or_else(|| gguf.bad("it names no architecture"))?;
        let family = match name {
            "llama" => Family::Llama,
            "qwen2" => Family::Qwen2,
            "qwen3" => Family::Qwen3,
            other => {
                return Err(gguf.unsupported(
                    format!("the architecture `{other}`"),
                    "`llama`, `qwen2` and `qwen3` are known; for others take a safetensors folder in the layout of mlx-community",
                ));
            }
        };
        keys::check_kinds(gguf, name)?;
        if keys::count(gguf, "split.count", 0..=MAX_COUNT)?.is_some_and(|it| it > 1) {
            return Err(gguf.unsupported(
                "the other parts of a split file",
                "join them first: `llama-gguf-split --merge`",
            ));
        }
        if keys::count(gguf, &format!("{name}.expert_count"), 0..=MAX_COUNT)?.is_some_and(|it| it > 0) {
            return Err(gguf.unsupported("experts", "choose a dense model"));
        }

        let optional = |key: &str| keys::count(gguf, &format!("{name}.{key}"), 1..=MAX_COUNT);
        let of_layers = |key: &str| keys::count_of_layers(gguf, &format!("{name}.{key}"));
        let needed =
            |key: &str, it: Option<usize>| it.ok_or_else(|| keys::absent(gguf, &format!("{name}.{key}")));
        let count = |key: &str| needed(key, optional(key)?);
        let n_heads = needed("attention.head_count", of_layers("attention.head_count")?)?;
        let n_kv_heads = of_layers("attention.head_count_kv")?.unwrap_or(n_heads);
        let hidden_size = count("embedding_length")?;
        let head_dim = optional("attention.key_length")?.unwrap_or(hidden_size / n_heads);
        if n_heads % n_kv_heads != 0 || head_dim == 0 || head_dim % 2 != 0 {
            return Err(gguf.bad(format!(
                "impossible numbers of heads: {n_heads}, {n_kv_heads} for keys, of size {head_dim}"
            )));
        }
        if let Some(value_dim) = optional("attention.value_length")?.filter(|it| *it != head_dim) {
            return Err(gguf.unsupported(
                format!("values of size {value_dim} with keys of size {head_dim}"),
                "choose another model",
            ));
        }
        let rope_dims = optional("rope.dimension_count")?.unwrap_or(head_dim);
        if rope_dims != head_dim {
            return Err(gguf.unsupported(
                format!("a rope over {rope_dims} of {head_dim} dimensions"),
                "choose another model",
            ));
        }
        let embedding =
            gguf.tensor("token_embd.weight").ok_or_else(|| gguf.bad("it has no `token_embd.weight`"))?;
        // The model computes in f32, so the value must be a normal number in that type.
        let is_base = |it: f64| (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&it);
        let rope_theta = keys::number(gguf, &format!("{name}.rope.freq_base"), "a number above 0", is_base)?
            .unwrap_or(10_000.0);
        let key = format!("{name}.attention.layer_norm_rms_epsilon");
        let norm_eps = keys::number(gguf, &key, "a number from 0 to 1", |it| (0.0..=1.0).contains(&it))?
            .ok_or_else(|| keys::absent(gguf, &key))?;

        let this = Self {
            family,
            n_layers: count("block_count")?,
            n_heads,
            n_kv_heads,
            head_dim,
            context_len: count("context_length")?,
            hidden_size,
            intermediate_size: needed("feed_forward_length", of_layers("feed_forward_length")?)?,
            vocab_size: embedding.n_rows,
            norm_eps: shortest(norm_eps),
            rope_theta,
            rope_scaling: rope::scaling(gguf, name, head_dim, rope_theta)?,
            tied: gguf.tensor("output.weight").is_none(),
            attention_bias: gguf.tensor("blk.0.attn_q.bias").is_some(),
            mlp_bias: gguf.tensor("blk.0.ffn_down.bias").is_some(),
        };
        if family == Family::Qwen2 && !this.attention_bias {
            return Err(gguf.bad("a `qwen2` model has biases on q, k and v, but this file has none"));
        }
        this.check_tensors(gguf)?;
        Ok(this)
    }

    /// Checks that every weight the model needs exists and has the right shape, and that there is no other tensor.
    fn check_tensors(&self, gguf: &GgufFile) -> Result<(), StoreError> {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let (q, kv) = (self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim);
        let mut known = HashSet::from([rope::FREQS.to_owned()]);
        let mut check = |name: String, n_rows: usize, n_columns: usize| {
            let Some(it) = gguf.tensor(&name) else { return Err(gguf.bad(format!("it has no `{name}`"))) };
            if (it.n_rows, it.n_columns) != (n_rows, n_columns) {
                return Err(gguf.bad(format!(
                    "tensor `{name}` must be {n_rows} x {n_columns}, got {} x {}",
                    it.n_rows, it.n_columns
                )));
            }
            let n_dims = if n_rows == 1 { 1 } else { 2 };
            if it.n_dims != n_dims {
                return Err(
                    gguf.bad(format!("tensor `{name}` must have {n_dims} dimensions, got {}", it.n_dims))
                );
            }
            known.insert(name);
            Ok(())
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
            if self.family == Family::Qwen3 {
                check(format!("blk.{layer}.attn_q_norm.weight"), 1, self.head_dim)?;
                check(format!("blk.{layer}.attn_k_norm.weight"), 1, self.head_dim)?;
            }
            let mut biases = Vec::new();
            if self.attention_bias {
                biases.extend([("attn_q", q), ("attn_k", kv), ("attn_v", kv)]);
                // transformers' `attention_bias` means all four projections, and qwen2 has three biases without it.
                if self.family != Family::Qwen2 {
                    biases.push(("attn_output", hidden));
                }
            }
            if self.mlp_bias && self.family == Family::Llama {
                biases.extend([("ffn_gate", inner), ("ffn_up", inner), ("ffn_down", hidden)]);
            }
            for (part, len) in biases {
                check(format!("blk.{layer}.{part}.bias"), 1, len)?;
            }
        }
        // Otherwise a bias that only some layers have, or that the model does not apply, would silently be dropped.
        match gguf.tensors.iter().find(|it| !known.contains(&it.name)) {
            Some(it) => Err(gguf.unsupported(format!("the tensor `{}`", it.name), "choose another model")),
            None => Ok(()),
        }
    }

    /// The path of the module that a tensor belongs to, and `weight` or `bias`. `None` if the model has no such module.
    pub(super) fn module_of(tensor: &str) -> Option<(String, &'static str)> {
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
                let layer: usize = layer.parse().ok()?;
                let part = match part {
                    "attn_norm" => "input_layernorm",
                    "attn_q" => "self_attn.q_proj",
                    "attn_k" => "self_attn.k_proj",
                    "attn_v" => "self_attn.v_proj",
                    "attn_output" => "self_attn.o_proj",
                    "attn_q_norm" => "self_attn.q_norm",
                    "attn_k_norm" => "self_attn.k_norm",
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

    /// Whether llama.cpp interleaved the two halves of each head in this tensor's rows.
    pub(super) fn is_permuted(&self, tensor: &TensorInfo) -> bool {
        self.family == Family::Llama && (tensor.name.contains(".attn_q.") || tensor.name.contains(".attn_k."))
    }

    /// The contents of `config.json`. `bits_by_module` has an entry for each quantized module; the most common width
    /// becomes the default.
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
            Family::Qwen3 => ("qwen3", "Qwen3ForCausalLM"),
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
        if self.family != Family::Qwen2 {
            config["attention_bias"] = self.attention_bias.into();
        }
        if self.family == Family::Llama {
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

/// A single id as a number, several as a list, as transformers writes them.
pub(super) fn one_or_many(ids: &[u32]) -> Value {
    match ids {
        [] => Value::Null,
        [id] => json!(id),
        ids => json!(ids),
    }
}

/// Mixed quantization as mlx_lm writes it: defaults, and an entry for each module that differs.
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
