//! SIMD kernels for CPUs, in pure Rust.
