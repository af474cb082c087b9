//! A feed-forward network of experts, of which each token uses a few: [`Experts`].

use mlx_rs::{Array, error::Result, ops};
use runabout_kernels::Gating;

use super::mlp::{Mlp, gated};
use super::routing::Routing;
use crate::LoadError;
use crate::weights::{Linear, Stack, Visit};

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

/// A network that every token uses.
pub(crate) struct Shared {
    pub(crate) mlp: Mlp,
    /// Its output is multiplied by the sigmoid of this one number per token.
    pub(crate) gate: Option<Linear>,
}

impl Experts {
    /// Computes `[T, hidden_size]` from `[T, hidden_size]`.
    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        self.forward_routed(x, x)
    }

    /// The same, with experts that are chosen by other rows than they compute.
    pub(crate) fn forward_routed(&self, x: &Array, router_x: &Array) -> Result<Array> {
        let (experts, scores) = self.routing.choose(&self.router.forward(router_x)?)?; // [T, n_used] each
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
        self.routing.visit(visit)?;
        for stack in [&mut self.gate, &mut self.up, &mut self.down] {
            stack.visit(visit)?;
        }
        let Some(Shared { mlp, gate }) = &mut self.shared else { return Ok(()) };
        mlp.visit(visit)?;
        gate.as_mut().map_or(Ok(()), |it| it.visit(visit))
    }
}
