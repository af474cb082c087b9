//! Random weights in the shapes that an architecture asks for: [`RandomWeights`].
//!
//! They make a model whose text means nothing and which is as large and as fast as the real one, so that its speed is
//! known before it is downloaded. All arrays are lazy: nothing is allocated before they are read.

use std::ptr;

use mlx_rs::error::{Exception, Result};
use mlx_rs::{Array, Dtype, Stream, ops, random};
use serde::Deserialize;

use super::matrix::{Grouping, Matrix};
use crate::device::Compute;
use crate::options::Placement;

/// The seed of all random weights, so that two runs compute the same.
const SEED: u64 = 0;
/// What scales and all that is not quantized are stored in, as in most checkpoints.
const STORED: Dtype = Dtype::Bfloat16;
const BITS_PER_WORD: i32 = 32;

/// Makes weights up.
pub(crate) struct RandomWeights {
    /// How matrices are quantized; `None` leaves them plain.
    grouping: Option<Grouping>,
    /// The types that plain matrices and vectors are used in.
    matrices: Dtype,
    vectors: Dtype,
    key: Array,
    n_bytes: u64,
}

/// The part of config.json that says how matrices are quantized.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Quantization {
    group_size: i32,
    bits: i32,
}

impl RandomWeights {
    /// `placement` says where they will be used.
    pub(crate) fn new(quantization: Option<Quantization>, placement: &Placement) -> Result<Self> {
        let grouping = quantization.map(|it| Grouping { group_size: it.group_size, bits: it.bits });
        // As weights that are read are converted.
        let vectors = if placement.compute == Compute::Cpu { Dtype::Float32 } else { STORED };
        let matrices = if placement.kernels.is_some() { STORED } else { vectors };
        Ok(Self { grouping, matrices, vectors, key: random::key(SEED)?, n_bytes: 0 })
    }

    /// The size of all weights so far.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// A matrix `[n_out, n_in]`, or a stack of them.
    pub(super) fn matrix(&mut self, shape: &[i32]) -> Result<Matrix> {
        let n_in = shape.last().copied().unwrap_or(1);
        // With weights of this size, activations keep theirs from layer to layer.
        let deviation = (f64::from(n_in)).sqrt().recip();
        let Some(grouping) = self.grouping else {
            #[expect(clippy::cast_possible_truncation, reason = "a number near 0")]
            let weight = random::normal::<f32>(shape, None, deviation as f32, &self.next_key()?)?;
            return Ok(Matrix::Plain { weight: self.counted(weight.as_dtype(self.matrices)?) });
        };
        let Grouping { group_size, bits } = grouping;
        let with_last = |last: i32| [&shape[..shape.len() - 1], &[last]].concat();
        let weight = random_words(&with_last(n_in * bits / BITS_PER_WORD), &self.next_key()?)?;
        // The codes are uniform from 0 to their greatest: around the middle their deviation is that over the root of 12.
        let greatest = f64::from((1_i32 << bits) - 1);
        let scale = deviation * 12_f64.sqrt() / greatest;
        let groups = with_last(n_in / group_size);
        let filled = |value: f64| {
            #[expect(clippy::cast_possible_truncation, reason = "a number near 0")]
            let value = Array::from_f32(value as f32).as_dtype(STORED)?;
            // A copy, since a broadcast array would share one number.
            ops::broadcast_to(value, &groups)?.contiguous()
        };
        let (scales, biases) = (filled(scale)?, filled(-scale * greatest / 2.0)?);
        Ok(Matrix::Quantized {
            weight: self.counted(weight),
            scales: self.counted(scales),
            biases: self.counted(biases),
            grouping,
        })
    }

    /// Numbers that are not quantized: norms and biases. They are 1, which leaves norms as they are.
    pub(super) fn array(&mut self, shape: &[i32]) -> Result<Array> {
        let ones = ops::ones::<f32>(shape)?.as_dtype(self.vectors)?;
        Ok(self.counted(ones))
    }

    fn next_key(&mut self) -> Result<Array> {
        let (next, key) = random::split(&self.key, 2)?;
        self.key = next;
        Ok(key)
    }

    fn counted(&mut self, array: Array) -> Array {
        self.n_bytes += array.nbytes() as u64;
        array
    }
}

/// Words of which every bit is random. mlx-rs has no function for this.
fn random_words(shape: &[i32], key: &Array) -> Result<Array> {
    const BYTES_PER_WORD: i32 = 4;
    let stream = Stream::thread_local_or_default();
    let mut result = mlx_sys::mlx_array { ctx: ptr::null_mut() };
    // SAFETY: the shape and the key outlive the call, and `result` is an empty handle that the call fills.
    let status = unsafe {
        mlx_sys::mlx_random_bits(
            &raw mut result,
            shape.as_ptr(),
            shape.len(),
            BYTES_PER_WORD,
            key.as_ptr(),
            stream.as_ptr(),
        )
    };
    if status != 0 {
        return Err(Exception::custom(format!("cannot make random words of the shape {shape:?}")));
    }
    // SAFETY: after a call that succeeded, the handle owns an array, and nobody else has it.
    Ok(unsafe { Array::from_ptr(result) })
}
