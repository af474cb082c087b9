//! SIMD kernels for CPUs: what a language model's step is made of, in pure Rust.
//!
//! A [`Cpu`] says which instructions and threads to use. Weights are [`PackedWeights`], rearranged once at
//! load. A layer is then a few fused calls: [`matmul`] with a norm before and a residual or gate after,
//! [`attend`] over a [`KvCache`], and at the ends of a model [`PackedWeights::read_rows`], [`argmax`] and
//! [`top_k`]. Everything computes in float32, but for products in another [`Precision`]; lengths are
//! checked at the boundary and nothing panics.
//!
//! NEON is tested under emulation, with a cross linker and QEMU's user mode (Debian's `gcc-aarch64-linux-gnu` and
//! `qemu-user`; eight minutes):
//!
//! ```sh
//! CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
//! CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
//! cargo test -p runabout-kernels --target aarch64-unknown-linux-gnu
//! ```
//!
//! Reading order: `simd.rs` (one interface, several instruction sets), `packed.rs`, `matmul.rs`,
//! `attention.rs`. Knows no MLX, no model and no file.

// Without it, a function that should take on its caller's instruction set may be compiled without.
#![allow(clippy::inline_always)]
// Pointers come from slices of the very type, or from blocks whose parts are all multiples of 32 bytes.
#![allow(clippy::cast_ptr_alignment)]
// Shift amounts, lane masks and shapes, all small.
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]

mod activations;
mod attention;
mod cpu;
mod error;
mod math;
mod matmul;
mod memory;
mod norm;
mod packed;
mod pool;
mod rope;
mod select;
mod simd;
mod softmax;
#[cfg(test)]
mod testing;
mod tile;

pub use attention::{Attention, KvCache, KvShape, KvType, Turn, Window, append_shifted, attend};
pub use cpu::{Cpu, CpuOptions, PATH_VARIABLE, Path, Precision};
pub use error::KernelError;
pub use half::{bf16, f16};
pub use math::Activation;
pub use matmul::{Epilogue, Input, matmul};
pub use norm::{Norm, rms_norm};
pub use packed::{Arrangement, FloatType, Floats, Matrix, PackedWeights, Weights};
pub use pool::Pool;
pub use rope::{Rope, RopePairs, RopeTable, rope};
pub use select::{argmax, top_k};
pub use softmax::{EXP_SUMS_CHUNK, exp_sums};
