//! The tests of all kernels, through the crate's interface. Beside the library's own code, a test build of the library
//! would compile all kernels a second time, which takes minutes.
//!
//! The pool and the memory have unit tests, which do not need any kernel: their files are compiled here once more.

#![allow(clippy::unwrap_used, clippy::float_cmp)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::wildcard_imports)]

use runabout_kernels::KernelError;

mod attention;
mod cpu;
mod delta;
mod form;
mod gate;
mod integer;
mod math;
mod matmul;
mod norm;
mod rope;
mod select;
mod shift;
mod softmax;
mod support;

#[allow(dead_code, unreachable_pub, reason = "the library uses it")]
#[path = "../../memory.rs"]
mod memory;
#[allow(dead_code, unreachable_pub, reason = "the library uses it")]
#[path = "../../pages.rs"]
mod pages;
#[allow(dead_code, unreachable_pub, reason = "the library uses it")]
#[path = "../../pool.rs"]
mod pool;
