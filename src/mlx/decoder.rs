//! The dense decoder that the llama family shares: RMS norm, grouped-query attention with rope, gated MLP.
//!
//! Works on a ragged batch: the rows of all spans lie below each other, linear layers and norms run over all rows
//! at once, attention runs span by span on the span's own cache. Names are those of the checkpoints.

use std::ops::Range;

use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, Dtype, error::Result, fast, ops};

use crate::LoadError;
use crate::cache::KvCache;
use crate::linear::{Embedding, Linear};
use crate::rope::Rope;
use crate::weights::Weights;

/// What an architecture resolves its config.json to.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says of one thing in the checkpoint whether it is there"
)]
pub(crate) struct DecoderConfig {
    pub(crate) hidden_size: i32,
    pub(crate) num_hidden_layers: usize,
    pub(crate) intermediate_size: i32,
    pub(crate) num_attention_heads: i32,
    pub(crate) num_key_value_heads: i32,
    pub(crate) head_dim: i32,
    pub(crate) rms_norm_eps: f32,
    pub(crate) vocab_size: i32,
    pub(crate) max_position_embeddings: usize,
    pub(crate) tie_word_embeddings: bool,
    pub(crate) qkv_bias: bool,
    pub(crate) o_bias: bool,
    pub(crate) mlp_bias: bool,
}

/// One span of the batch: its rows, and the caches of its slot, a layer each.
pub(crate) struct SpanRows<'a> {
    pub(crate) rows: Range<i32>,
    pub(crate) caches: &'a mut [KvCache],
}

struct RmsNorm {
    weight: Array, // [hidden_size]
    eps: f32,
}

impl RmsNorm {
    fn load(
        weights: &mut Weights,
        name: &str,
        config: &DecoderConfig,
    ) -> std::result::Result<Self, LoadError> {
        let weight = weights.take(&format!("{name}.weight"), &[config.hidden_size])?;
        Ok(Self { weight, eps: config.rms_norm_eps })
    }

    fn forward(&self, x: &Array) -> Result<Array> {
        fast::rms_norm(x, Some(&self.weight), self.eps)
    }
}

struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    n_heads: i32,
    n_kv_heads: i32,
    head_dim: i32,
}

impl Attention {
    fn load(
        weights: &mut Weights,
        name: &str,
        config: &DecoderConfig,
    ) -> std::result::Result<Self, LoadError> {
        let n_in = config.hidden_size;
        let n_q = config.num_attention_heads * config.head_dim;
        let n_kv = config.num_key_value_heads * config.head_dim;
        let bias = config.qkv_bias;
        Ok(Self {
            q_proj: Linear::load(weights, &format!("{name}.q_proj"), n_q, n_in, bias)?,
            k_proj: Linear::load(weights, &format!("{name}.k_proj"), n_kv, n_in, bias)?,
            v_proj: Linear::load(weights, &format!("{name}.v_proj"), n_kv, n_in, bias)?,
            o_proj: Linear::load(weights, &format!("{name}.o_proj"), n_in, n_q, config.o_bias)?,
            n_heads: config.num_attention_heads,
            n_kv_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
        })
    }

    fn forward(&self, x: &Array, rope: &Rope, layer_idx: usize, spans: &mut [SpanRows<'_>]) -> Result<Array> {
        let queries = self.q_proj.forward(x)?; // [T, n_heads * head_dim]
        let keys = self.k_proj.forward(x)?; // [T, n_kv_heads * head_dim]
        let values = self.v_proj.forward(x)?;
        let mut outputs = Vec::with_capacity(spans.len());
        for span in spans {
            let queries = self.heads(&queries, &span.rows, self.n_heads)?; // [1, n_heads, L, head_dim]
            let keys = self.heads(&keys, &span.rows, self.n_kv_heads)?;
            let values = self.heads(&values, &span.rows, self.n_kv_heads)?;
            let cache = &mut span.caches[layer_idx];
            let offset = cache.n_tokens();
            let queries = rope.forward(&queries, offset)?;
            let keys = rope.forward(&keys, offset)?;
            let (keys, values) = cache.update_and_fetch(&keys, &values)?;
            let n_rows = span.rows.end - span.rows.start;
            let mask = (n_rows > 1).then_some(fast::ScaledDotProductAttentionMask::Causal);
            let scale = (self.head_dim as f32).powf(-0.5);
            let output = fast::scaled_dot_product_attention(&queries, &keys, &values, scale, mask, None)?;
            outputs.push(
                output.transpose_axes(&[0, 2, 1, 3])?.reshape(&[n_rows, self.n_heads * self.head_dim])?,
            );
        }
        let output = match outputs.as_slice() {
            [output] => output.clone(),
            _ => ops::concatenate(&outputs, 0)?,
        };
        self.o_proj.forward(&output)
    }

    /// A span's rows of `[T, n_heads * head_dim]` as `[1, n_heads, L, head_dim]`.
    fn heads(&self, x: &Array, rows: &Range<i32>, n_heads: i32) -> Result<Array> {
        let n_rows = rows.end - rows.start;
        let x = if n_rows == x.dim(0) { x.clone() } else { x.try_index((rows.clone(), ..))? };
        x.reshape(&[1, n_rows, n_heads, self.head_dim])?.transpose_axes(&[0, 2, 1, 3])
    }
}

#[expect(clippy::struct_field_names, reason = "the checkpoint's names")]
struct Mlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

impl Mlp {
    fn load(
        weights: &mut Weights,
        name: &str,
        config: &DecoderConfig,
    ) -> std::result::Result<Self, LoadError> {
        let (n_hidden, n_inner, bias) = (config.hidden_size, config.intermediate_size, config.mlp_bias);
        Ok(Self {
            gate_proj: Linear::load(weights, &format!("{name}.gate_proj"), n_inner, n_hidden, bias)?,
            up_proj: Linear::load(weights, &format!("{name}.up_proj"), n_inner, n_hidden, bias)?,
            down_proj: Linear::load(weights, &format!("{name}.down_proj"), n_hidden, n_inner, bias)?,
        })
    }

