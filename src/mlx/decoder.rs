//! The dense decoder that the llama family shares: RMS norm, grouped-query attention with rope, gated MLP.
//!
//! Works on a ragged batch: the rows of all spans lie below each other, linear layers and norms run over all rows
//! at once, attention runs span by span on the span's own cache. Names are those of the checkpoints. How each step of
//! a layer is computed, by MLX or by the CPU kernels, is the business of [`crate::fused`] and [`crate::attention`].

use std::ops::Range;

use mlx_rs::{Array, Dtype, error::Result};

use crate::LoadError;
use crate::attention::{Attention, Heads};
use crate::cache::KvCache;
use crate::config::ModelConfig;
use crate::cpu_kernels::{LayerParts, PackedLayers};
use crate::fused::{Embedding, NormGateUp, NormOutput, ResidualLinear, RmsNorm};
use crate::linear::{Linear, Matrix};
use crate::rope::{Rope, RopeConfig};
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
    pub(crate) rope: RopeConfig,
}

/// A part of a checkpoint, by the name of its module.
pub(crate) enum Part {
    Norm { name: String, n: i32 },
    Matrix { name: String, n_out: i32, n_in: i32, has_bias: bool },
}

impl DecoderConfig {
    pub(crate) fn heads(&self) -> Heads {
        Heads {
            n_heads: self.num_attention_heads,
            n_kv_heads: self.num_key_value_heads,
            head_dim: self.head_dim,
        }
    }

    /// Refuses numbers that no model has, and those that do not go together.
    pub(crate) fn check(&self, file: &ModelConfig) -> std::result::Result<(), LoadError> {
        for (field, value) in [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("vocab_size", self.vocab_size),
            ("num_hidden_layers", i32::try_from(self.num_hidden_layers).unwrap_or(i32::MAX)),
            ("max_position_embeddings", i32::try_from(self.max_position_embeddings).unwrap_or(i32::MAX)),
        ] {
            file.positive(field, value)?;
        }
        let (n_heads, n_kv_heads) = (self.num_attention_heads, self.num_key_value_heads);
        if n_heads % n_kv_heads != 0 {
            let expected = format!("a multiple of `num_key_value_heads`, {n_kv_heads}");
            return Err(file.impossible("num_attention_heads", &expected, n_heads));
        }
        if self.head_dim % 2 != 0 {
            return Err(file.impossible("head_dim", "even", self.head_dim));
        }
        if n_heads.checked_mul(self.head_dim).is_none() {
            let expected = format!("less, with {n_heads} heads");
            return Err(file.impossible("head_dim", &expected, self.head_dim));
        }
        if !(self.rms_norm_eps.is_finite() && self.rms_norm_eps >= 0.0) {
            return Err(file.impossible("rms_norm_eps", "0 or a number above it", self.rms_norm_eps));
        }
        Ok(())
    }

    /// Everything that the checkpoint must hold, layer by layer. For numbers that were [checked](Self::check).
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> {
        let (n_hidden, n_inner) = (self.hidden_size, self.intermediate_size);
        let (n_q, n_kv) =
            (self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim);
        let norm = move |name: String| Part::Norm { name, n: n_hidden };
        let matrix = |name: String, n_out, n_in, has_bias| Part::Matrix { name, n_out, n_in, has_bias };
        let (qkv_bias, o_bias, mlp_bias) = (self.qkv_bias, self.o_bias, self.mlp_bias);
        let layer = move |i: usize| {
            let of = |name: &str| format!("model.layers.{i}.{name}");
            [
                norm(of("input_layernorm")),
                matrix(of("self_attn.q_proj"), n_q, n_hidden, qkv_bias),
                matrix(of("self_attn.k_proj"), n_kv, n_hidden, qkv_bias),
                matrix(of("self_attn.v_proj"), n_kv, n_hidden, qkv_bias),
                matrix(of("self_attn.o_proj"), n_hidden, n_q, o_bias),
                norm(of("post_attention_layernorm")),
                matrix(of("mlp.gate_proj"), n_inner, n_hidden, mlp_bias),
                matrix(of("mlp.up_proj"), n_inner, n_hidden, mlp_bias),
                matrix(of("mlp.down_proj"), n_hidden, n_inner, mlp_bias),
            ]
        };
        let head = (!self.tie_word_embeddings)
            .then(|| matrix("lm_head".to_owned(), self.vocab_size, n_hidden, false));
        std::iter::once(matrix("model.embed_tokens".to_owned(), self.vocab_size, n_hidden, false))
            .chain((0..self.num_hidden_layers).flat_map(layer))
            .chain([norm("model.norm".to_owned())])
            .chain(head)
    }

