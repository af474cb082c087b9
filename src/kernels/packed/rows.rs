//! Reads single rows of a packed matrix, such as the embedding of a token.

use half::{bf16, f16};

use super::{CHUNK, Coding, FloatType, PackedWeights, SendPtr, quads};
use crate::error::{expect_len, product};
use crate::simd::LANES;
use crate::{Cpu, KernelError, Precision};

/// Below this number of rows, the calling thread does the work alone.
const ROWS_FOR_THREADS: usize = 8;

impl PackedWeights {
    /// Unpacks the rows with these indices, counted over all stacked matrices, into `out`.
    pub fn read_rows(&self, cpu: &Cpu, rows: &[u32], out: &mut [f32]) -> Result<(), KernelError> {
        let n_cols = self.n_inputs();
        expect_len("out", product("out", &[rows.len(), n_cols])?, out.len())?;
        let n_rows = self.segments.iter().map(|it| it.n_rows).sum();
        if let Some(row) = rows.iter().map(|&it| it as usize).find(|&it| it >= n_rows) {
            return Err(KernelError::Row { row, n_rows });
        }
        let to = SendPtr(out.as_mut_ptr());
        let read = |i: usize| {
            let Some(&row) = rows.get(i) else { return };
            // SAFETY: `out` has `n_cols` values per row, and this job alone has the ones of row `i`.
            let out = unsafe { std::slice::from_raw_parts_mut(to.get().add(i * n_cols), n_cols) };
            self.read_row(row as usize, out);
        };
        if rows.len() < ROWS_FOR_THREADS {
            (0..rows.len()).for_each(read);
        } else {
            cpu.pool().for_each(rows.len(), read);
        }
        Ok(())
    }

    /// Unpacks one row, which must exist.
    fn read_row(&self, mut row: usize, out: &mut [f32]) {
        let Some(segment) = self.segments.iter().find(|it| {
            let here = row < it.n_rows;
            if !here {
                row -= it.n_rows;
            }
            here
        }) else {
            return;
        };
        let layout = &segment.layout;
        let lane = row % LANES;
        let mut group = self.block(segment, row / LANES);
        for out in out.chunks_mut(layout.chunks_per_group * CHUNK) {
            // SAFETY: the group and its chunks are within the block of the row.
            unsafe {
                let mut chunk = group.add(layout.header_bytes());
                for out in out.chunks_mut(CHUNK) {
                    match layout.coding {
                        Coding::Plain(values) => {
                            for (i, out) in out.iter_mut().enumerate() {
                                *out = read(chunk, i * LANES + lane, values);
                            }
                        }
                        Coding::Affine { bits, header } => {
                            let scale = read(group, lane, header.scales);
                            let bias = if header.is_centred {
                                -((1 << (bits - 1)) as f32) * scale
                            } else {
                                read(group.add(header.scale_bytes()), lane, header.scales)
                            };
                            let words = chunk.cast::<u32>().add(lane);
                            let value = match self.precision {
                                Precision::F32 => value,
                                Precision::Int16 | Precision::Int8 => quads::value,
                            };
                            for (i, out) in out.iter_mut().enumerate() {
                                *out = (value(words, i, bits) as f32).mul_add(scale, bias);
                            }
                        }
                    }
                    chunk = chunk.add(layout.chunk_bytes());
                }
                group = group.add(layout.group_bytes());
            }
        }
    }
}

/// Decodes column `i` of a chunk in the checkpoint's order; `words` starts with the first word of the row.
///
/// # Safety
/// The chunk is readable.
unsafe fn value(words: *const u32, i: usize, bits: usize) -> u32 {
    let (word, bit) = (i * bits / 32, i * bits % 32);
    // SAFETY: guaranteed by the caller; a second word is read only if the value reaches into it.
    unsafe {
        let mut two = u64::from(*words.add(word * LANES));
        if bit + bits > 32 {
            two |= u64::from(*words.add((word + 1) * LANES)) << 32;
        }
        ((two >> bit) & ((1 << bits) - 1)) as u32
    }
}

/// Reads the `i`th value at `p`.
///
/// # Safety
/// It is readable.
unsafe fn read(p: *const u8, i: usize, float_type: FloatType) -> f32 {
    // SAFETY: guaranteed by the caller.
    unsafe {
        match float_type {
            FloatType::F32 => *p.cast::<f32>().add(i),
            FloatType::F16 => (*p.cast::<f16>().add(i)).to_f32(),
            FloatType::Bf16 => (*p.cast::<bf16>().add(i)).to_f32(),
        }
    }
}
