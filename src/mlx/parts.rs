//! The parts that layers are made of, each with its computation in MLX's operations. They know no kernels.

mod attention;
mod convolution;
mod experts;
mod gated_delta;
mod heads;
mod mlp;
mod norm;
mod rope;
mod short_conv;

pub(crate) use attention::{Attention, PositionScale};
pub(crate) use convolution::Convolution;
pub(crate) use experts::{Experts, Routing, Scoring, Shared};
pub(crate) use gated_delta::GatedDelta;
pub(crate) use heads::Heads;
pub(crate) use mlp::Mlp;
pub(crate) use norm::{Norm, NormKind};
pub(crate) use rope::{Rope, RopeDefaults};
pub(crate) use short_conv::ShortConv;
