//! The numbers in config.json that nearly all architectures have: [`Dimensions`].

use serde::Deserialize;

use crate::LoadError;
use crate::config::ModelConfig;
use crate::parts::Heads;

/// The size of a decoder and of its layers. All numbers are possible ones.
pub(super) struct Dimensions {
    pub(super) n_hidden: i32,
    pub(super) n_layers: usize,
    /// The size of the feed-forward network.
    pub(super) n_inner: i32,
    pub(super) heads: Heads,
    pub(super) norm_eps: f32,
    pub(super) n_tokens: i32,
    /// The most tokens that a sequence may have.
    pub(super) context_length: usize,
    /// Whether config.json says that the output matrix is the embedding.
    pub(super) is_tied: Option<bool>,
}

/// Fields as they are named in config.json.
#[derive(Deserialize)]
struct Fields {
    hidden_size: i32,
    num_hidden_layers: usize,
    #[serde(alias = "block_ff_dim")]
    intermediate_size: i32,
    num_attention_heads: i32,
    num_key_value_heads: Option<i32>,
    head_dim: Option<i32>,
    #[serde(alias = "norm_epsilon", alias = "layer_norm_epsilon", alias = "norm_eps")]
    rms_norm_eps: f32,
    vocab_size: i32,
    max_position_embeddings: Option<usize>,
    tie_word_embeddings: Option<bool>,
}

impl Dimensions {
    /// `default_context` is the architecture's context length for files without one.
    pub(super) fn read(file: &ModelConfig, default_context: usize) -> Result<Self, LoadError> {
        let fields: Fields = file.fields()?;
        let n_heads = fields.num_attention_heads;
        let heads = Heads {
            n_heads,
            n_kv_heads: fields.num_key_value_heads.unwrap_or(n_heads),
            head_dim: fields.head_dim.unwrap_or(fields.hidden_size / n_heads.max(1)),
        };
        let context_length = fields.max_position_embeddings.unwrap_or(default_context);
        for (field, value) in [
            ("hidden_size", fields.hidden_size),
            ("intermediate_size", fields.intermediate_size),
            ("num_attention_heads", heads.n_heads),
            ("num_key_value_heads", heads.n_kv_heads),
            ("head_dim", heads.head_dim),
            ("vocab_size", fields.vocab_size),
            ("num_hidden_layers", i32::try_from(fields.num_hidden_layers).unwrap_or(i32::MAX)),
            ("max_position_embeddings", i32::try_from(context_length).unwrap_or(i32::MAX)),
        ] {
            file.positive(field, value)?;
        }
        let Heads { n_heads, n_kv_heads, head_dim } = heads;
        if n_heads % n_kv_heads != 0 {
            let expected = format!("a multiple of `num_key_value_heads`, {n_kv_heads}");
            return Err(file.impossible("num_attention_heads", &expected, n_heads));
        }
        if head_dim % 2 != 0 {
            return Err(file.impossible("head_dim", "even", head_dim));
        }
        if n_heads.checked_mul(head_dim).is_none() {
            let expected = format!("less, with {n_heads} heads");
            return Err(file.impossible("head_dim", &expected, head_dim));
        }
        if !(fields.rms_norm_eps.is_finite() && fields.rms_norm_eps >= 0.0) {
            return Err(file.impossible("rms_norm_eps", "0 or a number above it", fields.rms_norm_eps));
        }
        Ok(Self {
            n_hidden: fields.hidden_size,
            n_layers: fields.num_hidden_layers,
            n_inner: fields.intermediate_size,
            heads,
            norm_eps: fields.rms_norm_eps,
            n_tokens: fields.vocab_size,
            context_length,
            is_tied: fields.tie_word_embeddings,
        })
    }
}
