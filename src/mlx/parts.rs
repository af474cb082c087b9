//! The parts that layers are made of, each with its computation in MLX's operations. They know no kernels.

mod attention;
mod convolution;
mod experts;
mod gated_delta;
mod heads;
mod latent_attention;
mod mamba2;
mod mlp;
mod mlp_and_experts;
mod norm;
mod rope;
mod routing;
mod short_conv;
mod token_inputs;

pub(crate) use attention::{Attention, KvSource, PositionScale};
pub(crate) use convolution::Convolution;
pub(crate) use experts::{Experts, Shared};
pub(crate) use gated_delta::GatedDelta;
pub(crate) use heads::Heads;
pub(crate) use latent_attention::LatentAttention;
pub(crate) use mamba2::{Mamba2, MambaShape};
pub(crate) use mlp::Mlp;
pub(crate) use mlp_and_experts::MlpAndExperts;
pub(crate) use norm::{Norm, NormKind};
pub(crate) use rope::{Rope, RopeDefaults};
pub(crate) use routing::{Groups, Routing, Scoring};
pub(crate) use short_conv::ShortConv;
pub(crate) use token_inputs::{TokenGate, TokenInputs};
