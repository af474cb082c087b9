//! Copies matrices into their packed form.

use super::form::PackedForm;
use super::{Arrangement, CHUNK, FloatType, Matrix, PackedWeights, Segment, SendPtr, Weights, quads};
use crate::simd::LANES;
use crate::{Cpu, KernelError, Precision};

impl PackedWeights {
    /// Copies `matrices` into their packed form, on all threads; the sources are not needed afterwards.
    pub fn pack(
        cpu: &Cpu,
        matrices: &[Matrix],
        arrangement: Arrangement,
    ) -> Result<PackedWeights, KernelError> {
        let packed = Self::empty(cpu, &PackedForm::of(cpu, matrices, arrangement)?)?;
        let (precision, base) = (packed.precision, SendPtr(packed.arena.as_mut_ptr()));
        for (matrix, segment) in matrices.iter().zip(&packed.segments) {
            cpu.pool().for_each(segment.n_blocks(), |block| {
                // SAFETY: the arena has room for every block of every segment, and each job has its own.
                unsafe { pack_block(matrix, segment, block, precision, base.get()) };
            });
        }
        Ok(packed)
    }
}

/// # Safety
/// `matrix` has been checked by `layout()`, which gave `segment`; the block's bytes at `base` are writable.
unsafe fn pack_block(matrix: &Matrix, segment: &Segment, block: usize, precision: Precision, base: *mut u8) {
    let layout = &segment.layout;
    let first_row = block * LANES;
    let n_rows = LANES.min(segment.n_rows - first_row);
    let n_cols = matrix.n_cols;
    // SAFETY: all reads are below the lengths that `layout()` checked, all writes within the block.
    unsafe {
        let mut to = base.add(segment.offset + block * layout.block_bytes());
        match matrix.weights {
            Weights::Plain(values) => {
                let from = values.as_ptr();
                let copy =
                    if values.float_type() == FloatType::F32 { columns::<u32> } else { columns::<u16> };
                for first_col in (0..n_cols).step_by(CHUNK) {
                    let n = CHUNK.min(n_cols - first_col);
                    copy(from, first_row * n_cols + first_col, n_cols, n, n_rows, to);
                    to = to.add(layout.chunk_bytes());
                }
            }
            Weights::Affine { words, scales, biases, bits, .. } => {
                let n_groups = layout.n_groups;
                let words_per_group = bits * layout.chunks_per_group;
                let copy =
                    if scales.float_type() == FloatType::F32 { columns::<u32> } else { columns::<u16> };
                for group in 0..n_groups {
                    let first = first_row * n_groups + group;
                    copy(scales.as_ptr(), first, n_groups, 1, n_rows, to);
                    if !layout.is_centred() {
                        let to = to.add(layout.header_bytes() / 2);
                        copy(biases.as_ptr(), first, n_groups, 1, n_rows, to);
                    }
                    to = to.add(layout.header_bytes());
                    let row_words = n_groups * words_per_group;
                    let first = first_row * row_words + group * words_per_group;
                    if precision == Precision::F32 {
                        columns::<u32>(words.as_ptr().cast(), first, row_words, words_per_group, n_rows, to);
                    } else {
                        let words = words.as_ptr().add(first);
                        quads::pack(words, row_words, words_per_group, bits, n_rows, to.cast());
                    }
                    to = to.add(words_per_group * LANES * size_of::<u32>());
                }
            }
        }
    }
}

/// Transposes `n` values of each of `n_rows` rows; row `r` starts at `first + r * stride`.
///
/// # Safety
/// The values are readable, `n` times sixteen values at `to` writable.
#[inline]
unsafe fn columns<T: Copy>(
    from: *const u8,
    first: usize,
    stride: usize,
    n: usize,
    n_rows: usize,
    to: *mut u8,
) {
    let (from, to) = (from.cast::<T>(), to.cast::<T>());
    for r in 0..n_rows {
        for i in 0..n {
            // SAFETY: guaranteed by the caller.
            unsafe { *to.add(i * LANES + r) = *from.add(first + r * stride + i) };
        }
    }
}
