//! Converts ggml's quantized blocks to MLX's affine groups, in which 32 weights share a scale and a bias: `w = scale *
//! code + bias`.
//!
//! MLX stores the codes of a row as one little-endian bit stream: code `i` takes the bits `i * bits .. (i + 1) * bits`,
//! for every width (checked against `mx.dequantize` for 3, 4, 5, 6 and 8 bits; 5-bit codes straddle 32-bit words). For
//! all types but Q6_K, the codes stay the same. Scales and biases are in half precision: ggml's own are, so the simple
//! types stay exact, and MLX requires scales, biases and activations of the same type. For the K types a scale is a
//! product, which is rounded to 11 bits, a much smaller error than their quantization step. For the layout of the
//! blocks see ggml's `ggml-common.h` and `dequantize_row_*`.

use half::f16;

use crate::gguf::GgmlType;

/// The number of weights that share a scale and a bias.
pub(super) const GROUP: usize = 32;

/// The error for a scale or bias that is not finite in half precision.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotFinite;

/// The width of the MLX codes for this type; `None` if the type is not quantized.
pub(super) fn affine_bits(ggml_type: GgmlType) -> Option<usize> {
    match ggml_type {
        GgmlType::F32 | GgmlType::F16 | GgmlType::Bf16 => None,
        GgmlType::Q4_0 | GgmlType::Q4_1 | GgmlType::Q4K => Some(4),
        GgmlType::Q5_0 | GgmlType::Q5_1 | GgmlType::Q5K => Some(5),
        GgmlType::Q8_0 | GgmlType::Q6K => Some(8),
    }
}

/// Repacks one row of blocks.
///
/// `codes` takes `bits / 8` bytes per weight, `scales` and `biases` two bytes per group.
pub(super) fn repack_row(
    ggml_type: GgmlType,
    blocks: &[u8],
    codes: &mut [u8],
    scales: &mut [u8],
    biases: &mut [u8],
) -> Result<(), NotFinite> {
    let Some(bits) = affine_bits(ggml_type) else { return Ok(()) };
    let groups_per_block = ggml_type.block_len() / GROUP;
    let mut outputs = codes
        .chunks_exact_mut(GROUP * bits / 8)
        .zip(scales.chunks_exact_mut(2).zip(biases.chunks_exact_mut(2)));
    for block in blocks.chunks_exact(ggml_type.block_bytes()) {
        for (idx, (codes, (scale, bias))) in outputs.by_ref().take(groups_per_block).enumerate() {
            let group = group(ggml_type, block, idx);
            if !group.scale.is_finite() || !group.bias.is_finite() {
                return Err(NotFinite);
            }
            pack(&group.codes, bits, codes);
            scale.copy_from_slice(&group.scale.to_le_bytes());
            bias.copy_from_slice(&group.bias.to_le_bytes());
        }
    }
    Ok(())
}

struct Group {
    codes: [u8; GROUP],
    scale: f16,
    bias: f16,
}

/// Group `idx` of a block, whose slice must have the size of a block of its type.
fn group(ggml_type: GgmlType, block: &[u8], idx: usize) -> Group {
    match ggml_type {
        GgmlType::Q4_0 => {
            let d = half_at(block, 0);
            Group { codes: nibbles(&block[2..]), scale: d, bias: times(d, -8.0) }
        }
        GgmlType::Q4_1 => {
            Group { codes: nibbles(&block[4..]), scale: half_at(block, 0), bias: half_at(block, 2) }
        }
        GgmlType::Q5_0 => {
            let d = half_at(block, 0);
            Group { codes: fifth_bits(nibbles(&block[6..]), &block[2..6]), scale: d, bias: times(d, -16.0) }
        }
        GgmlType::Q5_1 => Group {
            codes: fifth_bits(nibbles(&block[8..]), &block[4..8]),
            scale: half_at(block, 0),
            bias: half_at(block, 2),
        },
        GgmlType::Q8_0 => {
            let d = half_at(block, 0);
            // Flipping the sign bit of a two's complement byte adds 128.
            let codes = std::array::from_fn(|i| block[2 + i] ^ 0x80);
            Group { codes, scale: d, bias: times(d, -128.0) }
        }
        GgmlType::Q4K | GgmlType::Q5K => k_group(ggml_type, block, idx),
        GgmlType::Q6K => q6_group(block, idx),
        GgmlType::F32 | GgmlType::F16 | GgmlType::Bf16 => unreachable!("float tensors have no groups"),
    }
}

/// Q4_K and Q5_K have 8 groups, each with its own 6-bit scale and 6-bit minimum.
fn k_group(ggml_type: GgmlType, block: &[u8], idx: usize) -> Group {
    let (scale, min) = six_bit_pair(&block[4..16], idx);
    let low = if ggml_type == GgmlType::Q5K { &block[48..] } else { &block[16..] };
    // 32 bytes contain two groups: the first in the low nibbles, the second in the high nibbles.
    let low = &low[idx / 2 * 32..][..32];
    let mut codes: [u8; GROUP] =
        std::array::from_fn(|i| if idx.is_multiple_of(2) { low[i] & 0x0f } else { low[i] >> 4 });
    if ggml_type == GgmlType::Q5K {
        let high = &block[16..48];
        for (code, high) in codes.iter_mut().zip(high) {
            *code |= (high >> idx & 1) << 4;
        }
    }
    Group {
        codes,
        scale: times(half_at(block, 0), f32::from(scale)),
        bias: times(half_at(block, 2), -f32::from(min)),
    }
}

