//! The model's architecture as a GGUF file describes it, and the `config.json` that describes the same for
//! transformers: [`Architecture`].
//!
//! Families differ in the weights that llama.cpp permuted, in biases, norms and experts (see [`Family`]). Anything that
//! would change what the model computes (another rope, an unknown tensor) is refused here, before anything is converted.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::blocks::GROUP;
use super::decimal::shortest;
use super::family::{AttentionBias, ExpertSizes, Family, Sizes};
use super::keys::{self, MAX_COUNT};
use super::rope;
use crate::error::StoreError;
use crate::gguf::{GgufFile, TensorInfo};

/// The dimensions and constants of the model.
#[derive(Debug)]
pub(super) struct Architecture {
    pub(super) family: &'static Family,
    experts: Option<ExpertSizes>,
    /// Fields of config.json that other architectures do not have.
    fields: Map<String, Value>,
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
        let family = Family::named(name).ok_or_else(|| {
            gguf.unsupported(
                format!("the architecture `{name}`"),
                "`llama`, `qwen2`, `qwen3`, `qwen3moe`, `granite`, `granitemoe`, `gemma2`, `gemma3`, `seed_oss` and `gpt-oss` are known; for others take a safetensors folder in the layout of mlx-community",
            )
        })?;
        keys::check_kinds(gguf, name)?;
        if keys::count(gguf, "split.count", 0..=MAX_COUNT)?.is_some_and(|it| it > 1) {
            return Err(gguf.unsupported(
                "the other parts of a split file",
                "join them first: `llama-gguf-split --merge`",
            ));
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

        let n_layers = count("block_count")?;
        let intermediate_size = of_layers("feed_forward_length")?;
        let experts = family.expert_sizes(gguf, intermediate_size.unwrap_or(0))?;
        let sizes = Sizes { n_layers, n_heads, hidden_size, head_dim, experts };
        let this = Self {
            family,
            experts,
            fields: family.fields(gguf, &sizes)?,
            n_layers,
            n_heads,
            n_kv_heads,
            head_dim,
            context_len: count("context_length")?,
            hidden_size,
            intermediate_size: needed(
                "feed_forward_length",
                intermediate_size.or(experts.map(|it| it.inner)),
            )?,
            vocab_size: embedding.n_rows,
            norm_eps: shortest(norm_eps),
            rope_theta,
            rope_scaling: rope::scaling(gguf, name, head_dim, rope_theta)?,
            tied: gguf.tensor("output.weight").is_none(),
            attention_bias: gguf.tensor("blk.0.attn_q.bias").is_some(),
            mlp_bias: gguf.tensor("blk.0.ffn_down.bias").is_some(),
        };
        if family.attention_bias == AttentionBias::Implied && !this.attention_bias {
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
        let mut check_of = |name: String, n_stacked: usize, n_rows: usize, n_columns: usize| {
            let Some(it) = gguf.tensor(&name) else { return Err(gguf.bad(format!("it has no `{name}`"))) };
            if Some(it.n_rows) != n_stacked.checked_mul(n_rows) || it.n_columns != n_columns {
                return Err(gguf.bad(format!(
                    "tensor `{name}` must be {n_rows} x {n_columns}, got {} x {}",
                    it.n_rows, it.n_columns
                )));
            }
            let n_dims = if n_stacked > 1 {
                3
            } else if n_rows == 1 {
                1
            } else {
                2
            };
            if it.n_dims != n_dims {
                return Err(
                    gguf.bad(format!("tensor `{name}` must have {n_dims} dimensions, got {}", it.n_dims))
                );
            }
            known.insert(name);
            Ok(())
        };
        let mut check = |name: String, n_rows, n_columns| check_of(name, 1, n_rows, n_columns);
        check("token_embd.weight".into(), self.vocab_size, hidden)?;
        check("output_norm.weight".into(), 1, hidden)?;
        if !self.tied {
            check("output.weight".into(), self.vocab_size, hidden)?;
        }
        for layer in 0..self.n_layers {
            for (part, _) in self.family.norms {
                check(format!("blk.{layer}.{part}.weight"), 1, hidden)?;
            }
            for (part, n_rows, n_columns) in [
                ("attn_q", q, hidden),
                ("attn_k", kv, hidden),
                ("attn_v", kv, hidden),
                ("attn_output", hidden, q),
            ] {
                check(format!("blk.{layer}.{part}.weight"), n_rows, n_columns)?;
            }
            if self.family.has_head_norms {
                check(format!("blk.{layer}.attn_q_norm.weight"), 1, self.head_dim)?;
                check(format!("blk.{layer}.attn_k_norm.weight"), 1, self.head_dim)?;
            }
            if self.family.has_sinks {
                check(format!("blk.{layer}.attn_sinks.weight"), 1, self.n_heads)?;
            }
            let mut biases = Vec::new();
            if self.attention_bias {
                biases.extend([("attn_q", q), ("attn_k", kv), ("attn_v", kv)]);
                if self.family.attention_bias == AttentionBias::All {
                    biases.push(("attn_output", hidden));
                }
            }
            if self.experts.is_none() {
                for (part, n_rows, n_columns) in
                    [("ffn_gate", inner, hidden), ("ffn_up", inner, hidden), ("ffn_down", hidden, inner)]
                {
                    check(format!("blk.{layer}.{part}.weight"), n_rows, n_columns)?;
                }
                if self.mlp_bias && self.family.name == "llama" {
                    biases.extend([("ffn_gate", inner), ("ffn_up", inner), ("ffn_down", hidden)]);
                }
            }
            for (part, len) in biases {
                check(format!("blk.{layer}.{part}.bias"), 1, len)?;
            }
        }
        if let (Some(ExpertSizes { n, inner, .. }), Some(names)) = (self.experts, &self.family.experts) {
            for layer in 0..self.n_layers {
                check_of(format!("blk.{layer}.ffn_gate_inp.weight"), 1, n, hidden)?;
                if names.has_biases {
                    check_of(format!("blk.{layer}.ffn_gate_inp.bias"), 1, 1, n)?;
                }
                for (part, n_rows, n_columns) in [
                    ("ffn_gate_exps", inner, hidden),
                    ("ffn_up_exps", inner, hidden),
                    ("ffn_down_exps", hidden, inner),
                ] {
                    check_of(format!("blk.{layer}.{part}.weight"), n, n_rows, n_columns)?;
                    if names.has_biases {
                        check_of(format!("blk.{layer}.{part}.bias"), 1, n, n_rows)?;
                    }
                }
            }
        }
        // Otherwise a bias that only some layers have, or that the model does not apply, would silently be dropped.
        match gguf.tensors.iter().find(|it| !known.contains(&it.name)) {
            Some(it) => Err(gguf.unsupported(format!("the tensor `{}`", it.name), "choose another model")),
            None => Ok(()),
        }
    }

    /// The name of a tensor in the checkpoint, in two parts: the path of the module that it belongs to, and `weight` or
    /// `bias`, which is empty if the name has no such part. `None` if the model has no such module.
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
                let layer: usize = layer.parse().ok()?;
                let norm = self.family.norms.iter().find(|it| it.0 == part).map(|it| it.1);
                let experts = self.family.experts.as_ref();
                let stack = |part: &str| experts.map(|it| format!("{}.{part}", it.stacks));
                let part = match part {
                    "attn_q" => "self_attn.q_proj".to_owned(),
                    "attn_k" => "self_attn.k_proj".to_owned(),
                    "attn_v" => "self_attn.v_proj".to_owned(),
                    "attn_output" => "self_attn.o_proj".to_owned(),
                    "attn_q_norm" => "self_attn.q_norm".to_owned(),
                    "attn_k_norm" => "self_attn.k_norm".to_owned(),
                    "attn_sinks" => return Some((format!("model.layers.{layer}.self_attn.sinks"), "")),
                    "ffn_gate" => "mlp.gate_proj".to_owned(),
                    "ffn_up" => "mlp.up_proj".to_owned(),
                    "ffn_down" => "mlp.down_proj".to_owned(),
                    "ffn_gate_inp" => experts?.router.to_owned(),
                    "ffn_gate_exps" => stack("gate_proj")?,
                    "ffn_up_exps" => stack("up_proj")?,
                    "ffn_down_exps" => stack("down_proj")?,
                    _ => norm?.to_owned(),
                };
                format!("model.layers.{layer}.{part}")
            }
        };
        Some((module, kind))
    }

    /// Whether llama.cpp interleaved the two halves of each head in this tensor's rows.
    pub(super) fn is_permuted(&self, tensor: &TensorInfo) -> bool {
        self.family.is_permuted && (tensor.name.contains(".attn_q.") || tensor.name.contains(".attn_k."))
    }

    /// The number of matrices in a tensor with one for each expert.
    pub(super) fn n_stacked(&self, tensor: &TensorInfo) -> Option<usize> {
        self.experts.map(|it| it.n).filter(|_| tensor.n_dims == 3)
    }

    /// What is subtracted from the numbers of a tensor.
    pub(super) fn offset(&self, tensor: &TensorInfo) -> f32 {
        if tensor.name.ends_with("norm.weight") { self.family.norm_offset } else { 0.0 }
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
        let mut config = json!({
            "architectures": [self.family.class],
            "model_type": self.family.model_type,
            "hidden_act": self.family.activation,
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
        if self.family.attention_bias != AttentionBias::Implied {
            config["attention_bias"] = self.attention_bias.into();
        }
        if self.family.name == "llama" {
            config["mlp_bias"] = self.mlp_bias.into();
        }
        config.as_object_mut().into_iter().for_each(|it| it.extend(self.fields.clone()));
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
    let default_bits = [4, 5, 6, 8]
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
