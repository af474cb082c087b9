//! A model's layers on a CPU: MLX operations that run our kernels.
//!
//! [`Kernels`] packs weights when a model is loaded, and [`pack`] turns layers into a [`Program`] of fused operations.
//! Both compute with lazy arrays of float32 activations, like MLX's own operations. Keys and values are not arrays
//! here but buffers that attention writes in place. This is sound because all operations on a cache depend on each
//! other through their arrays, a step is evaluated as a whole before the next one is built, and a lock guards what the
//! threads of the stream and of the model share.
//!
//! Platforms without the bridge to MLX compile `no_cpu.rs` instead.

mod attention;
mod experts;
mod in_place_cache;
mod kept;
mod kernel_op;
mod kernels;
mod linear;
mod pack;
mod packed;
mod program;
mod recurrence;
mod source;

pub(crate) use in_place_cache::InPlaceCache;
pub(crate) use kept::{Keeping, Kept};
pub(crate) use kernels::Kernels;
pub(crate) use linear::PackedLinear;
pub(crate) use pack::pack;
pub(crate) use packed::Packed;
pub(crate) use program::Program;
pub(crate) use recurrence::PackedRecurrence;
