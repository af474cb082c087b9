//! Matrices in MLX's formats of small floats with a scale per small group: [`Micro`].
//!
//! mlx-rs has only the affine format, so the operations of these call MLX's C interface.

use std::ffi::CStr;
use std::ptr;

use mlx_rs::error::{Exception, Result};
use mlx_rs::{Array, Stream};
use safetensors::tensor::Dtype as FileDtype;

use super::header::Tensor;

/// A matrix `[n_out, n_in]`, or a stack of such matrices with one more dimension before.
#[derive(Clone)]
pub(crate) struct Micro {
    pub(super) format: MicroFormat,
    pub(super) weight: Array, // [n_out, n_in * bits / 32], u32
    pub(super) scales: Array, // [n_out, n_in / group_size], u8
}

/// The formats; all are a group's scale times floats of `bits` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MicroFormat {
    /// Scales are powers of two.
    Mxfp4,
    /// Scales are powers of two.
    Mxfp8,
    /// Scales are floats of 8 bits.
    Nvfp4,
}

impl MicroFormat {
    pub(super) const ALL: [Self; 3] = [Self::Mxfp4, Self::Mxfp8, Self::Nvfp4];

    /// The format of a matrix of `shape` with these words and scales, if there is one.
    pub(super) fn of(shape: &[i32], weight: &Tensor, scales: &Tensor) -> Option<Self> {
        let [rows @ .., n_in] = shape else { return None };
        let has = |tensor: &Tensor, n: i32| {
            tensor
                .shape
                .split_last()
                .is_some_and(|(last, rest)| rest == rows && last.checked_mul(n) == Some(*n_in))
        };
        let are_types = weight.dtype == FileDtype::U32 && scales.dtype == FileDtype::U8;
        let fits = |it: &Self| has(weight, 32 / it.bits()) && has(scales, it.group_size());
        Self::ALL.into_iter().find(fits).filter(|_| are_types)
    }

    pub(super) fn bits(self) -> i32 {
        match self {
            Self::Mxfp4 | Self::Nvfp4 => 4,
            Self::Mxfp8 => 8,
        }
    }

    fn group_size(self) -> i32 {
        match self {
            Self::Mxfp4 | Self::Mxfp8 => 32,
            Self::Nvfp4 => 16,
        }
    }

    fn name(self) -> &'static CStr {
        match self {
            Self::Mxfp4 => c"mxfp4",
            Self::Mxfp8 => c"mxfp8",
            Self::Nvfp4 => c"nvfp4",
        }
    }
}

impl Micro {
    /// The number of columns.
    pub(crate) fn n_inputs(&self) -> i32 {
        self.weight.dim(-1) * (32 / self.format.bits())
    }

    /// The number of inputs that have a scale in common.
    pub(super) fn group_size(&self) -> i32 {
        self.format.group_size()
    }

    /// The packed numbers, in rows like the matrix.
    #[cfg(cpu_kernels)]
    pub(crate) fn words(&self) -> &Array {
        &self.weight
    }

    /// `x @ weight.T` for `x` `[T, n_in]`.
    pub(super) fn forward(&self, x: &Array) -> Result<Array> {
        let Self { format, weight, scales } = self;
        call(|result, stream| {
            // SAFETY: all handles are of living arrays, and a null handle stands for no array.
            unsafe {
                mlx_sys::mlx_quantized_matmul(
                    result,
                    x.as_ptr(),
                    weight.as_ptr(),
                    scales.as_ptr(),
                    NONE,
                    true,
                    some(format.group_size()),
                    some(format.bits()),
                    format.name().as_ptr(),
                    stream,
                )
            }
        })
    }

    /// The same with the matrix of a stack that `experts` names for each row, as in [`super::Stack::forward`].
    pub(super) fn forward_of(&self, x: &Array, experts: &Array, is_sorted: bool) -> Result<Array> {
        let Self { format, weight, scales } = self;
        call(|result, stream| {
            // SAFETY: as above.
            unsafe {
                mlx_sys::mlx_gather_qmm(
                    result,
                    x.as_ptr(),
                    weight.as_ptr(),
                    scales.as_ptr(),
                    NONE,
                    NONE,
                    experts.as_ptr(),
                    true,
                    some(format.group_size()),
                    some(format.bits()),
                    format.name().as_ptr(),
                    is_sorted,
                    stream,
                )
            }
        })
    }

