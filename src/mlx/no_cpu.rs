//! Replaces `cpu.rs` on platforms where MLX is fast by itself: the same names, for types without values.
//!
//! This way the rest of the crate is written once, and the compiler removes the branches that cannot be taken. The field
//! of each type is private, so that it does not call code unreachable that is not so where there are kernels.

#[path = "no_cpu/held.rs"]
mod held;
#[path = "no_cpu/kernels.rs"]
mod kernels;

use std::iter::Empty;
use std::ops::Range;
use std::rc::Rc;

use mlx_rs::Array;
use mlx_rs::error::Result;

use self::held::Never;
use crate::LoadError;
use crate::block::Block;
use crate::parts::{Norm, Rope};
use crate::state::{KvBits, LayerState, SpanRows};

pub(crate) use held::{InPlaceCache, Packed, PackedRecurrence};
pub(crate) use kernels::{Keeping, Kept, Kernels};

pub(crate) struct PackedLinear(Never);

pub(crate) struct PackedBlock(Never);

pub(crate) struct Program(Never);

/// Never called, since there are no kernels to call it with.
pub(crate) fn pack(
    kernels: &Kernels,
    _: &Block,
    _: Option<KvBits>,
) -> std::result::Result<Option<PackedBlock>, LoadError> {
    match kernels.0 {}
}

impl Packed {
    pub(crate) fn after(&self, _: &Norm) -> std::result::Result<Option<PackedLinear>, LoadError> {
        match self.0 {}
    }
}

impl PackedLinear {
    pub(crate) fn forward(&self, _: &Array) -> Result<Array> {
        match self.0 {}
    }
}

impl Program {
    /// Never called, since there are no packed layers.
    pub(crate) fn new(layers: Vec<(PackedBlock, Option<Rc<Rope>>)>) -> Self {
        match layers.into_iter().next() {
            Some((block, _)) => match block.0 {},
            None => unreachable!("a program has layers"),
        }
    }

    pub(crate) fn n_layers(&self) -> usize {
        match self.0 {}
    }

    pub(crate) fn make_states(&self) -> Empty<LayerState> {
        match self.0 {}
    }

    pub(crate) fn kv_bytes_per_token(&self) -> u64 {
        match self.0 {}
    }

    pub(crate) fn bytes_per_row(&self) -> u64 {
        match self.0 {}
    }

    pub(crate) fn forward(&self, _: &Array, _: usize, _: &mut [SpanRows<'_>]) -> Result<Array> {
        match self.0 {}
    }

    pub(crate) fn append_shifted(
        &self,
        _: usize,
        _: &mut LayerState,
        _: &LayerState,
        _: &Range<usize>,
    ) -> Result<()> {
        match self.0 {}
    }
}