    fn norm(&self, weights: &mut Weights, name: &str) -> std::result::Result<RmsNorm, LoadError> {
        RmsNorm::load(weights, name, self.hidden_size, self.rms_norm_eps)
    }
}

/// One span of the batch: its rows, and the caches of its slot, a layer each.
pub(crate) struct SpanRows<'a> {
    pub(crate) rows: Range<i32>,
    pub(crate) caches: &'a mut [KvCache],
}

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
        let n_attention = config.num_attention_heads * config.head_dim;
        let attn = format!("{name}.self_attn");
        let input_layernorm = config.norm(weights, &format!("{name}.input_layernorm"))?;
        let self_attn = Attention::load(weights, &attn, input_layernorm, config)?;
        let o_proj = Linear::load(weights, &format!("{attn}.o_proj"), n_hidden, n_attention, config.o_bias)?;
        let o_proj = ResidualLinear::new(weights, o_proj)?;
        let post_attention_layernorm = config.norm(weights, &format!("{name}.post_attention_layernorm"))?;
        let gate_proj = Linear::load(weights, &format!("{name}.mlp.gate_proj"), n_inner, n_hidden, bias)?;
        let up_proj = Linear::load(weights, &format!("{name}.mlp.up_proj"), n_inner, n_hidden, bias)?;
        let gate_up_proj = NormGateUp::new(weights, post_attention_layernorm, gate_proj, up_proj)?;
        let down_proj = Linear::load(weights, &format!("{name}.mlp.down_proj"), n_hidden, n_inner, bias)?;
        let down_proj = ResidualLinear::new(weights, down_proj)?;
        Ok(Self { self_attn, o_proj, gate_up_proj, down_proj })
    }

    /// Its parts, if the CPU kernels compute all of them.
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
    /// The same layers, if the CPU kernels compute all of them: then they are one operation.
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
        let embed_tokens = Matrix::load(weights, "model.embed_tokens", n_tokens, n_hidden)?;
        let embed_dtype = embed_tokens.dtype();
        let embed_tokens = Embedding::new(weights, embed_tokens)?;
        let layers = (0..config.num_hidden_layers)
            .map(|i| DecoderLayer::load(weights, &format!("model.layers.{i}"), &config))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let packed_layers =
            layers.iter().map(DecoderLayer::packed).collect::<Option<_>>().and_then(PackedLayers::new);
        let norm = config.norm(weights, "model.norm")?;
        // A float32 norm makes float32 of half-precision activations.
        let dtype = if norm.weight.dtype() == Dtype::Float32 { Dtype::Float32 } else { embed_dtype };
        let kv_bytes_per_token = layers.iter().map(|it| it.self_attn.kv_bytes_per_token(dtype)).sum();
        let output = if config.tie_word_embeddings {
            embed_tokens.as_output(norm)?
        } else {
            let lm_head = Matrix::load(weights, "lm_head", n_tokens, n_hidden)?;
            NormOutput::new(weights, norm, lm_head)?
        };
        Ok(Self { embed_tokens, layers, packed_layers, output, rope, kv_bytes_per_token, config })
    }

    pub(crate) fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Empty caches for a slot, a layer each.
    pub(crate) fn make_caches(&self) -> Vec<KvCache> {
        self.layers.iter().map(|it| it.self_attn.make_cache()).collect()
    }

    /// Appends to a slot's caches what another's hold of `tokens`, with keys turned to their new positions. Nothing of it
    /// may be evaluated yet.
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

    /// Bytes of keys and values that one token takes.
    pub(crate) fn kv_bytes_per_token(&self) -> u64 {
        self.kv_bytes_per_token
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
        // The output matrix is the largest of all: only rows that are asked for pass through it.
        let n_out = i32::try_from(out_rows.len()).expect("a batch has fewer than 2^31 rows");
        if n_out != h.dim(0) {
            h = h.take_axis(Array::from_slice(out_rows, &[n_out]), 0)?;
        }
        self.output.forward(&h).map(Some)
    }
}
