//! The architectures that GGUF files may have: [`Family`], with the names of their tensors and what else config.json says
//! of them.

use serde_json::{Map, Value, json};

use super::decimal::shortest;
use super::keys::{self, MAX_COUNT};
use crate::error::StoreError;
use crate::gguf::GgufFile;

/// How one architecture differs from the others.
#[derive(Debug)]
pub(super) struct Family {
    /// What GGUF files call it.
    pub(super) name: &'static str,
    pub(super) model_type: &'static str,
    /// What transformers calls it.
    pub(super) class: &'static str,
    pub(super) activation: &'static str,
    /// Whether llama.cpp interleaved the two halves of each query and key head.
    pub(super) is_permuted: bool,
    /// A layer's norms: the names of GGUF and of the checkpoint.
    pub(super) norms: &'static [(&'static str, &'static str)],
    /// Whether queries and keys of each head have a norm.
    pub(super) has_head_norms: bool,
    /// llama.cpp's weights of norms are greater than the checkpoint's by this.
    pub(super) norm_offset: f32,
    pub(super) attention_bias: AttentionBias,
    pub(super) has_sinks: bool,
    pub(super) experts: Option<ExpertNames>,
}

/// Which projections of attention may have biases: all or none, by whether the query's has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttentionBias {
    /// Of queries, keys and values, always; config.json does not say so.
    Implied,
    /// Of queries, keys, values and outputs.
    All,
    /// Of queries, keys and values.
    WithoutOutput,
}

/// Where a layer's experts are, below the layer's name.
#[derive(Debug)]
pub(super) struct ExpertNames {
    pub(super) router: &'static str,
    pub(super) stacks: &'static str,
    /// Whether router and experts have biases.
    pub(super) has_biases: bool,
    n_experts: &'static str,
}

const PRE_NORMS: &[(&str, &str)] =
    &[("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")];
/// A layer whose second norm has the place of attention's.
const POST_NORMS: &[(&str, &str)] =
    &[("attn_norm", "input_layernorm"), ("post_attention_norm", "post_attention_layernorm")];
