//! A feed-forward network of experts, of which each token uses a few: [`Experts`].

use mlx_rs::ops::indexing::{TryIndexOp, take_along_axis};
use mlx_rs::{Array, Dtype, error::Result, ops};
use runabout_kernels::Gating;

use super::mlp::{Mlp, gated};
use crate::LoadError;
use crate::weights::{Linear, Piece, Stack, Visit};

/// With as many expert uses, tokens are sorted by expert, so that each expert's weights are read once, as in mlx_lm.
const MIN_SORTED: usize = 64;

/// The sum over a token's experts of `score * down(gated(gate(x), up(x)))`, and of the shared network, if any.
pub(crate) struct Experts {
    pub(crate) router: Linear,
    pub(crate) routing: Routing,
    pub(crate) gate: Stack,
    pub(crate) up: Stack,
    pub(crate) down: Stack,
    pub(crate) gating: Gating,
    pub(crate) shared: Option<Shared>,
}

/// How the router's logits become experts and their scores.
pub(crate) struct Routing {
    /// The number of experts that a token uses.
    pub(crate) n_used: usize,
    pub(crate) scoring: Scoring,
    /// Added to the scores when experts are chosen, and not when they are weighed.
    pub(crate) choice_bias: Option<Array>, // [n_experts]
    /// Scores are multiplied by this.
    pub(crate) scale: f32,
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

/// A network that every token uses.
pub(crate) struct Shared {
    pub(crate) mlp: Mlp,
    /// Its output is multiplied by the sigmoid of this one number per token.
    pub(crate) gate: Option<Linear>,
}

impl Experts {
    /// Computes `[T, hidden_size]` from `[T, hidden_size]`.
    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        let (experts, scores) = self.routing.choose(&self.router.forward(x)?)?; // [T, n_used] each
        let y = self.of(x, &experts)?; // [T, n_used, hidden_size]
        let dtype = y.dtype();
        let y = y.multiply(scores.expand_dims(-1)?)?.sum_axis(-2, false)?.as_dtype(dtype)?;
        let Some(Shared { mlp, gate }) = &self.shared else { return Ok(y) };
        let shared = mlp.forward(x)?;
        let shared = match gate {
            Some(gate) => shared.multiply(ops::sigmoid(gate.forward(x)?)?)?,
            None => shared,
        };
        y.add(shared)
    }

    /// The outputs `[T, n_used, n]` of each token's `experts` `[T, n_used]`.
    fn of(&self, x: &Array, experts: &Array) -> Result<Array> {
        if experts.size() < MIN_SORTED {
            let x = x.expand_dims_axes(&[1, 2])?; // [T, 1, 1, n]
            return self.chosen(&x, experts, false)?.squeeze_axes(&[-2]);
        }
        let n_used = experts.dim(-1);
        let flat = experts.flatten(None, None)?;
        let order = ops::argsort(&flat)?;
        let tokens = order.floor_divide(Array::from_int(n_used).as_dtype(order.dtype())?)?;
        let x = x.take_axis(tokens, 0)?.expand_dims(1)?; // [T * n_used, 1, n]
        let y = self.chosen(&x, &flat.take_axis(&order, 0)?, true)?;
        let y = y.take_axis(ops::argsort(&order)?, 0)?;
        y.reshape(&[experts.dim(0), n_used, y.dim(-1)])
    }

    fn chosen(&self, x: &Array, experts: &Array, is_sorted: bool) -> Result<Array> {
        let gate = self.gate.forward(x, experts, is_sorted)?;
        let up = self.up.forward(x, experts, is_sorted)?;
        self.down.forward(&gated(self.gating, &gate, &up)?, experts, is_sorted)
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        self.router.visit(visit)?;
        if let Some(bias) = &mut self.routing.choice_bias {
            visit(Piece::Vector(bias))?;
        }
        for stack in [&mut self.gate, &mut self.up, &mut self.down] {
            stack.visit(visit)?;
        }
        let Some(Shared { mlp, gate }) = &mut self.shared else { return Ok(()) };
        mlp.visit(visit)?;
        gate.as_mut().map_or(Ok(()), |it| it.visit(visit))
    }
}

impl Routing {
    /// Scores without a bias or a factor.
    pub(crate) fn plain(n_used: usize, scoring: Scoring) -> Self {
        Self { n_used, scoring, choice_bias: None, scale: 1.0 }
    }

    /// The experts of each token, and their scores, both `[T, n_used]`, from logits `[T, n_experts]`.
    fn choose(&self, logits: &Array) -> Result<(Array, Array)> {
        let n_used = i32::try_from(self.n_used).unwrap_or(i32::MAX);
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
        let experts = ops::argpartition_axis(order, -n_used, -1)?.try_index((.., -n_used..))?;
        let scores = take_along_axis(&all, &experts, -1)?;
        let scores = match self.scoring {
            Scoring::Softmax { is_normalized: true } | Scoring::Sigmoid { is_normalized: true } => {
                scores.divide(scores.sum_axis(-1, true)?)?
            }
            Scoring::Softmax { .. } | Scoring::Sigmoid { .. } => scores,
            Scoring::SoftmaxOfUsed => ops::softmax_axis(scores, -1, true)?,
        };
        Ok((experts, scores.multiply(Array::from_f32(self.scale))?))
    }
}
