//! Converts MLX's mxfp4 to its affine quantization: [`to_affine`].
//!
//! The values of mxfp4 are halves of small whole numbers, from -12 to 12, times a power of two for each group of 32. So
//! they are affine with 5 bits, exactly: `q - 16` times half that power. This takes an eighth more memory, or a fifth
//! with the scales, and needs no kernels of its own.

use mlx_rs::Array;
use mlx_rs::error::Result;
use runabout_kernels::bf16;

use super::matrix::{Grouping, Matrix};
use crate::error::not_a_slice;

/// Twice the values of the 4-bit codes.
const TWICE: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
/// The code of 0.
const MIDDLE: i8 = 16;
const GROUP: i32 = 32;
const BITS: i32 = 5;
/// Words of a group in mxfp4, and in the result.
const WORDS: usize = 4;

/// The same matrix, from words `[..., n_in / 8]` and scales `[..., n_in / 32]`, both of which are evaluated.
pub(super) fn to_affine(weight: &Array, scales: &Array) -> Result<Matrix> {
    let words: &[u32] = weight.try_as_slice().map_err(not_a_slice)?;
    let exponents: &[u8] = scales.try_as_slice().map_err(not_a_slice)?;
    let mut packed = Vec::with_capacity(exponents.len() * BITS.unsigned_abs() as usize);
    for group in words.chunks_exact(WORDS) {
        pack(group, &mut packed);
    }
    let factor = |exponent: &u8, by: f32| bf16::from_f32((f32::from(*exponent) - 127.0).exp2() * by);
    let halves: Vec<_> = exponents.iter().map(|it| factor(it, 0.5)).collect();
    let biases: Vec<_> = exponents.iter().map(|it| factor(it, -0.5 * f32::from(MIDDLE))).collect();
    let mut shape = scales.shape().to_vec();
    let (scales, biases) = (Array::from_slice(&halves, &shape), Array::from_slice(&biases, &shape));
    if let Some(n) = shape.last_mut() {
        *n *= BITS;
    }
    let grouping = Grouping { group_size: GROUP, bits: BITS };
    Ok(Matrix::Quantized { weight: Array::from_slice(&packed, &shape), scales, biases, grouping })
}

/// Appends a group's 32 codes of 5 bits, as a stream of bits from the lowest.
fn pack(group: &[u32], to: &mut Vec<u32>) {
    let (mut bits, mut n_bits) = (0_u64, 0);
    for code in group.iter().flat_map(|word| (0..8).map(move |i| word >> (4 * i) & 0xf)) {
        let value = (TWICE[code as usize] + MIDDLE).unsigned_abs();
        bits |= u64::from(value) << n_bits;
        n_bits += 5;
        if n_bits >= 32 {
            #[expect(clippy::cast_possible_truncation, reason = "the rest stays")]
            to.push(bits as u32);
            bits >>= 32;
            n_bits -= 32;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use mlx_rs::ops;

    use super::*;
    use crate::testing::alone;

    #[test]
    fn every_code_has_its_value() {
        let _alone = alone();
        // The codes 0 to 15 twice, with scales of 1 and 4.
        let words: Vec<u32> = [0x7654_3210_u32, 0xfedc_ba98].repeat(4);
        let weight = Array::from_slice(&words, &[1, 8]);
        let scales = Array::from_slice(&[127_u8, 129], &[1, 2]);
        let Matrix::Quantized { weight, scales, biases, grouping } = to_affine(&weight, &scales).unwrap()
        else {
            panic!("not quantized")
        };
        let Grouping { group_size, bits } = grouping;
        let values = ops::dequantize(&weight, &scales, &biases, group_size, bits).unwrap();
        let values = values.as_dtype(mlx_rs::Dtype::Float32).unwrap();
        let codes = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
        let all: Vec<f32> = codes.iter().copied().chain(codes.iter().map(|it| -it)).collect();
        let expected: Vec<f32> =
            all.repeat(2).into_iter().chain(all.repeat(2).iter().map(|it| 4.0 * it)).collect();
        let got: Vec<f32> = values.as_slice::<f32>().iter().map(|it| it + 0.0).collect();
        assert_eq!(got, expected);
    }
}
