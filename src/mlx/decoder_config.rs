//! The dimensions of a dense decoder, and the weights that it needs: [`DecoderConfig`].
//!
//! An architecture resolves its config.json to this, and [`crate::decoder`] builds the network from it. Fields are
//! named as in config.json.

use crate::LoadError;
use crate::config::ModelConfig;
use crate::heads::Heads;
use crate::rope::RopeConfig;

/// A dense decoder as config.json describes it, with all defaults resolved.
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

/// A norm or matrix of a checkpoint, by the name of its module.
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

    /// Fails for numbers that are impossible, or that contradict each other.
    pub(crate) fn check(&self, file: &ModelConfig) -> Result<(), LoadError> {
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

    /// Every norm and matrix that the checkpoint must contain. Call [`check`](Self::check) first.
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
}
