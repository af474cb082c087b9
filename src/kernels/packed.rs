//! Weight matrices rearranged for the kernels, with sixteen rows interleaved: [`PackedWeights`].
//!
//! A matrix of `[n_rows, n_cols]` becomes blocks of sixteen rows. A block holds its quantization groups one after the
//! other; a group is sixteen scales, sixteen biases, and then its chunks of 32 columns. If every bias of a matrix
//! follows from its scale, biases are omitted, because a product of one row is limited by reading. In a chunk, word
//! `j` of row 0 is followed by word `j` of row 1 and so on, so a vector register loads one word of each row: a lane
//! is a row, and no sum across lanes is needed. MLX's packed bits are one little-endian stream per row for every
//! width, including 3, 5 and 6 bits, so the words are copied unchanged. Plain matrices have the same form without
//! scales: 32 columns of sixteen values. For integer products, the words of a chunk are rearranged
//! (`packed/quads.rs`).
//!
//! Rows beyond the last are zero, and so are columns beyond the last of a plain matrix.

pub(crate) mod form;
mod pack;
pub(crate) mod quads;
mod rows;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use serde::{Deserialize, Serialize};

use crate::error::{expect_len, product};
use crate::memory::Arena;
use crate::simd::LANES;
use crate::{Activation, KernelError, Precision};

/// Columns that are unpacked together: `bits` words of 32 bits hold 32 values exactly.
pub(crate) const CHUNK: usize = 32;

/// The type of plain weights, scales and biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FloatType {
    F32,
    F16,
    Bf16,
}

/// A borrowed slice of numbers of one of the types.
#[derive(Clone, Copy, Debug)]
pub enum Floats<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
}

/// A matrix `[n_rows, n_cols]` as in the checkpoint, row after row.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    pub n_rows: usize,
    pub n_cols: usize,
    pub weights: Weights<'a>,
}

/// The values of a matrix.
#[derive(Clone, Copy, Debug)]
pub enum Weights<'a> {
    Plain(Floats<'a>),
    /// MLX's affine quantization: `scale * q + bias`, with one scale and one bias for every `group_size` values of a
    /// row.
    Affine {
        words: &'a [u32],
        scales: Floats<'a>,
        biases: Floats<'a>,
        bits: usize,
        group_size: usize,
    },
}

/// How several matrices with the same input become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arrangement {
    /// The outputs are concatenated, as for query, key and value.
    Stacked,
    /// Two matrices, gate and up: the output is `activation(gate) * up`.
    Gated(Activation),
}

/// Packed matrices with the same input. They may differ in rows, bits, groups and types.
#[derive(Debug)]
pub struct PackedWeights {
    pub(crate) arena: Arena,
    pub(crate) segments: Vec<Segment>,
    pub(crate) arrangement: Arrangement,
    /// `F32` if any matrix is plain. Otherwise quantized values are arranged in quads.
    pub(crate) precision: Precision,
    n_cols: usize,
}

/// One matrix within the arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// Bytes from the arena's start to the first block.
    pub(crate) offset: usize,
    pub(crate) n_rows: usize,
    pub(crate) layout: Layout,
}

/// The layout of a block of sixteen rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout {
    pub(crate) coding: Coding,
    pub(crate) n_groups: usize,
    pub(crate) chunks_per_group: usize,
}

/// The encoding of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Coding {
    Plain(FloatType),
    Affine { bits: usize, header: Header },
}

/// The start of a group: sixteen scales, and sixteen biases unless the matrix is centred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) scales: FloatType,
    /// Every bias is `-2^(bits - 1)` times its scale.
    pub(crate) is_centred: bool,
}

impl FloatType {
    pub(crate) fn n_bytes(self) -> usize {
        match self {
            FloatType::F32 => 4,
            FloatType::F16 | FloatType::Bf16 => 2,
        }
    }
}

impl Floats<'_> {
    pub fn float_type(&self) -> FloatType {
        match self {
            Floats::F32(_) => FloatType::F32,
            Floats::F16(_) => FloatType::F16,
            Floats::Bf16(_) => FloatType::Bf16,
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Floats::F32(it) => it.len(),
            Floats::F16(it) => it.len(),
            Floats::Bf16(it) => it.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies numbers starting at `first`, as many as `to` has room for.
    fn copy_to(&self, first: usize, to: &mut [f32]) {
        let range = first..first + to.len();
        match self {
            Floats::F32(it) => to.copy_from_slice(&it[range]),
            Floats::F16(it) => it[range].convert_to_f32_slice(to),
            Floats::Bf16(it) => it[range].convert_to_f32_slice(to),
        }
    }

    fn as_ptr(&self) -> *const u8 {
        match self {
            Floats::F32(it) => it.as_ptr().cast(),
            Floats::F16(it) => it.as_ptr().cast(),
            Floats::Bf16(it) => it.as_ptr().cast(),
        }
    }
}

impl Matrix<'_> {
    /// The packed layout; fails if the parts do not match.
    fn layout(&self) -> Result<Layout, KernelError> {
        let &Matrix { n_rows, n_cols, .. } = self;
        if n_rows == 0 || n_cols == 0 {
            return Err(KernelError::Zero { what: "rows and columns" });
        }
        let n_values = product("weights", &[n_rows, n_cols])?;
        match self.weights {
            Weights::Plain(values) => {
                expect_len("weights", n_values, values.len())?;
                let coding = Coding::Plain(values.float_type());
                Ok(Layout { coding, n_groups: n_cols.div_ceil(CHUNK), chunks_per_group: 1 })
            }
            Weights::Affine { words, scales, biases, bits, group_size } => {
                check_affine(bits, group_size)?;
                if !n_cols.is_multiple_of(group_size) {
                    return Err(KernelError::Columns { group_size, n_cols });
                }
                expect_len("words", n_values / 32 * bits, words.len())?;
                expect_len("scales", n_values / group_size, scales.len())?;
                expect_len("biases", n_values / group_size, biases.len())?;
                if scales.float_type() != biases.float_type() {
                    return Err(KernelError::ScaleTypes);
                }
                let is_centred = is_centred(bits, scales, biases);
                let header = Header { scales: scales.float_type(), is_centred };
                let coding = Coding::Affine { bits, header };
                Ok(Layout { coding, n_groups: n_cols / group_size, chunks_per_group: group_size / CHUNK })
            }
        }
    }
}

