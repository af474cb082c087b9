//! Converts ggml's quantized blocks to MLX's affine groups, in which 32 weights share a scale and a bias: `w = scale *
//! code + bias`.
//!
//! MLX stores the codes of a row as one little-endian bit stream: code `i` takes the bits `i * bits .. (i + 1) * bits`,
//! for every width (checked against `mx.dequantize` for 3, 4, 5, 6 and 8 bits; 5-bit codes straddle 32-bit words).
//! Scales and biases are in half precision: ggml's own are, so the simple types stay exact, and MLX requires scales,
//! biases and activations of the same type. The types whose 16 values are not evenly spaced (IQ4_NL, IQ4_XS, MXFP4) stay
//! exact too, with codes of more bits. For IQ4_XS and the K types a scale is a product, which is rounded to 11 bits, a
//! much smaller error than their quantization step. Q2_K, Q3_K and Q6_K have groups of 16, two of which become one: they
//! are quantized again, with more bits than they had. For the layout of the blocks see ggml's `ggml-common.h` and
//! `dequantize_row_*`.

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
        GgmlType::Q5_0 | GgmlType::Q5_1 | GgmlType::Q5K | GgmlType::Mxfp4 => Some(5),
        GgmlType::Q2K | GgmlType::Q3K => Some(6),
        GgmlType::Q8_0 | GgmlType::Q6K | GgmlType::Iq4Nl | GgmlType::Iq4Xs => Some(8),
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
        GgmlType::Q2K => q2_group(block, idx),
        GgmlType::Q3K => q3_group(block, idx),
        GgmlType::Q4K | GgmlType::Q5K => k_group(ggml_type, block, idx),
        GgmlType::Q6K => q6_group(block, idx),
        GgmlType::Iq4Nl => uneven_group(half_at(block, 0), &block[2..]),
        GgmlType::Iq4Xs => {
            let low = block[4 + idx / 2] >> (idx % 2 * 4) & 0x0f;
            let high = u16::from_le_bytes([block[2], block[3]]) >> (2 * idx) & 3;
            let scale = f32::from(low) + f32::from(high) * 16.0 - 32.0;
            uneven_group(times(half_at(block, 0), scale), &block[8 + 16 * idx..])
        }
        GgmlType::Mxfp4 => {
            // Codes are 16 more than twice their values.
            let codes = nibbles(&block[1..]).map(|it| (MXFP4_VALUES[usize::from(it)] + 16).cast_unsigned());
            let scale = (f32::from(block[0]) - 128.0).exp2();
            let rounded = f16::from_f32(scale);
            // A power of two that half precision does not have.
            let scale = if rounded.to_f32().to_bits() == scale.to_bits() { rounded } else { f16::NAN };
            Group { codes, scale, bias: times(scale, -16.0) }
        }
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

/// The values of IQ4_NL's and IQ4_XS's codes.
const UNEVEN_VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Twice the values of MXFP4's codes.
const MXFP4_VALUES: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// The codes of 8 bits are 128 more than the values.
fn uneven_group(scale: f16, nibbles_from: &[u8]) -> Group {
    let codes = nibbles(nibbles_from).map(|it| UNEVEN_VALUES[usize::from(it)].cast_unsigned() ^ 0x80);
    Group { codes, scale, bias: times(scale, -128.0) }
}

/// Q2_K has groups of 16 weights with a scale and a minimum of 4 bits each. The range of two of them is divided into 63
/// steps, so weights are off by at most 1 in 126 of their range.
fn q2_group(block: &[u8], idx: usize) -> Group {
    let (d, d_min) = (half_at(block, 80).to_f32(), half_at(block, 82).to_f32());
    let quarters = &block[16 + idx / 4 * 32..][..32];
    let weights: [f32; GROUP] = std::array::from_fn(|i| {
        let packed = block[2 * idx + i / 16];
        let q = quarters[i] >> (idx % 4 * 2) & 3;
        d * f32::from(packed & 0x0f) * f32::from(q) - d_min * f32::from(packed >> 4)
    });
    let (least, greatest) = weights.iter().fold((f32::MAX, f32::MIN), |(a, b), it| (a.min(*it), b.max(*it)));
    let (scale, bias) = (f16::from_f32((greatest - least) / 63.0), f16::from_f32(least));
    let inverse = inverse(scale);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to six bits")]
    let codes = weights.map(|it| ((it - bias.to_f32()) * inverse).round().clamp(0.0, 63.0) as u8);
    Group { codes, scale, bias }
}

