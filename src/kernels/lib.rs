//! SIMD kernels for CPUs: the operations of a language model's step, in pure Rust.
//!
//! A [`Cpu`] chooses instruction set and threads. Weights are packed at load ([`PackedWeights`]). A layer is then a
//! few fused calls: [`matmul`], with a norm before and a residual or gate after, and [`attend`] over a [`KvCache`].
//! The ends of a model use [`PackedWeights::read_rows`], [`argmax`] and [`top_k`]. Everything computes in float32,
//! except products in another [`Precision`]. Lengths are checked at the boundary, and nothing panics.
//!
//! NEON is tested under emulation, with a cross linker and QEMU (Debian's `gcc-aarch64-linux-gnu` and `qemu-user`),
//! in eight minutes:
//!
//! ```sh
//! CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
//! CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
//! cargo test -p runabout-kernels --target aarch64-unknown-linux-gnu
//! ```
//!
//! Reading order: `simd.rs` (one interface for several instruction sets), `packed.rs`, `matmul.rs`, `attention.rs`.
//! This crate knows nothing of MLX, models or files.

// Otherwise a function might be compiled without its caller's instruction set.
#![allow(clippy::inline_always)]
// Pointers come from slices of the same type, or from blocks whose parts are multiples of 32 bytes.
#![allow(clippy::cast_ptr_alignment)]
// Shift amounts, lane masks and shapes are all small.
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]

mod activations;
mod attention;
mod cpu;
mod delta;
mod error;
mod gate;
mod math;
mod matmul;
mod memory;
mod norm;
mod packed;
mod pages;
mod pool;
mod rope;
mod select;
mod simd;
mod softmax;
mod tile;

pub use attention::{Attention, KvCache, KvShape, KvType, Rotation, Window, append_shifted, attend};
pub use cpu::{Cpu, CpuOptions, PATH_VARIABLE, Path, Precision};
pub use delta::{DeltaInputs, DeltaShape, gated_delta};
pub use error::KernelError;
pub use gate::{Gating, activated, gated};
pub use half::{bf16, f16};
pub use math::Activation;
pub use matmul::{Epilogue, Input, matmul};
pub use norm::{Norm, rms_norm};
pub use packed::form::{PACKING_VERSION, PackedForm};
pub use packed::{Arrangement, FloatType, Floats, Matrix, PackedWeights, Weights};
pub use pool::Pool;
pub use rope::{Rope, RopePairs, RopeTable, rope};
pub use select::{argmax, top_k};
pub use softmax::{EXP_SUMS_CHUNK, exp_sums};