/// ggml's `get_scale_min_k4`: eight pairs of 6-bit numbers in twelve bytes.
fn six_bit_pair(packed: &[u8], idx: usize) -> (u8, u8) {
    if idx < 4 {
        (packed[idx] & 63, packed[idx + 4] & 63)
    } else {
        let low = packed[idx + 4];
        (low & 0x0f | packed[idx - 4] >> 6 << 4, low >> 4 | packed[idx] >> 6 << 4)
    }
}

/// Q6_K has groups of 16 weights with signed scales, which MLX does not support; two of them become one 8-bit group.
///
/// The new step is a quarter of the larger scale. The codes of the 16 weights with that scale become multiples of 4 and
/// stay exact. The other 16 weights are off by at most an eighth of that scale, while Q6_K itself is off by half a
/// step. (MLX's quantizer divides the range of the weights into 255 steps, which would change all 32.)
fn q6_group(block: &[u8], idx: usize) -> Group {
    let (half, quarter) = (idx / 4, idx % 4);
    let low = &block[half * 64 + quarter % 2 * 32..][..32];
    let high = &block[128 + half * 32..][..32];
    let scales = &block[192 + half * 8 + quarter * 2..][..2];
    let d = half_at(block, 208).to_f32();
    let scales = [d * f32::from(scales[0].cast_signed()), d * f32::from(scales[1].cast_signed())];

    let larger = if scales[0].abs() >= scales[1].abs() { scales[0] } else { scales[1] };
    let step = f16::from_f32(larger / 4.0);
    let inverse = if step.to_f32() == 0.0 { 0.0 } else { step.to_f32().recip() };
    let codes = std::array::from_fn(|i| {
        let nibble = if quarter < 2 { low[i] & 0x0f } else { low[i] >> 4 };
        let q = i32::from(nibble | (high[i] >> (2 * quarter) & 3) << 4) - 32;
        let code = (q as f32 * scales[i / 16] * inverse).round() + 128.0;
        // Only -32, together with a scale of the opposite sign, gives 256.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
        let code = code.clamp(0.0, 255.0) as u8;
        code
    });
    Group { codes, scale: step, bias: times(step, -128.0) }
}

/// Splits 16 bytes into 32 codes: first the low nibbles, then the high ones.
fn nibbles(bytes: &[u8]) -> [u8; GROUP] {
    std::array::from_fn(|i| if i < 16 { bytes[i] & 0x0f } else { bytes[i - 16] >> 4 })
}

/// Adds the fifth bit of each code, from 32 bits.
fn fifth_bits(mut codes: [u8; GROUP], bits: &[u8]) -> [u8; GROUP] {
    for (i, code) in codes.iter_mut().enumerate() {
        *code |= (bits[i / 8] >> (i % 8) & 1) << 4;
    }
    codes
}

/// Appends codes to MLX's bit stream; eight codes fill `bits` bytes.
fn pack(codes: &[u8; GROUP], bits: usize, packed: &mut [u8]) {
    for (eight, bytes) in codes.chunks_exact(8).zip(packed.chunks_exact_mut(bits)) {
        let word = eight.iter().rev().fold(0_u64, |word, &code| word << bits | u64::from(code));
        bytes.copy_from_slice(&word.to_le_bytes()[..bits]);
    }
}

fn half_at(block: &[u8], offset: usize) -> f16 {
    f16::from_le_bytes([block[offset], block[offset + 1]])
}

