//! The layers of a decoder, as checkpoints describe them: [`Block`].

use std::rc::Rc;

use mlx_rs::{Array, error::Result};

use crate::LoadError;
use crate::group::Group;
use crate::parts::{
    Attention, Experts, GatedDelta, LatentAttention, Mamba2, Mlp, MlpAndExperts, Norm, Rope, ShortConv,
    TokenGate,
};
use crate::state::SpanRows;
use crate::weights::{Piece, Visit};

/// One layer: a mixer, which looks at other tokens, and then a feed-forward network, which does not.
pub(crate) struct Block {
    pub(crate) mixer: Residual<Mixer>,
    pub(crate) feed_forward: Residual<FeedForward>,
    /// What the layer gets of each token beside the residual.
    pub(crate) token_gate: Option<TokenGate>,
    /// The layer's output is multiplied by this.
    pub(crate) scale: Option<Array>, // [1]
}

/// `x + scale * after(inner(before(x)))`, with optional norms.
pub(crate) struct Residual<T> {
    pub(crate) before: Option<Norm>,
    pub(crate) inner: T,
    pub(crate) after: Option<Norm>,
    pub(crate) scale: f32,
    /// The processes whose parts of the inner result are summed up; `None` if this one computes all of it.
    pub(crate) group: Option<Group>,
}

pub(crate) enum Mixer {
    Attention(Attention),
    Latent(LatentAttention),
    GatedDelta(GatedDelta),
    Mamba2(Mamba2),
    ShortConv(ShortConv),
}

#[expect(clippy::large_enum_variant, reason = "there is one per layer")]
pub(crate) enum FeedForward {
    Mlp(Mlp),
    Experts(Experts),
    Both(MlpAndExperts),
}

impl Block {
    /// A layer that consists of these two.
    pub(crate) fn new(mixer: Residual<Mixer>, feed_forward: Residual<FeedForward>) -> Self {
        Self { mixer, feed_forward, token_gate: None, scale: None }
    }

    /// Computes `[T, hidden_size]` from `[T, hidden_size]` and the inputs of its token gate, if it has one, and extends the
    /// spans' states of layer `layer_idx`.
    pub(crate) fn forward(
        &self,
        x: &Array,
        token_inputs: Option<&Array>,
        layer_idx: usize,
        spans: &mut [SpanRows<'_>],
    ) -> Result<Array> {
        let h = self.mixer.forward(x, |inner, x| match inner {
            Mixer::Attention(attention) => attention.forward(x, layer_idx, spans),
            Mixer::Latent(attention) => attention.forward(x, layer_idx, spans),
            Mixer::GatedDelta(net) => net.forward(x, layer_idx, spans),
            Mixer::Mamba2(net) => net.forward(x, layer_idx, spans),
            Mixer::ShortConv(conv) => conv.forward(x, layer_idx, spans),
        })?;
        let mut h = self.feed_forward.forward(&h, |inner, x| match inner {
            FeedForward::Mlp(mlp) => mlp.forward(x),
            FeedForward::Experts(experts) => experts.forward(x),
            FeedForward::Both(both) => both.forward(x),
        })?;
        if let (Some(gate), Some(inputs)) = (&self.token_gate, token_inputs) {
            h = gate.forward(&h, inputs, layer_idx)?;
        }
        match &self.scale {
            Some(scale) => h.multiply(scale),
            None => Ok(h),
        }
    }

    /// Of its attention.
    pub(crate) fn rope(&self) -> Option<&Rc<Rope>> {
        match &self.mixer.inner {
            Mixer::Attention(attention) => attention.rope.as_ref(),
            Mixer::Latent(_) | Mixer::GatedDelta(_) | Mixer::Mamba2(_) | Mixer::ShortConv(_) => None,
        }
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        self.mixer.visit_norms(visit)?;
        match &mut self.mixer.inner {
            Mixer::Attention(attention) => attention.visit(visit)?,
            Mixer::Latent(attention) => attention.visit(visit)?,
            Mixer::GatedDelta(net) => net.visit(visit)?,
            Mixer::Mamba2(net) => net.visit(visit)?,
            Mixer::ShortConv(conv) => conv.visit(visit)?,
        }
        self.feed_forward.visit_norms(visit)?;
        match &mut self.feed_forward.inner {
            FeedForward::Mlp(mlp) => mlp.visit(visit)?,
            FeedForward::Experts(experts) => experts.visit(visit)?,
            FeedForward::Both(both) => both.visit(visit)?,
        }
        self.token_gate.iter_mut().try_for_each(|it| it.visit(visit))?;
        self.scale.iter_mut().try_for_each(|it| visit(Piece::Vector(it)))
    }
}

impl<T> Residual<T> {
    /// With a norm before `inner` only, as in most models.
    pub(crate) fn after_norm(norm: Norm, inner: T) -> Self {
        Self { before: Some(norm), inner, after: None, scale: 1.0, group: None }
    }

    pub(crate) fn scaled_by(self, scale: f32) -> Self {
        Self { scale, ..self }
    }

    fn forward(&self, x: &Array, inner: impl FnOnce(&T, &Array) -> Result<Array>) -> Result<Array> {
        let y = match &self.before {
            Some(norm) => inner(&self.inner, &norm.forward(x)?)?,
            None => inner(&self.inner, x)?,
        };
        let y = self.group.as_ref().map_or_else(|| Ok(y.clone()), |it| it.sum(&y))?;
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
