//! A feed-forward network beside experts, each with norms of its own: [`MlpAndExperts`], as in Gemma 4.

use mlx_rs::{Array, error::Result};

use super::experts::Experts;
use super::mlp::Mlp;
use super::norm::Norm;
use crate::LoadError;
use crate::weights::Visit;

/// `after_mlp(mlp(before_mlp(x))) + after_experts(experts(before_experts(x)))`, with experts that are chosen by
/// `before_router(x)`.
pub(crate) struct MlpAndExperts {
    pub(crate) before_mlp: Norm,
    pub(crate) mlp: Mlp,
    pub(crate) after_mlp: Norm,
    pub(crate) before_router: Norm,
    pub(crate) before_experts: Norm,
    pub(crate) experts: Experts,
    pub(crate) after_experts: Norm,
}

impl MlpAndExperts {
    /// Computes `[T, hidden_size]` from `[T, hidden_size]`.
    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        let dense = self.after_mlp.forward(&self.mlp.forward(&self.before_mlp.forward(x)?)?)?;
        let routed =
            self.experts.forward_routed(&self.before_experts.forward(x)?, &self.before_router.forward(x)?)?;
        dense.add(self.after_experts.forward(&routed)?)
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        self.mlp.visit(visit)?;
        self.experts.visit(visit)?;
        let norms = [
            &mut self.before_mlp,
            &mut self.after_mlp,
            &mut self.before_router,
            &mut self.before_experts,
            &mut self.after_experts,
        ];
        norms.into_iter().try_for_each(|it| it.visit(visit))
    }
}
