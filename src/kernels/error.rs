//! Errors of a call, mostly shapes and lengths that do not match: [`KernelError`].
//!
//! Arguments are checked once at the boundary, so that kernels can trust their pointers.

use thiserror::Error;

/// Why a call failed. Nothing was computed or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KernelError {
    #[error("expected {expected} values of `{what}`, got {got}")]
    Length { what: &'static str, expected: usize, got: usize },
    #[error("expected bits of 2, 3, 4, 5, 6 or 8, got {got}")]
    Bits { got: usize },
    #[error("expected a group size of 32, 64 or 128, got {got}")]
    GroupSize { got: usize },
    #[error("expected columns in whole groups of {group_size}, got {n_cols}")]
    Columns { group_size: usize, n_cols: usize },
    #[error("expected scales and biases of the same type")]
    ScaleTypes,
    #[error("{what}: expected matrices of equal shape, got {first} and {other}")]
    Shapes { what: &'static str, first: usize, other: usize },
    #[error("expected {expected} matrices, got {got}")]
    Matrices { expected: usize, got: usize },
    #[error("`{what}` is too large for the address space of this machine")]
    TooLarge { what: &'static str },
    #[error("expected rows below {n_rows}, got {row}")]
    Row { row: usize, n_rows: usize },
    #[error("{what}: expected a value above 0, got 0")]
    Zero { what: &'static str },
    #[error("expected a head size that is a multiple of 8, got {got}")]
    HeadSize { got: usize },
    #[error("expected query heads in whole groups of {n_kv_heads}, got {n_heads}")]
    Heads { n_heads: usize, n_kv_heads: usize },
    #[error("expected an even number of rotated dimensions up to {head_dim}, got {got}")]
    RotatedDims { head_dim: usize, got: usize },
    #[error("expected positions below {n_positions}, got {got}\nhint: make a longer rope table")]
    Position { n_positions: usize, got: usize },
    #[error("expected a form that weights are packed into")]
    Form,
    #[error("expected two caches of the same shape")]
    Caches,
    #[error("cannot allocate {n_bytes} bytes")]
    Memory { n_bytes: usize, source: std::io::Error },
    #[error("expected key heads that divide the value heads, of a multiple of 16 dimensions up to 256")]
    DeltaShape,
    #[error("cannot start the worker threads")]
    Threads { source: std::io::Error },
    #[error("expected `RUNABOUT_KERNELS` to be `avx512`, `avx2`, `neon` or `portable`, got `{got}`")]
    PathName { got: String },
    #[error("expected a precision of `f32`, `int16` or `int8`, got `{got}`")]
    PrecisionName { got: String },
    #[error("this machine cannot run the `{path}` kernels\nhint: unset `RUNABOUT_KERNELS`")]
    PathUnavailable { path: &'static str },
}

/// Fails unless there are as many values as expected.
pub(crate) fn expect_len(what: &'static str, expected: usize, got: usize) -> Result<(), KernelError> {
    if expected == got { Ok(()) } else { Err(KernelError::Length { what, expected, got }) }
}

/// The product of `factors`, or the error that `what` is too large.
pub(crate) fn product(what: &'static str, factors: &[usize]) -> Result<usize, KernelError> {
    factors
        .iter()
        .try_fold(1usize, |product, &it| product.checked_mul(it))
        .filter(|&it| it <= isize::MAX as usize / 8)
        .ok_or(KernelError::TooLarge { what })
}