    fn forward(&self, x: &Array) -> Result<Array> {
        let gate = self.gate_proj.forward(x)?;
        let up = self.up_proj.forward(x)?;
        // mlx-rs's own silu is a compiled function, which on a CPU calls the C++ compiler at run time.
        let silu = gate.multiply(ops::sigmoid(&gate)?)?;
        self.down_proj.forward(&silu.multiply(up)?)
    }
}

struct DecoderLayer {
    self_attn: Attention,
    mlp: Mlp,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
}

impl DecoderLayer {
    fn load(
        weights: &mut Weights,
        name: &str,
        config: &DecoderConfig,
    ) -> std::result::Result<Self, LoadError> {
        Ok(Self {
            self_attn: Attention::load(weights, &format!("{name}.self_attn"), config)?,
            mlp: Mlp::load(weights, &format!("{name}.mlp"), config)?,
            input_layernorm: RmsNorm::load(weights, &format!("{name}.input_layernorm"), config)?,
            post_attention_layernorm: RmsNorm::load(
                weights,
                &format!("{name}.post_attention_layernorm"),
                config,
            )?,
        })
    }

    fn forward(&self, x: &Array, rope: &Rope, layer_idx: usize, spans: &mut [SpanRows<'_>]) -> Result<Array> {
        let h =
            x.add(self.self_attn.forward(&self.input_layernorm.forward(x)?, rope, layer_idx, spans)?)?;
        h.add(self.mlp.forward(&self.post_attention_layernorm.forward(&h)?)?)
    }
}

/// Embedding, layers, final norm and output matrix.
pub(crate) struct Decoder {
    embed_tokens: Embedding,
    layers: Vec<DecoderLayer>,
    norm: RmsNorm,
    /// `None` where the embedding serves as the output matrix.
    lm_head: Option<Linear>,
    rope: Rope,
    config: DecoderConfig,
}

impl Decoder {
    pub(crate) fn load(
        weights: &mut Weights,
        config: DecoderConfig,
        rope: Rope,
    ) -> std::result::Result<Self, LoadError> {
        let embed_tokens =
            Embedding::load(weights, "model.embed_tokens", config.vocab_size, config.hidden_size)?;
        let layers = (0..config.num_hidden_layers)
            .map(|i| DecoderLayer::load(weights, &format!("model.layers.{i}"), &config))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let norm = RmsNorm::load(weights, "model.norm", &config)?;
        let lm_head = (!config.tie_word_embeddings)
            .then(|| Linear::load(weights, "lm_head", config.vocab_size, config.hidden_size, false))
            .transpose()?;
        Ok(Self { embed_tokens, layers, norm, lm_head, rope, config })
    }

    pub(crate) fn config(&self) -> &DecoderConfig {
        &self.config
    }

    pub(crate) fn make_caches(&self) -> Vec<KvCache> {
        self.layers.iter().map(|_| KvCache::default()).collect()
    }

    /// Bytes of keys and values that one token takes.
    pub(crate) fn kv_bytes_per_token(&self) -> u64 {
        let is_float32 = [self.embed_tokens.dtype(), self.norm.weight.dtype()].contains(&Dtype::Float32);
        let n_values = 2 * self.config.num_key_value_heads * self.config.head_dim;
        let n_bytes = if is_float32 { 4 } else { 2 };
        self.layers.len() as u64 * u64::from(n_values.unsigned_abs()) * n_bytes
    }

    /// Feeds the tokens `[T]` of all spans and gives the logits `[n_out, vocab_size]` of the rows in `out_rows`;
    /// `None` where there are none, as between the chunks of a prompt.
    pub(crate) fn forward(
        &self,
        tokens: &Array,
        spans: &mut [SpanRows<'_>],
        out_rows: &[i32],
    ) -> Result<Option<Array>> {
        let mut h = self.embed_tokens.forward(tokens)?;
        for (layer_idx, layer) in self.layers.iter().enumerate() {
            h = layer.forward(&h, &self.rope, layer_idx, spans)?;
        }
        if out_rows.is_empty() {
            return Ok(None);
        }
        // The output matrix is the largest of all: only rows that are asked for pass through it.
        let n_out = i32::try_from(out_rows.len()).expect("a batch has fewer than 2^31 rows");
        if n_out != h.dim(0) {
            h = h.take_axis(Array::from_slice(out_rows, &[n_out]), 0)?;
        }
        let h = self.norm.forward(&h)?;
        let logits = match &self.lm_head {
            Some(lm_head) => lm_head.forward(&h)?,
            None => self.embed_tokens.as_linear(&h)?,
        };
        Ok(Some(logits))
    }
}