const FOUR_NORMS: &[(&str, &str)] = &[
    ("attn_norm", "input_layernorm"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

const LLAMA: Family = Family {
    name: "llama",
    model_type: "llama",
    class: "LlamaForCausalLM",
    activation: "silu",
    is_permuted: true,
    norms: PRE_NORMS,
    has_head_norms: false,
    norm_offset: 0.0,
    attention_bias: AttentionBias::All,
    has_sinks: false,
    experts: None,
};
const GRANITE: Family =
    Family { name: "granite", model_type: "granite", class: "GraniteForCausalLM", ..LLAMA };
const QWEN3: Family = Family {
    name: "qwen3",
    model_type: "qwen3",
    class: "Qwen3ForCausalLM",
    is_permuted: false,
    has_head_norms: true,
    ..LLAMA
};
const GEMMA2: Family = Family {
    name: "gemma2",
    model_type: "gemma2",
    class: "Gemma2ForCausalLM",
    activation: "gelu_pytorch_tanh",
    is_permuted: false,
    norms: FOUR_NORMS,
    norm_offset: 1.0,
    ..LLAMA
};

static FAMILIES: [Family; 10] = [
    LLAMA,
    Family {
        name: "qwen2",
        model_type: "qwen2",
        class: "Qwen2ForCausalLM",
        is_permuted: false,
        attention_bias: AttentionBias::Implied,
        ..LLAMA
    },
    QWEN3,
    Family {
        name: "qwen3moe",
        model_type: "qwen3_moe",
        class: "Qwen3MoeForCausalLM",
        experts: Some(ExpertNames {
            router: "mlp.gate",
            stacks: "mlp.switch_mlp",
            has_biases: false,
            n_experts: "num_experts",
        }),
        ..QWEN3
    },
    GRANITE,
    Family {
        name: "granitemoe",
        model_type: "granitemoe",
        class: "GraniteMoeForCausalLM",
        experts: Some(ExpertNames {
            router: "block_sparse_moe.router.layer",
            stacks: "block_sparse_moe.switch_mlp",
            has_biases: false,
            n_experts: "num_local_experts",
        }),
        ..GRANITE
    },
    GEMMA2,
    Family {
        name: "gemma3",
        model_type: "gemma3_text",
        class: "Gemma3ForCausalLM",
        has_head_norms: true,
        ..GEMMA2
    },
    Family {
        name: "seed_oss",
        model_type: "seed_oss",
        class: "SeedOssForCausalLM",
        is_permuted: false,
        norms: POST_NORMS,
        attention_bias: AttentionBias::WithoutOutput,
        ..LLAMA
    },
    Family {
        name: "gpt-oss",
        model_type: "gpt_oss",
        class: "GptOssForCausalLM",
        is_permuted: false,
        norms: POST_NORMS,
        has_sinks: true,
        experts: Some(ExpertNames {
            router: "mlp.router",
            stacks: "mlp.experts",
            has_biases: true,
            n_experts: "num_local_experts",
        }),
        ..LLAMA
    },
];

/// Numbers that the fields of a family depend on.
pub(super) struct Sizes {
    pub(super) n_layers: usize,
    pub(super) n_heads: usize,
    pub(super) hidden_size: usize,
    pub(super) head_dim: usize,
    pub(super) experts: Option<ExpertSizes>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ExpertSizes {
    pub(super) n: usize,
    pub(super) n_used: usize,
    pub(super) inner: usize,
}

impl Family {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        FAMILIES.iter().find(|it| it.name == name)
    }

    /// The sizes of the experts that the file says it has; `None` for an architecture without them.
    pub(super) fn expert_sizes(
        &self,
        gguf: &GgufFile,
        intermediate_size: usize,
    ) -> Result<Option<ExpertSizes>, StoreError> {
        let count = |key: &str| keys::count(gguf, &format!("{}.{key}", self.name), 0..=MAX_COUNT);
        let n = count("expert_count")?.unwrap_or(0);
        if self.experts.is_none() {
            let none = || gguf.unsupported("experts", "choose a dense model");
            return if n == 0 { Ok(None) } else { Err(none()) };
        }
        let needed = |key: &str, it: Option<usize>| {
            it.filter(|it| *it > 0).ok_or_else(|| keys::absent(gguf, &format!("{}.{key}", self.name)))
        };
        let n = needed("expert_count", Some(n))?;
        let n_used = needed("expert_used_count", count("expert_used_count")?)?;
        if n_used > n {
            return Err(gguf.bad(format!("a token uses {n_used} of {n} experts")));
        }
        let inner = count("expert_feed_forward_length")?.filter(|it| *it > 0).unwrap_or(intermediate_size);
        Ok(Some(ExpertSizes { n, n_used, inner }))
    }

    /// The fields of config.json that other architectures do not have.
    pub(super) fn fields(&self, gguf: &GgufFile, sizes: &Sizes) -> Result<Map<String, Value>, StoreError> {
        let number = |key: &str, or: Option<f64>| {
            let key = format!("{}.{key}", self.name);
            let is_positive = |it: f64| it.is_finite() && it > 0.0;
            let it = keys::number(gguf, &key, "a number above 0", is_positive)?.or(or);
            it.map(shortest).ok_or_else(|| keys::absent(gguf, &key))
        };
        let window = |or: usize| {
            let window = keys::count(gguf, &format!("{}.attention.sliding_window", self.name), 1..=MAX_COUNT);
            Ok::<_, StoreError>(window?.unwrap_or(or))
        };
        let mut fields = Map::new();
        let mut put = |value: Value| fields.extend(value.as_object().cloned().unwrap_or_default());
        match self.name {
            "qwen3moe" => put(json!({
                "decoder_sparse_step": 1, "mlp_only_layers": [], "norm_topk_prob": true,
                "moe_intermediate_size": sizes.experts.map(|it| it.inner),
            })),
            "granite" | "granitemoe" => put(json!({
                // mlx_lm requires it.
                "mlp_bias": false,
                "logits_scaling": number("logit_scale", None)?,
                "attention_multiplier": number("attention.scale", None)?,
                "embedding_multiplier": number("embedding_scale", None)?,
                "residual_multiplier": number("residual_scale", None)?,
            })),
            "gemma2" => put(json!({
                // llama.cpp knows the largest model, which has another one, by its layers too.
                "query_pre_attn_scalar": sizes.query_scalar(46),
                "attn_logit_softcapping": number("attn_logit_softcapping", Some(50.0))?,
                "final_logit_softcapping": number("final_logit_softcapping", Some(30.0))?,
                "sliding_window": window(4096)?,
            })),
            "gemma3" => put(json!({
                "query_pre_attn_scalar": sizes.query_scalar(62),
                "rope_local_base_freq": number("rope.freq_base_swa", Some(10_000.0))?,
                "sliding_window": window(512)?,
                "sliding_window_pattern": 6,
            })),
            "seed_oss" => put(json!({ "attention_out_bias": false })),
            "gpt-oss" => put(json!({ "sliding_window": window(128)? })),
            _ => {}
        }
        if let (Some(names), Some(experts)) = (&self.experts, sizes.experts) {
            put(json!({ names.n_experts: experts.n, "num_experts_per_tok": experts.n_used }));
        }
        Ok(fields)
    }
}

impl Sizes {
    /// What Gemma divides scores by the root of, where `n_of_largest` is the number of layers of the largest model.
    fn query_scalar(&self, n_of_largest: usize) -> usize {
        if self.n_layers == n_of_largest { self.hidden_size / self.n_heads } else { self.head_dim }
    }
}
