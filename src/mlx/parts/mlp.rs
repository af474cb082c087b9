//! The feed-forward network of a dense layer: [`Mlp`].

use mlx_rs::{Array, error::Result, ops};
use runabout_kernels::{Activation, Gating};

use crate::LoadError;
use crate::weights::{Linear, Visit};

/// `down(activation(gate(x)) * up(x))`, or `down(activation(up(x)))` without a gate.
pub(crate) struct Mlp {
    pub(crate) gate: Option<Linear>,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
    pub(crate) activation: Activation,
}

impl Mlp {
    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        let up = self.up.forward(x)?;
        let inner = match &self.gate {
            Some(gate) => activate(self.activation, &gate.forward(x)?)?.multiply(up)?,
            None => activate(self.activation, &up)?,
        };
        self.down.forward(&inner)
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        self.gate.iter_mut().chain([&mut self.up, &mut self.down]).try_for_each(|it| it.visit(visit))
    }
}

/// What a gate makes of `up`.
pub(crate) fn gated(gating: Gating, gate: &Array, up: &Array) -> Result<Array> {
    match gating {
        Gating::Activation(activation) => activate(activation, gate)?.multiply(up),
        Gating::Clamped { limit, slope } => {
            let of = |it: f32| Array::from_f32(it).as_dtype(gate.dtype());
            let gate = ops::minimum(gate, of(limit)?)?;
            let up = ops::clip(up, (&of(-limit)?, &of(limit)?))?;
            let silu = gate.multiply(ops::sigmoid(gate.multiply(of(slope)?)?)?)?;
            silu.multiply(up.add(of(1.0)?)?)
        }
    }
}

/// `activation(x)`, in single operations: mlx-rs's own functions are compiled ones, and on a CPU MLX calls the C++
/// compiler for those at run time.
pub(crate) fn activate(activation: Activation, x: &Array) -> Result<Array> {
    let of = |it: f32| Array::from_f32(it).as_dtype(x.dtype());
    match activation {
        Activation::Silu => x.multiply(ops::sigmoid(x)?),
        Activation::Gelu => {
            let erf = ops::erf(x.multiply(of(std::f32::consts::FRAC_1_SQRT_2)?)?)?;
            x.multiply(of(0.5)?)?.multiply(erf.add(of(1.0)?)?)
        }
        Activation::GeluTanh => {
            const SQRT_2_OVER_PI: f32 = 0.797_884_6;
            let cubed = x.multiply(x)?.multiply(x)?.multiply(of(0.044_715)?)?;
            let tanh = ops::tanh(x.add(cubed)?.multiply(of(SQRT_2_OVER_PI)?)?)?;
            x.multiply(of(0.5)?)?.multiply(tanh.add(of(1.0)?)?)
        }
    }
}
