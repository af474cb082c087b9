//! Reads the weights of a model, part by part: [`Reader`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use mlx_rs::Array;

use super::checkpoint::Checkpoint;
use super::matrix::{Grouping, Matrix};
use super::micro::MicroFormat;
use super::mxfp4;
use super::piece::{Piece, Recurrence};
use crate::LoadError;
use crate::cpu::{Keeping, Kernels};
use crate::error::message;
use crate::options::Placement;

/// Reads weights that have been taken, and places them where they are used.
pub(crate) struct Reader<'a> {
    placement: Placement,
    folder: PathBuf,
    n_bytes: u64,
    n_bytes_on_disk: u64,
    /// Called with the bytes read so far and in total.
    progress: &'a mut dyn FnMut(u64, u64),
    /// The number of weights by bits, for [`Self::common_bits`].
    n_weights_by_bits: HashMap<i32, usize>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        checkpoint: &Checkpoint,
        placement: Placement,
        progress: &'a mut dyn FnMut(u64, u64),
    ) -> Self {
        let n_bytes_on_disk = checkpoint.n_bytes;
        progress(0, n_bytes_on_disk);
        let folder = checkpoint.folder.clone();
        Self { placement, folder, n_bytes: 0, n_bytes_on_disk, progress, n_weights_by_bits: HashMap::new() }
    }

    pub(crate) fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Bytes of the weights read so far.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// The most common number of bits among the quantized weights read so far.
    pub(crate) fn common_bits(&self) -> Option<i32> {
        self.n_weights_by_bits.iter().max_by_key(|(bits, n)| (**n, **bits)).map(|(bits, _)| *bits)
    }

    /// Reads a weight as it is in the checkpoint, unless it will come packed from a file.
    pub(crate) fn read(&mut self, piece: Piece<'_>) -> Result<(), LoadError> {
        match piece {
            Piece::Recurrence(..) => Ok(()),
            Piece::Vector(array) => self.read_array(array),
            Piece::Matrix(matrix) | Piece::Stack(matrix) => {
                if let Matrix::Quantized { weight, grouping: Grouping { bits, .. }, .. } = matrix {
                    let n_weights = weight.size() * 32 / bits.unsigned_abs() as usize;
                    *self.n_weights_by_bits.entry(*bits).or_default() += n_weights;
                }
                if !self.is_restoring() {
                    self.read_matrix(matrix)?;
                }
                matrix.arrays().for_each(|it| self.count(it));
                Ok(())
            }
        }
    }

    /// Packs a weight that has been read for the CPU kernels, if there are any and they have a use for it.
    pub(crate) fn pack(&self, piece: Piece<'_>) -> Result<(), LoadError> {
        let Some(kernels) = &self.placement.kernels else { return Ok(()) };
        match piece {
            Piece::Matrix(matrix) => *matrix = Matrix::Packed(kernels.pack(matrix)?),
            Piece::Recurrence(recurrence, shape) => {
                if let Some(packed) = kernels.recurrence(shape) {
                    *recurrence = Recurrence::Packed(packed);
                }
            }
            // It stays as it is, so it is needed after all.
            Piece::Stack(matrix) if self.is_restoring() => return self.read_matrix(matrix),
            Piece::Stack(_) | Piece::Vector(_) => {}
        }
        Ok(())
    }

    /// Reads a matrix, and packs it for the CPU kernels if there are any.
    pub(crate) fn place(&mut self, matrix: &mut Matrix) -> Result<(), LoadError> {
        self.read(Piece::Matrix(matrix))?;
        self.pack(Piece::Matrix(matrix))
    }

    /// Whether packed weights come from a file.
    fn is_restoring(&self) -> bool {
        self.placement.kernels.as_ref().is_some_and(Kernels::is_restoring)
    }

    /// To be called at the end. Keeps packed weights for later starts, as long as the result lives.
    pub(crate) fn finish(&self) -> Option<Keeping> {
        self.placement.kernels.as_ref()?.finish()
    }

    fn read_array(&mut self, array: &Array) -> Result<(), LoadError> {
        evaluate(&self.folder, array)?;
        self.count(array);
        Ok(())
    }

    fn read_matrix(&self, matrix: &mut Matrix) -> Result<(), LoadError> {
        matrix.arrays().try_for_each(|it| evaluate(&self.folder, it))?;
        if let Matrix::Micro(micro) = matrix {
            match micro.format {
                MicroFormat::Mxfp4 => *matrix = mxfp4::to_affine(&micro.weight, &micro.scales)?,
                MicroFormat::Mxfp8 | MicroFormat::Nvfp4 if self.placement.kernels.is_some() => {
                    let weight = micro.dequantized()?;
                    weight.eval()?;
                    *matrix = Matrix::Plain { weight };
                }
                MicroFormat::Mxfp8 | MicroFormat::Nvfp4 => {}
            }
        }
        Ok(())
    }

    fn count(&mut self, array: &Array) {
        self.n_bytes += array.nbytes() as u64;
        (self.progress)(self.n_bytes.min(self.n_bytes_on_disk), self.n_bytes_on_disk);
    }
}

fn evaluate(folder: &Path, array: &Array) -> Result<(), LoadError> {
    array.eval().map_err(|e| LoadError::Weights { path: folder.to_owned(), message: message(&e) })
}