    /// The numbers that it stands for, in bfloat16, which has them all exactly.
    pub(super) fn dequantized(&self) -> Result<Array> {
        let Self { format, weight, scales } = self;
        let dtype = mlx_sys::mlx_optional_dtype { value: mlx_sys::mlx_dtype__MLX_BFLOAT16, has_value: true };
        call(|result, stream| {
            // SAFETY: as above.
            unsafe {
                mlx_sys::mlx_dequantize(
                    result,
                    weight.as_ptr(),
                    scales.as_ptr(),
                    NONE,
                    some(format.group_size()),
                    some(format.bits()),
                    format.name().as_ptr(),
                    NONE,
                    dtype,
                    stream,
                )
            }
        })
    }

    /// The matrix of `part` of each array; in both, a row is an output.
    pub(super) fn with_each(&self, part: impl Fn(&Array) -> Result<Array>) -> Result<Self> {
        Ok(Self { format: self.format, weight: part(&self.weight)?, scales: part(&self.scales)? })
    }
}

const NONE: mlx_sys::mlx_array = mlx_sys::mlx_array { ctx: ptr::null_mut() };

fn some(value: i32) -> mlx_sys::mlx_optional_int {
    mlx_sys::mlx_optional_int { value, has_value: true }
}

/// The array that a function of MLX's C interface makes on the present stream.
fn call(function: impl FnOnce(*mut mlx_sys::mlx_array, mlx_sys::mlx_stream) -> i32) -> Result<Array> {
    let stream = Stream::thread_local_or_default();
    let mut result = NONE;
    if function(&raw mut result, stream.as_ptr()) != 0 {
        return Err(Exception::custom("a matrix of small floats does not fit its use"));
    }
    // SAFETY: a new array, which has no other owner.
    Ok(unsafe { Array::from_ptr(result) })
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use mlx_rs::{Dtype, transforms};

    use super::*;
    use crate::testing::alone;

    /// Words and scales of `weight` in the format of this name.
    pub(crate) fn quantize(weight: &Array, name: &str) -> [Array; 2] {
        let format = MicroFormat::ALL.into_iter().find(|it| it.name().to_str() == Ok(name)).unwrap();
        let stream = Stream::thread_local_or_default();
        // SAFETY: handles of living arrays; the vector is freed after its arrays have been taken out.
        unsafe {
            let mut parts = mlx_sys::mlx_vector_array_new();
            let status = mlx_sys::mlx_quantize(
                &raw mut parts,
                weight.as_ptr(),
                some(format.group_size()),
                some(format.bits()),
                format.name().as_ptr(),
                NONE,
                stream.as_ptr(),
            );
            assert_eq!(status, 0);
            let arrays = [0, 1].map(|i| {
                let mut array = NONE;
                assert_eq!(mlx_sys::mlx_vector_array_get(&raw mut array, parts, i), 0);
                Array::from_ptr(array)
            });
            mlx_sys::mlx_vector_array_free(parts);
            arrays
        }
    }

    #[test]
    fn products_are_those_of_the_numbers_that_a_matrix_stands_for() {
        let _alone = alone();
        let numbers: Vec<f32> = (0..64 * 64).map(|i| (i as f32 * 0.37).sin()).collect();
        let weight = Array::from_slice(&numbers, &[64, 64]);
        let x = Array::from_slice(&numbers[5..69], &[1, 64]);
        for format in MicroFormat::ALL {
            let [weight, scales] = quantize(&weight, format.name().to_str().unwrap());
            let micro = Micro { format, weight, scales };
            let expected = micro.dequantized().unwrap().as_dtype(Dtype::Float32).unwrap();
            let expected = x.matmul(expected.transpose().unwrap()).unwrap();
            let got = micro.forward(&x).unwrap();
            transforms::eval([&expected, &got]).unwrap();
            for (got, expected) in got.as_slice::<f32>().iter().zip(expected.as_slice::<f32>()) {
                assert!((got - expected).abs() < 1e-4, "{format:?}: {got} {expected}");
            }
        }
    }
}
