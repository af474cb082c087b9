//! The dense decoder that the llama family shares: RMS norm, grouped-query attention with rope, gated MLP.
//!
//! Works on a ragged batch: the rows of all spans are stacked, linear layers and norms run over all rows at once, and
//! attention runs span by span on the span's own cache. Fields are named as in the checkpoints. [`crate::fused`] and
//! [`crate::attention`] decide whether MLX or the CPU kernels compute a step.

use std::ops::Range;

use mlx_rs::{Array, Dtype, error::Result};

use crate::LoadError;
use crate::attention::Attention;
use crate::cache::KvCache;
use crate::cpu_kernels::{LayerParts, PackedLayers};
use crate::decoder_config::DecoderConfig;
use crate::fused::{Embedding, NormGateUp, NormOutput, ResidualLinear};
use crate::rope::Rope;
use crate::spans::SpanRows;
use crate::weights::Weights;

struct DecoderLayer {
    self_attn: Attention,
    o_proj: ResidualLinear,
    gate_up_proj: NormGateUp,
    down_proj: ResidualLinear,
}

impl DecoderLayer {
    fn load(
        weights: &mut Weights,
        name: &str,
        config: &DecoderConfig,
    ) -> std::result::Result<Self, LoadError> {
        let (n_hidden, n_inner, bias) = (config.hidden_size, config.intermediate_size, config.mlp_bias);
        let eps = config.rms_norm_eps;
        let n_attention = config.num_attention_heads * config.head_dim;
        let attn = format!("{name}.self_attn");
        let input_layernorm = weights.norm(&format!("{name}.input_layernorm"), n_hidden, eps)?;
        let self_attn = Attention::load(weights, &attn, input_layernorm, config)?;
        let o_proj = weights.linear(&format!("{attn}.o_proj"), n_hidden, n_attention, config.o_bias)?;
        let o_proj = ResidualLinear::new(weights, o_proj)?;
        let post_attention_layernorm =
            weights.norm(&format!("{name}.post_attention_layernorm"), n_hidden, eps)?;
        let gate_proj = weights.linear(&format!("{name}.mlp.gate_proj"), n_inner, n_hidden, bias)?;
        let up_proj = weights.linear(&format!("{name}.mlp.up_proj"), n_inner, n_hidden, bias)?;
        let gate_up_proj = NormGateUp::new(weights, post_attention_layernorm, gate_proj, up_proj)?;
        let down_proj = weights.linear(&format!("{name}.mlp.down_proj"), n_hidden, n_inner, bias)?;
        let down_proj = ResidualLinear::new(weights, down_proj)?;
        Ok(Self { self_attn, o_proj, gate_up_proj, down_proj })
    }

    /// The parts, if the CPU kernels compute all of them.
    fn packed(&self) -> Option<LayerParts<'_>> {
        match (&self.self_attn, &self.o_proj, &self.gate_up_proj, &self.down_proj) {
            (
                Attention::Packed(self_attn),
                ResidualLinear::Packed(o_proj),
                NormGateUp::Packed(gate_up_proj),
                ResidualLinear::Packed(down_proj),
            ) => Some((self_attn, [o_proj, gate_up_proj, down_proj])),
            _ => None,
        }
    }

    fn forward(&self, x: &Array, rope: &Rope, layer_idx: usize, spans: &mut [SpanRows<'_>]) -> Result<Array> {
        let h = self.o_proj.forward(&self.self_attn.forward(x, rope, layer_idx, spans)?, x)?;
        self.down_proj.forward(&self.gate_up_proj.forward(&h)?, &h)
    }
}

/// Embedding, layers, final norm and output matrix.
pub(crate) struct Decoder {
    embed_tokens: Embedding,
    layers: Vec<DecoderLayer>,
    /// All layers as one operation, if the CPU kernels compute every part of them.
    packed_layers: Option<PackedLayers>,
    output: NormOutput,
    rope: Rope,
    kv_bytes_per_token: u64,
    config: DecoderConfig,
}

impl Decoder {
    pub(crate) fn load(weights: &mut Weights, config: DecoderConfig) -> std::result::Result<Self, LoadError> {
        let rope = Rope::new(config.head_dim, &config.rope);
        let (n_tokens, n_hidden) = (config.vocab_size, config.hidden_size);
        let embed_tokens = weights.matrix("model.embed_tokens", n_tokens, n_hidden)?;
        let embed_dtype = embed_tokens.dtype();
        let embed_tokens = Embedding::new(weights, embed_tokens)?;
        let layers = (0..config.num_hidden_layers)
            .map(|i| DecoderLayer::load(weights, &format!("model.layers.{i}"), &config))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let packed_layers =
            layers.iter().map(DecoderLayer::packed).collect::<Option<_>>().and_then(PackedLayers::new);
        let norm = weights.norm("model.norm", n_hidden, config.rms_norm_eps)?;
        // A float32 norm turns half-precision activations into float32.
        let dtype = if norm.weight.dtype() == Dtype::Float32 { Dtype::Float32 } else { embed_dtype };
        let kv_bytes_per_token = layers.iter().map(|it| it.self_attn.kv_bytes_per_token(dtype)).sum();
        let output = if config.tie_word_embeddings {
            embed_tokens.as_output(norm)?
        } else {
            let lm_head = weights.matrix("lm_head", n_tokens, n_hidden)?;
            NormOutput::new(weights, norm, lm_head)?
        };
        Ok(Self { embed_tokens, layers, packed_layers, output, rope, kv_bytes_per_token, config })
    }

    pub(crate) fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Empty caches for a slot, one per layer.
    pub(crate) fn make_caches(&self) -> Vec<KvCache> {
        self.layers.iter().map(|it| it.self_attn.make_cache()).collect()
    }

    /// Appends `tokens` of another slot's caches, with their keys rotated to the new positions. The result need not
    /// have been evaluated yet.
    pub(crate) fn append_shifted(
        &self,
        to: &mut [KvCache],
        from: &[KvCache],
        tokens: &Range<usize>,
    ) -> Result<()> {
        for (layer, (to, from)) in self.layers.iter().zip(to.iter_mut().zip(from)) {
            layer.self_attn.append_shifted(to, from, tokens, &self.rope)?;
        }
        Ok(())
    }

    /// Bytes per token of keys and values, in all layers.
    pub(crate) fn kv_bytes_per_token(&self) -> u64 {
        self.kv_bytes_per_token
    }

    /// Feeds the tokens `[T]` of all spans and returns the logits `[n_out, vocab_size]` of the rows in `out_rows`;
    /// `None` if there are none, as for all but the last chunk of a prompt.
    pub(crate) fn forward(
        &self,
        tokens: &Array,
        spans: &mut [SpanRows<'_>],
        out_rows: &[i32],
    ) -> Result<Option<Array>> {
        let mut h = self.embed_tokens.forward(tokens)?;
        if let Some(layers) = &self.packed_layers {
            h = layers.forward(&h, &self.rope, spans)?;
        } else {
            for (layer_idx, layer) in self.layers.iter().enumerate() {
                h = layer.forward(&h, &self.rope, layer_idx, spans)?;
            }
        }
        if out_rows.is_empty() {
            return Ok(None);
        }
        // The output matrix is the largest of all, so only the requested rows pass through it.
        let n_out = i32::try_from(out_rows.len()).expect("a batch has fewer than 2^31 rows");
        if n_out != h.dim(0) {
            h = h.take_axis(Array::from_slice(out_rows, &[n_out]), 0)?;
        }
        self.output.forward(&h).map(Some)
    }
}
