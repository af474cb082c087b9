//! Attention whose keys and values are computed from a short vector per token: [`LatentAttention`], as in DeepSeek V2.
//!
//! Only that vector, the latent, and a key of positions that all heads share are stored. The matrices that would turn a
//! latent into the keys and values of each head are applied to queries and to outputs instead, which is the same
//! product in another order.

use std::ops::Range;
use std::rc::Rc;

use mlx_rs::ops::indexing::{Ellipsis, TryIndexOp};
use mlx_rs::{Array, error::Result, fast, ops};

use super::{Norm, Rope};
use crate::LoadError;
use crate::state::{ArrayCache, SpanRows, View};
use crate::weights::{Linear, Piece, Visit};

pub(crate) struct LatentAttention {
    /// The query projection's first half, and the norm between the halves; `None` if it is one matrix.
    pub(crate) q_down: Option<(Linear, Norm)>,
    pub(crate) q_proj: Linear,
    /// Latents, and keys of positions.
    pub(crate) kv_down: Linear,
    pub(crate) latent_norm: Norm,
    /// Turns latents into each head's keys.
    pub(crate) key_up: Array, // [n_heads, nope_dim, rank]
    /// Turns latents into each head's values.
    pub(crate) value_up: Array, // [n_heads, value_dim, rank]
    pub(crate) o_proj: Linear,
    pub(crate) rope: Rc<Rope>,
    /// The factor that scores are multiplied by.
    pub(crate) scale: f32,
}

impl LatentAttention {
    /// Computes `[T, hidden_size]` from `[T, hidden_size]`, and appends latents to the spans' states of layer `layer_idx`.
    pub(crate) fn forward(&self, x: &Array, layer_idx: usize, spans: &mut [SpanRows<'_>]) -> Result<Array> {
        let queries = match &self.q_down {
            Some((down, norm)) => self.q_proj.forward(&norm.forward(&down.forward(x)?)?)?,
            None => self.q_proj.forward(x)?,
        };
        let (n_heads, nope_dim, rank) = (self.key_up.dim(0), self.key_up.dim(1), self.rank());
        let kv = self.kv_down.forward(x)?; // [T, rank + rope_dim]
        let latents = self.latent_norm.forward(&kv.try_index((.., ..rank))?)?;
        let shared_keys = kv.try_index((.., rank..))?;
        let mut outputs = Vec::with_capacity(spans.len());
        for span in spans {
            let n_rows = span.rows.end - span.rows.start;
            let of_span = |it: &Array| it.try_index((span.rows.clone(), ..))?.expand_dims_axes(&[0, 1]);
            let cache = span.states[layer_idx].arrays_mut();
            let offset = cache.n_tokens();
            let view = View::after(offset, n_rows, None);
            let keys = ops::concatenate(
                &[of_span(&latents)?, self.rope.forward(&of_span(&shared_keys)?, offset)?],
                -1,
            )?;
            cache.append(&[keys])?;
            let [keys] = cache.held()?; // [1, 1, n_tokens, rank + rope_dim]
            let values = keys.try_index((Ellipsis, ..rank))?;
            let queries = queries.try_index((span.rows.clone(), ..))?;
            let queries = queries.reshape(&[1, n_rows, n_heads, -1])?.transpose_axes(&[0, 2, 1, 3])?;
            let of_latents = queries.try_index((Ellipsis, ..nope_dim))?.matmul(&self.key_up)?;
            let of_positions = self.rope.forward(&queries.try_index((Ellipsis, nope_dim..))?, offset)?;
            let queries = ops::concatenate(&[of_latents, of_positions], -1)?;
            let no_sinks: Option<&Array> = None;
            let mask = view.is_causal().then_some(fast::ScaledDotProductAttentionMask::Causal);
            let output =
                fast::scaled_dot_product_attention(&queries, &keys, &values, self.scale, mask, no_sinks)?;
            let output = output.matmul(self.value_up.swap_axes(-1, -2)?)?; // [1, n_heads, L, value_dim]
            outputs.push(output.transpose_axes(&[0, 2, 1, 3])?.reshape(&[n_rows, -1])?);
        }
        self.o_proj.forward(&ops::concatenate(&outputs, 0)?)
    }

    /// Appends `tokens` of another state of this layer, with their keys rotated to the new positions.
    pub(crate) fn append_shifted(
        &self,
        to: &mut ArrayCache,
        from: &ArrayCache,
        tokens: &Range<i32>,
    ) -> Result<()> {
        let distance = to.n_tokens() - tokens.start;
        for keys in from.parts_of(tokens.clone())? {
            let latents = keys.try_index((Ellipsis, ..self.rank()))?;
            let turned = self.rope.rotate_by(&keys.try_index((Ellipsis, self.rank()..))?, distance)?;
            to.append(&[ops::concatenate(&[latents, turned], -1)?])?;
        }
        Ok(())
    }

    /// The numbers that are stored for each token.
    pub(crate) fn n_stored(&self) -> i32 {
        self.rank() + self.rope.n_dims()
    }

    fn rank(&self) -> i32 {
        self.key_up.dim(2)
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        if let Some((down, norm)) = &mut self.q_down {
            down.visit(visit)?;
            norm.visit(visit)?;
        }
        for linear in [&mut self.q_proj, &mut self.kv_down, &mut self.o_proj] {
            linear.visit(visit)?;
        }
        self.latent_norm.visit(visit)?;
        [&mut self.key_up, &mut self.value_up].into_iter().try_for_each(|it| visit(Piece::Vector(it)))
    }
}