fn check_affine(bits: usize, group_size: usize) -> Result<(), KernelError> {
    if !matches!(bits, 2..=6 | 8) {
        return Err(KernelError::Bits { got: bits });
    }
    if !matches!(group_size, 32 | 64 | 128) {
        return Err(KernelError::GroupSize { got: group_size });
    }
    Ok(())
}

/// Whether every bias is `-2^(bits - 1)` times its scale.
fn is_centred(bits: usize, scales: Floats, biases: Floats) -> bool {
    const N: usize = 256;
    let middle = (1u32 << (bits - 1)) as f32;
    let (mut some_scales, mut some_biases) = ([0.0; N], [0.0; N]);
    (0..scales.len()).step_by(N).all(|first| {
        let n = N.min(scales.len() - first);
        scales.copy_to(first, &mut some_scales[..n]);
        biases.copy_to(first, &mut some_biases[..n]);
        // Without an early exit, so that it can be vectorized.
        let pairs = some_scales[..n].iter().zip(&some_biases[..n]);
        pairs.filter(|(scale, bias)| **scale * middle + **bias != 0.0).count() == 0
    })
}

impl Header {
    /// Bytes of the sixteen scales.
    pub(crate) fn scale_bytes(self) -> usize {
        LANES * self.scales.n_bytes()
    }
}

impl Layout {
    fn check(&self) -> Result<(), KernelError> {
        match self.coding {
            Coding::Plain(_) if self.chunks_per_group == 1 => Ok(()),
            Coding::Plain(_) => Err(KernelError::Form),
            Coding::Affine { bits, .. } => check_affine(bits, self.chunks_per_group.saturating_mul(CHUNK)),
        }
    }

    fn n_chunks(&self) -> usize {
        self.n_groups.saturating_mul(self.chunks_per_group)
    }

    pub(crate) fn header_bytes(&self) -> usize {
        match self.coding {
            Coding::Plain(_) => 0,
            Coding::Affine { header, .. } => header.scale_bytes() * if header.is_centred { 1 } else { 2 },
        }
    }

    pub(crate) fn is_centred(&self) -> bool {
        matches!(self.coding, Coding::Affine { header, .. } if header.is_centred)
    }

    /// Bits per value.
    pub(crate) fn bits(&self) -> usize {
        match self.coding {
            Coding::Plain(values) => 8 * values.n_bytes(),
            Coding::Affine { bits, .. } => bits,
        }
    }

    pub(crate) fn chunk_bytes(&self) -> usize {
        match self.coding {
            Coding::Plain(values) => CHUNK * LANES * values.n_bytes(),
            Coding::Affine { bits, .. } => bits * LANES * size_of::<u32>(),
        }
    }

    pub(crate) fn group_bytes(&self) -> usize {
        self.header_bytes() + self.chunks_per_group * self.chunk_bytes()
    }

    /// Bytes of `n_chunks` chunks, which form whole groups.
    pub(crate) fn bytes_of_chunks(&self, n_chunks: usize) -> usize {
        n_chunks / self.chunks_per_group * self.group_bytes()
    }

    pub(crate) fn block_bytes(&self) -> usize {
        self.n_groups * self.group_bytes()
    }
}

impl Segment {
    pub(crate) fn n_blocks(&self) -> usize {
        self.n_rows.div_ceil(LANES)
    }
}

impl PackedWeights {
    /// The number of columns of an input row.
    pub fn n_inputs(&self) -> usize {
        self.n_cols
    }

    /// The number of columns of an output row.
    pub fn n_outputs(&self) -> usize {
        match self.arrangement {
            Arrangement::Stacked => self.segments.iter().map(|it| it.n_rows).sum(),
            Arrangement::Gated(_) => self.segments.first().map_or(0, |it| it.n_rows),
        }
    }

    /// Bytes of memory, all of which a product of a single row reads.
    pub fn n_bytes(&self) -> usize {
        self.arena.len()
    }

    /// Columns, including the padding of a plain matrix.
    pub(crate) fn n_padded_inputs(&self) -> usize {
        self.n_cols.next_multiple_of(CHUNK)
    }

    /// The first byte of a block.
    pub(crate) fn block(&self, segment: &Segment, block: usize) -> *const u8 {
        debug_assert!(block < segment.n_blocks());
        self.arena
            .as_mut_ptr()
            .cast_const()
            .wrapping_add(segment.offset + block * segment.layout.block_bytes())
    }
}

/// A pointer that jobs share. Each job writes its own part.
#[derive(Clone, Copy)]
pub(crate) struct SendPtr<T>(pub(crate) *mut T);

// SAFETY: a pointer is only an address; code that dereferences it states why threads do not conflict.
unsafe impl<T> Send for SendPtr<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for SendPtr<T> {}

impl<T> SendPtr<T> {
    pub(crate) fn get(&self) -> *mut T {
        self.0
    }
}
