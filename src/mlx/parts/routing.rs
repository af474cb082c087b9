//! Which experts a token uses, and with which scores: [`Routing`].

use mlx_rs::ops::indexing::{TryIndexOp, put_along_axis, take_along_axis, topk_axis};
use mlx_rs::{Array, Dtype, error::Result, ops};

use crate::LoadError;
use crate::weights::{Piece, Visit};

/// How the router's logits become experts and their scores.
pub(crate) struct Routing {
    /// The number of experts that a token uses.
    pub(crate) n_used: usize,
    pub(crate) scoring: Scoring,
    /// Added to the scores when experts are chosen, and not when they are weighed.
    pub(crate) choice_bias: Option<Array>, // [n_experts]
    pub(crate) groups: Option<Groups>,
    /// Scores are multiplied by this.
    pub(crate) scale: f32,
    /// The scores of each expert are multiplied by a number of its own.
    pub(crate) expert_scales: Option<Array>, // [n_experts]
}

/// The scores of experts. Those with the greatest are used; if `is_normalized`, scores are divided by their sum.
#[derive(Clone, Copy)]
pub(crate) enum Scoring {
    /// The softmax over all experts.
    Softmax { is_normalized: bool },
    /// The softmax over the experts in use.
    SoftmaxOfUsed,
    /// The sigmoid of each expert.
    Sigmoid { is_normalized: bool },
}

/// Experts in groups of equal size. When experts are chosen, those outside the best groups count as 0.
#[derive(Clone, Copy)]
pub(crate) struct Groups {
    pub(crate) n: usize,
    pub(crate) n_used: usize,
    /// The value of a group is the sum of its `n_counted` greatest scores.
    pub(crate) n_counted: usize,
}

impl Routing {
    /// Scores without a bias, groups or a factor.
    pub(crate) fn plain(n_used: usize, scoring: Scoring) -> Self {
        Self { n_used, scoring, choice_bias: None, groups: None, scale: 1.0, expert_scales: None }
    }

    /// The experts of each token, and their scores, both `[T, n_used]`, from logits `[T, n_experts]`.
    pub(crate) fn choose(&self, logits: &Array) -> Result<(Array, Array)> {
        let n_used = to_i32(self.n_used);
        let logits = logits.as_dtype(Dtype::Float32)?;
        let all = match self.scoring {
            Scoring::Softmax { .. } => ops::softmax_axis(&logits, -1, true)?,
            Scoring::SoftmaxOfUsed => logits,
            Scoring::Sigmoid { .. } => ops::sigmoid(&logits)?,
        };
        let order = match &self.choice_bias {
            Some(bias) => all.add(bias)?,
            None => all.clone(),
        };
        let order = match self.groups {
            Some(groups) => groups.limited(&order)?,
            None => order,
        };
        let experts = ops::argpartition_axis(order, -n_used, -1)?.try_index((.., -n_used..))?;
        let scores = take_along_axis(&all, &experts, -1)?;
        let scores = match self.scoring {
            Scoring::Softmax { is_normalized: true } | Scoring::Sigmoid { is_normalized: true } => {
                scores.divide(scores.sum_axis(-1, true)?)?
            }
            Scoring::Softmax { .. } | Scoring::Sigmoid { .. } => scores,
            Scoring::SoftmaxOfUsed => ops::softmax_axis(scores, -1, true)?,
        };
        let scores = match &self.expert_scales {
            Some(scales) => scores.multiply(scales.take_axis(&experts, 0)?)?,
            None => scores,
        };
        Ok((experts, scores.multiply(Array::from_f32(self.scale))?))
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        let vectors = self.choice_bias.iter_mut().chain(&mut self.expert_scales);
        vectors.into_iter().try_for_each(|it| visit(Piece::Vector(it)))
    }
}

impl Groups {
    /// Scores `[T, n_experts]` with 0 in place of those outside each token's best groups.
    fn limited(self, scores: &Array) -> Result<Array> {
        let n_unused = to_i32(self.n) - to_i32(self.n_used);
        if n_unused == 0 {
            return Ok(scores.clone());
        }
        let grouped = scores.reshape(&[scores.dim(0), to_i32(self.n), -1])?;
        let values = topk_axis(&grouped, to_i32(self.n_counted), -1)?.sum_axis(-1, true)?;
        let worst = ops::argpartition_axis(values, n_unused - 1, -2)?.try_index((.., ..n_unused, ..))?;
        let n_each = grouped.dim(2);
        let worst = ops::broadcast_to(&worst, &[scores.dim(0), n_unused, n_each])?;
        put_along_axis(&grouped, &worst, Array::from_f32(0.0), -2)?.reshape(scores.shape())
    }
}

/// Counts of experts are small.
fn to_i32(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
