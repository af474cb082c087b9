//! What parts of a model consist of, for code that goes over all of a part's weights: [`Piece`].

use mlx_rs::Array;
use runabout_kernels::DeltaShape;

use super::low_rank::LowRank;
use super::matrix::{Linear, Matrix};
use crate::LoadError;
use crate::cpu::PackedRecurrence;

/// A weight of a part.
pub(crate) enum Piece<'a> {
    /// A matrix, by itself.
    Matrix(&'a mut Matrix),
    /// Matrices of the same shape, one for each expert.
    Stack(&'a mut Matrix),
    /// A vector.
    Vector(&'a mut Array),
    /// Nothing of the checkpoint, but a place for a kernel.
    Recurrence(&'a mut Recurrence, DeltaShape),
}

/// What computes the recurrence of a gated delta net.
pub(crate) enum Recurrence {
    Mlx,
    Packed(PackedRecurrence),
}

/// Called with each weight of a part.
pub(crate) type Visit<'a> = dyn FnMut(Piece<'_>) -> Result<(), LoadError> + 'a;

impl Linear {
    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> Result<(), LoadError> {
        visit(Piece::Matrix(&mut self.matrix))?;
        let low_rank = self.low_rank.iter_mut().flat_map(LowRank::arrays_mut);
        low_rank.into_iter().try_for_each(|it| visit(Piece::Vector(it)))?;
        self.bias.as_mut().map_or(Ok(()), |it| visit(Piece::Vector(it)))
    }
}