/// Q3_K has groups of 16 weights with signed scales. The new step is an eighth of the larger one of two, as for Q6_K: the
/// weights with that scale stay exact, and the others are off by at most a sixteenth of it.
fn q3_group(block: &[u8], idx: usize) -> Group {
    let d = half_at(block, 108).to_f32();
    let packed = &block[96..108];
    let scale = |i: usize| {
        let low = if i < 8 { packed[i] & 0x0f } else { packed[i - 8] >> 4 };
        let high = packed[8 + i % 4] >> (i / 4 * 2) & 3;
        d * (f32::from(low | high << 4) - 32.0)
    };
    let scales = [scale(2 * idx), scale(2 * idx + 1)];
    let larger = if scales[0].abs() >= scales[1].abs() { scales[0] } else { scales[1] };
    let step = f16::from_f32(larger / 8.0);
    let inverse = inverse(step);
    let low = &block[32 + idx / 4 * 32..][..32];
    let codes = std::array::from_fn(|i| {
        let is_high = block[i] >> idx & 1 == 1;
        let q = f32::from(low[i] >> (idx % 4 * 2) & 3) - if is_high { 0.0 } else { 4.0 };
        // Only -4, together with a scale of the opposite sign, gives 64.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to six bits")]
        let code = ((q * scales[i / 16] * inverse).round() + 32.0).clamp(0.0, 63.0) as u8;
        code
    });
    Group { codes, scale: step, bias: times(step, -32.0) }
}

/// 0 for 0.
fn inverse(step: f16) -> f32 {
    if step.to_f32() == 0.0 { 0.0 } else { step.to_f32().recip() }
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
    let inverse = inverse(step);
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
            "Q2_K" => GgmlType::Q2K,
            "Q3_K" => GgmlType::Q3K,
            "Q4_K" => GgmlType::Q4K,
            "Q5_K" => GgmlType::Q5K,
            "Q6_K" => GgmlType::Q6K,
            "IQ4_NL" => GgmlType::Iq4Nl,
            "IQ4_XS" => GgmlType::Iq4Xs,
            "MXFP4" => GgmlType::Mxfp4,
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
        assert_eq!(vectors.len(), 26);
        for (ggml_type, blocks, expected) in vectors {
            let got = convert(ggml_type, &blocks);
            assert_eq!(got.len(), expected.len());
            // The bound covers the rounding of a scale to half precision, times up to 31, and of a bias; for Q2_K also half
            // a step. Q3_K and Q6_K have their own test.
            let largest = expected.iter().fold(0.0_f32, |max, it| max.max(it.abs()));
            let tolerance = match ggml_type {
                GgmlType::Q4K | GgmlType::Q5K => largest / 512.0,
                GgmlType::Iq4Xs => largest / 2048.0,
                GgmlType::Q2K => largest / 50.0,
                GgmlType::Q3K => largest / 8.0,
                GgmlType::Q6K => largest / 64.0,
                _ => 0.0,
            };
            for (idx, (got, expected)) in got.iter().zip(&expected).enumerate() {
                assert!((got - expected).abs() <= tolerance, "{ggml_type:?} {idx}: {got} for {expected}");
            }
        }
    }

    /// The two scales of a group of Q3_K or Q6_K, by ggml's own unpacking for Q3_K.
    fn signed_scales(ggml_type: GgmlType, blocks: &[u8], group: usize) -> [i8; 2] {
        if ggml_type == GgmlType::Q6K {
            return [0, 1].map(|i| blocks[192 + 2 * group + i].cast_signed());
        }
        let word = |at: usize| u32::from_le_bytes(blocks[96 + at..100 + at].try_into().unwrap());
        let (a, b, high) = (word(0), word(4), word(8));
        let [low, two] = [0x0f0f_0f0f, 0x0303_0303];
        let words = [
            a & low | (high & two) << 4,
            b & low | (high >> 2 & two) << 4,
            a >> 4 & low | (high >> 4 & two) << 4,
            b >> 4 & low | (high >> 6 & two) << 4,
        ];
        let bytes = words.map(u32::to_le_bytes).concat();
        [0, 1].map(|i| bytes[2 * group + i].cast_signed() - 32)
    }

    #[test]
    fn types_with_two_scales_are_exact_for_the_larger_one_and_off_by_half_a_step_for_the_other() {
        // The type, the offset of its own factor, and how many steps the larger scale becomes.
        for (wanted, at, n_steps) in [(GgmlType::Q3K, 108, 8.0), (GgmlType::Q6K, 208, 4.0)] {
            for (ggml_type, blocks, expected) in vectors().into_iter().filter(|it| it.0 == wanted) {
                let got = convert(ggml_type, &blocks);
                let d = half_at(&blocks, at).to_f32();
                for group in 0..8 {
                    let scales = signed_scales(ggml_type, &blocks, group);
                    let larger = d.abs() * f32::from(scales[0].unsigned_abs().max(scales[1].unsigned_abs()));
                    for i in 0..GROUP {
                        let error = (got[group * GROUP + i] - expected[group * GROUP + i]).abs();
                        let is_larger = scales[i / 16].unsigned_abs() >= scales[1 - i / 16].unsigned_abs();
                        // The rounding of the scale is multiplied by up to 32. The one code that does not fit is off
                        // by a whole step.
                        let rounding = larger * 32.0 / 2048.0;
                        let limit = if is_larger { rounding } else { larger / n_steps + rounding };
                        assert!(error <= limit, "{wanted:?} group {group}, weight {i}: {error} over {limit}");
                    }
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
