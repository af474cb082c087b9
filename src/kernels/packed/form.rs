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
