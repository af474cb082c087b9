//! What packed weights are, apart from their bytes: [`PackedForm`]. Both together can be kept and restored.

use serde::{Deserialize, Serialize};

use super::{Arrangement, CHUNK, Coding, Layout, Matrix, PackedWeights, Segment};
use crate::error::product;
use crate::{Cpu, KernelError, Precision};

/// Changes whenever the same matrices are packed into other bytes than before.
pub const PACKING_VERSION: u32 = 1;

/// The matrices, and how they are packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedForm {
    n_cols: usize,
    arrangement: Arrangement,
    precision: Precision,
    matrices: Vec<Part>,
}

/// One matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    n_rows: usize,
    layout: Layout,
}

impl PackedForm {
    /// The form that `matrices` are packed into; fails if they do not fit together.
    pub(super) fn of(
        cpu: &Cpu,
        matrices: &[Matrix],
        arrangement: Arrangement,
    ) -> Result<PackedForm, KernelError> {
        let n_cols = matrices.first().map_or(0, |it| it.n_cols);
        let mut parts = Vec::with_capacity(matrices.len());
        for matrix in matrices {
            if matrix.n_cols != n_cols {
                return Err(KernelError::Shapes { what: "columns", first: n_cols, other: matrix.n_cols });
            }
            parts.push(Part { n_rows: matrix.n_rows, layout: matrix.layout()? });
        }
        let all_affine = parts.iter().all(|it| matches!(it.layout.coding, Coding::Affine { .. }));
        let precision = if all_affine { cpu.precision() } else { Precision::F32 };
        Ok(PackedForm { n_cols, arrangement, precision, matrices: parts })
    }

    /// The number of columns of an input row.
    pub fn n_inputs(&self) -> usize {
        self.n_cols
    }

    /// The number of columns of an output row.
    pub fn n_outputs(&self) -> usize {
        let mut rows = self.matrices.iter().map(|it| it.n_rows);
        match self.arrangement {
            Arrangement::Stacked => rows.fold(0, usize::saturating_add),
            Arrangement::Gated(_) => rows.next().unwrap_or(0),
        }
    }

    /// How the matrices become one.
    pub fn arrangement(&self) -> Arrangement {
        self.arrangement
    }

    /// The number of bytes of the packed weights; fails if no weights are packed into this form.
    pub fn n_bytes(&self) -> Result<usize, KernelError> {
        self.segments().map(|it| it.1)
    }

    /// The place of each matrix, and the number of bytes of all.
    pub(super) fn segments(&self) -> Result<(Vec<Segment>, usize), KernelError> {
        self.check()?;
        let mut segments = Vec::with_capacity(self.matrices.len());
        let mut n_bytes: usize = 0;
        for &Part { n_rows, layout } in &self.matrices {
            let segment = Segment { offset: n_bytes, n_rows, layout };
            let n_more = product("weights", &[segment.n_blocks(), layout.block_bytes()])?;
            n_bytes = n_bytes.checked_add(n_more).ok_or(KernelError::TooLarge { what: "weights" })?;
            segments.push(segment);
        }
        Ok((segments, n_bytes))
    }

    fn check(&self) -> Result<(), KernelError> {
        for Part { n_rows, layout } in &self.matrices {
            layout.check()?;
            if *n_rows == 0 || layout.n_chunks() != self.n_cols.div_ceil(CHUNK) {
                return Err(KernelError::Form);
            }
            let is_plain = matches!(layout.coding, Coding::Plain(_));
            if is_plain && self.precision != Precision::F32 {
                return Err(KernelError::Form);
            }
        }
        match (self.arrangement, self.matrices.as_slice()) {
            (_, []) => Err(KernelError::Matrices { expected: 1, got: 0 }),
            (Arrangement::Stacked, _) => Ok(()),
            (Arrangement::Gated(_), [gate, up]) if gate.n_rows == up.n_rows => Ok(()),
            (Arrangement::Gated(_), [gate, up]) => {
                Err(KernelError::Shapes { what: "rows", first: gate.n_rows, other: up.n_rows })
            }
            (Arrangement::Gated(_), all) => Err(KernelError::Matrices { expected: 2, got: all.len() }),
        }
    }
}

impl PackedWeights {
    /// What they are, for [`PackedWeights::restore`].
    pub fn form(&self) -> PackedForm {
        let matrices = self.segments.iter().map(|it| Part { n_rows: it.n_rows, layout: it.layout });
        PackedForm {
            n_cols: self.n_cols,
            arrangement: self.arrangement,
            precision: self.precision,
            matrices: matrices.collect(),
        }
    }