fn times(value: f16, factor: f32) -> f16 {
    f16::from_f32(value.to_f32() * factor)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Dequantizes as MLX does, bit by bit: `scale * code + bias`.
    fn dequantize(bits: usize, codes: &[u8], scales: &[u8], biases: &[u8]) -> Vec<f32> {
        (0..scales.len() / 2 * GROUP)
            .map(|i| {
                let code = (0..bits).fold(0, |code, bit| {
                    let at = i * bits + bit;
                    code | u32::from(codes[at / 8] >> (at % 8) & 1) << bit
                });
                let (scale, bias) = (half_at(scales, i / GROUP * 2), half_at(biases, i / GROUP * 2));
                scale.to_f32() * code as f32 + bias.to_f32()
            })
            .collect()
    }

    fn convert(ggml_type: GgmlType, blocks: &[u8]) -> Vec<f32> {
        let bits = affine_bits(ggml_type).unwrap();
        let n_weights = blocks.len() / ggml_type.block_bytes() * ggml_type.block_len();
        let mut codes = vec![0; n_weights * bits / 8];
        let (mut scales, mut biases) = (vec![0; n_weights / GROUP * 2], vec![0; n_weights / GROUP * 2]);
        repack_row(ggml_type, blocks, &mut codes, &mut scales, &mut biases).unwrap();
        dequantize(bits, &codes, &scales, &biases)
    }

    fn unhex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|it| u8::from_str_radix(std::str::from_utf8(it).unwrap(), 16).unwrap())
            .collect()
    }

    /// Types, blocks and the weights that another implementation gets from them.
    fn vectors() -> Vec<(GgmlType, Vec<u8>, Vec<f32>)> {
        let by_name = |name: &str| match name {
            "Q4_0" => GgmlType::Q4_0,
            "Q4_1" => GgmlType::Q4_1,
            "Q5_0" => GgmlType::Q5_0,
            "Q5_1" => GgmlType::Q5_1,
            "Q8_0" => GgmlType::Q8_0,
            "Q4_K" => GgmlType::Q4K,
            "Q5_K" => GgmlType::Q5K,
            "Q6_K" => GgmlType::Q6K,
            other => panic!("{other}"),
        };
        include_str!("blocks/vectors.txt")
            .lines()
            .filter(|it| !it.starts_with('#'))
            .map(|line| {
                let [name, blocks, weights] = line.split(' ').collect::<Vec<_>>()[..] else {
                    panic!("{line}")
                };
                let weights =
                    unhex(weights).chunks(4).map(|it| f32::from_le_bytes(it.try_into().unwrap())).collect();
                (by_name(name), unhex(blocks), weights)
            })
            .collect()
    }

    #[test]
    fn every_type_keeps_the_weights_of_ggml() {
        let vectors = vectors();
        assert_eq!(vectors.len(), 16);
        for (ggml_type, blocks, expected) in vectors {
            let got = convert(ggml_type, &blocks);
            assert_eq!(got.len(), expected.len());
            // The bound covers the rounding of a scale to half precision, times up to 31, and of a bias. Q6_K has its
            // own test.
            let largest = expected.iter().fold(0.0_f32, |max, it| max.max(it.abs()));
            let tolerance = match ggml_type {
                GgmlType::Q4K | GgmlType::Q5K => largest / 512.0,
                GgmlType::Q6K => largest / 64.0,
                _ => 0.0,
            };
            for (idx, (got, expected)) in got.iter().zip(&expected).enumerate() {
                assert!((got - expected).abs() <= tolerance, "{ggml_type:?} {idx}: {got} for {expected}");
            }
        }
    }

    #[test]
    fn q6_k_is_exact_for_the_larger_scale_and_off_by_at_most_an_eighth_of_it_for_the_other() {
        for (_, blocks, expected) in vectors().into_iter().filter(|(it, ..)| *it == GgmlType::Q6K) {
            let got = convert(GgmlType::Q6K, &blocks);
            let d = half_at(&blocks, 208).to_f32();
            for (group, scales) in blocks[192..208].chunks(2).enumerate() {
                let scales = [scales[0].cast_signed(), scales[1].cast_signed()];
                let step = d.abs() * f32::from(scales[0].unsigned_abs().max(scales[1].unsigned_abs()));
                for i in 0..GROUP {
                    let error = (got[group * GROUP + i] - expected[group * GROUP + i]).abs();
                    let is_larger = scales[i / 16].unsigned_abs() >= scales[1 - i / 16].unsigned_abs();
                    // The rounding of the scale is multiplied by up to 32. The one code that does not fit is off by a
                    // quarter.
                    let rounding = step * 32.0 / 2048.0;
                    let limit = if is_larger { rounding } else { step / 4.0 + rounding };
                    assert!(error <= limit, "group {group}, weight {i}: {error} over {limit}");
                }
            }
        }
    }

    #[test]
    fn five_bit_codes_are_packed_from_the_lowest_bit_and_straddle_bytes() {
        let mut codes = [0; GROUP];
        codes[..8].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 31]);
        let mut packed = [0; 20];
        pack(&codes, 5, &mut packed);
        // 1 | 2<<5 | 3<<10 | 4<<15 | 5<<20 | 6<<25 | 7<<30 | 31<<35, as mx.quantize packs it.
        assert_eq!(packed[..5], 0x00f9_cc52_0c41_u64.to_le_bytes()[..5]);
        assert_eq!(packed[5..], [0; 15]);
    }

    #[test]
    fn a_scale_that_half_precision_cannot_hold_is_an_error() {
        let mut block = [0; 18];
        block[..2].copy_from_slice(&f16::INFINITY.to_le_bytes());
        let result = repack_row(GgmlType::Q4_0, &block, &mut [0; 16], &mut [0; 2], &mut [0; 2]);
        assert_eq!(result, Err(NotFinite));
        // The scale is finite in half precision, but 128 times the scale is not.
        let mut block = [0; 34];
        block[..2].copy_from_slice(&f16::from_f32(1000.0).to_le_bytes());
        let result = repack_row(GgmlType::Q8_0, &block, &mut [0; 32], &mut [0; 2], &mut [0; 2]);
        assert_eq!(result, Err(NotFinite));
    }
}
