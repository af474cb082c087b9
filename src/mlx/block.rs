//! The layers of a decoder, as checkpoints describe them: [`Block`].

use std::rc::Rc;

use mlx_rs::{Array, error::Result};

use crate::LoadError;
use crate::parts::{Attention, Experts, GatedDelta, Mlp, Norm, Rope, ShortConv};
use crate::state::SpanRows;
use crate::weights::Visit;

/// One layer: a mixer, which looks at other tokens, and then a feed-forward network, which does not.
pub(crate) struct Block {
    pub(crate) mixer: Residual<Mixer>,
    pub(crate) feed_forward: Residual<FeedForward>,
}

/// `x + scale * after(inner(before(x)))`, with optional norms.
pub(crate) struct Residual<T> {
    pub(crate) before: Option<Norm>,
    pub(crate) inner: T,
    pub(crate) after: Option<Norm>,
    pub(crate) scale: f32,
}

pub(crate) enum Mixer {
    Attention(Attention),
    GatedDelta(GatedDelta),
    ShortConv(ShortConv),
}

#[expect(clippy::large_enum_variant, reason = "there is one per layer")]
pub(crate) enum FeedForward {
    Mlp(Mlp),
    Experts(Experts),
}

impl Block {
    /// Computes `[T, hidden_size]` from `[T, hidden_size]`, and extends the spans' states of layer `layer_idx`.
    pub(crate) fn forward(&self, x: &Array, layer_idx: usize, spans: &mut [SpanRows<'_>]) -> Result<Array> {
        let h = self.mixer.forward(x, |inner, x| match inner {
            Mixer::Attention(attention) => attention.forward(x, layer_idx, spans),
            Mixer::GatedDelta(net) => net.forward(x, layer_idx, spans),
            Mixer::ShortConv(conv) => conv.forward(x, layer_idx, spans),
        })?;
        self.feed_forward.forward(&h, |inner, x| match inner {
            FeedForward::Mlp(mlp) => mlp.forward(x),
            FeedForward::Experts(experts) => experts.forward(x),
        })
    }

    /// Of its attention.
    pub(crate) fn rope(&self) -> Option<&Rc<Rope>> {
        match &self.mixer.inner {
            Mixer::Attention(attention) => attention.rope.as_ref(),
            Mixer::GatedDelta(_) | Mixer::ShortConv(_) => None,
        }
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        self.mixer.visit_norms(visit)?;
        match &mut self.mixer.inner {
            Mixer::Attention(attention) => attention.visit(visit)?,
            Mixer::GatedDelta(net) => net.visit(visit)?,
            Mixer::ShortConv(conv) => conv.visit(visit)?,
        }
        self.feed_forward.visit_norms(visit)?;
        match &mut self.feed_forward.inner {
            FeedForward::Mlp(mlp) => mlp.visit(visit),
            FeedForward::Experts(experts) => experts.visit(visit),
        }
    }
}

impl<T> Residual<T> {
    /// With a norm before `inner` only, as in most models.
    pub(crate) fn after_norm(norm: Norm, inner: T) -> Self {
        Self { before: Some(norm), inner, after: None, scale: 1.0 }
    }

    pub(crate) fn scaled_by(self, scale: f32) -> Self {
        Self { scale, ..self }
    }

    fn forward(&self, x: &Array, inner: impl FnOnce(&T, &Array) -> Result<Array>) -> Result<Array> {
        let y = match &self.before {
            Some(norm) => inner(&self.inner, &norm.forward(x)?)?,
            None => inner(&self.inner, x)?,
        };
        let y = self.after.as_ref().map_or_else(|| Ok(y.clone()), |it| it.forward(&y))?;
        if self.is_scaled() {
            return x.add(y.multiply(Array::from_f32(self.scale).as_dtype(y.dtype())?)?);
        }
        x.add(y)
    }

    /// Whether what is added to the residual is multiplied by a number.
    pub(crate) fn is_scaled(&self) -> bool {
        self.scale.to_bits() != 1.0_f32.to_bits()
    }

    fn visit_norms(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        self.before.iter_mut().chain(&mut self.after).try_for_each(|it| it.visit(visit))
    }
}