    /// Their bytes, for [`PackedWeights::restore`].
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the arena has this length, and is not written after packing.
        unsafe { std::slice::from_raw_parts(self.arena.as_mut_ptr(), self.arena.len()) }
    }

    /// Weights as they were packed before: `read` writes the bytes that [`PackedWeights::bytes`] gave then.
    ///
    /// Other bytes give other products, but nothing worse.
    pub fn restore<E: From<KernelError>>(
        cpu: &Cpu,
        form: &PackedForm,
        read: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<PackedWeights, E> {
        let weights = PackedWeights::empty(cpu, form)?;
        let (start, len) = (weights.arena.as_mut_ptr(), weights.arena.len());
        // SAFETY: the arena has this length and is zeroed, and there is no other reference to it yet.
        read(unsafe { std::slice::from_raw_parts_mut(start, len) })?;
        Ok(weights)
    }

    /// Zeroed weights of this form.
    pub(super) fn empty(cpu: &Cpu, form: &PackedForm) -> Result<PackedWeights, KernelError> {
        let (segments, n_bytes) = form.segments()?;
        let arena = cpu.slabs().take(n_bytes)?;
        let &PackedForm { n_cols, arrangement, precision, .. } = form;
        Ok(PackedWeights { arena, segments, arrangement, precision, n_cols })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]

    use super::*;
    use crate::packed::{FloatType, Floats, Header, Weights};
    use crate::{Activation, CpuOptions, Epilogue, Input, matmul};

    fn cpu(precision: Precision) -> Cpu {
        Cpu::new(CpuOptions { precision: Some(precision), ..CpuOptions::default() }).unwrap()
    }

    /// Gate and up of 24 rows and 64 columns with reproducible numbers.
    fn packed(cpu: &Cpu, bits: usize) -> PackedWeights {
        let n_words = 24 * 64 * bits / 32;
        let words: Vec<u32> = (0..n_words as u32).map(|it| it.wrapping_mul(2_654_435_761)).collect();
        let numbers: Vec<f32> = (0..24 * 2_u16).map(|it| f32::from(it) / 64.0 - 0.25).collect();
        let matrix = Matrix {
            n_rows: 24,
            n_cols: 64,
            weights: Weights::Affine {
                words: &words,
                scales: Floats::F32(&numbers),
                biases: Floats::F32(&numbers),
                bits,
                group_size: 32,
            },
        };
        PackedWeights::pack(cpu, &[matrix, matrix], Arrangement::Gated(Activation::Silu)).unwrap()
    }

    /// FNV-1a, which is short.
    fn hash(bytes: &[u8]) -> u64 {
        bytes
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash, it| (hash ^ u64::from(*it)).wrapping_mul(0x0100_0000_01b3))
    }

    #[test]
    fn restored_weights_give_the_same_products() {
        for precision in Precision::ALL {
            let cpu = cpu(precision);
            let weights = packed(&cpu, 5);
            let form = serde_json::from_str(&serde_json::to_string(&weights.form()).unwrap()).unwrap();
            let restored = PackedWeights::restore::<KernelError>(&cpu, &form, |to| {
                to.copy_from_slice(weights.bytes());
                Ok(())
            });
            let x: Vec<f32> = (0..3 * 64_u16).map(|it| f32::from(it % 17) - 8.0).collect();
            let [before, after] = [&weights, &restored.unwrap()].map(|weights| {
                let mut out = vec![0.0; 3 * 24];
                let input = Input { x: &x, norm: None, bias: None };
                matmul(&cpu, weights, input, Epilogue::Store, &mut out).unwrap();
                out
            });
            assert!(before.iter().any(|it| *it != 0.0));
            assert_eq!(before, after, "{precision}");
        }
    }

    /// If this fails because packing has changed, increase [`PACKING_VERSION`] and change the hashes.
    #[test]
    fn the_same_matrices_are_packed_into_the_same_bytes_in_each_version() {
        let hashes = [Precision::F32, Precision::Int16].map(|precision| {
            let cpu = cpu(precision);
            [3, 4, 5].map(|bits| hash(packed(&cpu, bits).bytes()))
        });
        let expected: [[u64; 3]; 2] = [
            [0x5a4a_adb9_9bd3_3901, 0xe27b_2c3e_65c1_c79d, 0x4aba_a39c_9eaf_cefd],
            [0xf53d_754c_452d_2d25, 0x0c7e_27f2_1ab5_74cd, 0xc782_689c_99c7_bbd9],
        ];
        assert_eq!((PACKING_VERSION, hashes), (1, expected));
    }

    #[test]
    fn forms_that_nothing_is_packed_into_are_refused() {
        let header = Header { scales: FloatType::F16, is_centred: false };
        let good = Layout { coding: Coding::Affine { bits: 4, header }, n_groups: 2, chunks_per_group: 1 };
        let form = |n_rows: usize, layout: Layout| PackedForm {
            n_cols: 64,
            arrangement: Arrangement::Stacked,
            precision: Precision::Int16,
            matrices: vec![Part { n_rows, layout }],
        };
        assert!(form(16, good).n_bytes().is_ok());
        let bad = [
            form(0, good),
            form(usize::MAX, good),
            form(16, Layout { n_groups: 3, ..good }),
            form(16, Layout { n_groups: 0, ..good }),
            form(16, Layout { n_groups: usize::MAX, chunks_per_group: 2, ..good }),
            form(16, Layout { chunks_per_group: 3, ..good }),
            form(16, Layout { coding: Coding::Affine { bits: 7, header }, ..good }),
            form(16, Layout { coding: Coding::Plain(FloatType::F32), ..good }),
            PackedForm { matrices: Vec::new(), ..form(16, good) },
            PackedForm { arrangement: Arrangement::Gated(Activation::Silu), ..form(16, good) },
        ];
        for form in bad {
            assert!(form.n_bytes().is_err(), "{form:?}");
        }
    }
}
