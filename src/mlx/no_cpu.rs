//! Replaces `cpu.rs` on platforms where MLX is fast by itself: the same names, for types without values.
//!
//! This way the rest of the crate is written once, and the compiler removes the branches that cannot be taken. The field
//! of each type is private, so that it does not call code unreachable that is not so where there are kernels.

use std::iter::Empty;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::rc::Rc;

use mlx_rs::Array;
use mlx_rs::error::Result;
use runabout_kernels::{Cpu, Precision};

use crate::LoadError;
use crate::block::Block;
use crate::parts::{Norm, Rope};
use crate::state::{KvBits, LayerState, SpanRows};
use crate::weights::Matrix;

#[derive(Clone)]
enum Never {}

#[derive(Clone)]
pub(crate) struct Kernels(Never);

#[derive(Clone)]
pub(crate) struct Packed(Never);

pub(crate) struct PackedLinear(Never);

pub(crate) struct PackedBlock(Never);

pub(crate) struct Program(Never);

pub(crate) struct InPlaceCache(Never);

/// Never called, since there are no kernels to call it with.
pub(crate) fn pack(
    kernels: &Kernels,
    _: &Block,
    _: Option<KvBits>,
) -> std::result::Result<Option<PackedBlock>, LoadError> {
    match kernels.0 {}
}

impl Kernels {
    #[expect(clippy::unnecessary_wraps, reason = "where there are kernels, it can fail")]
    pub(crate) fn new(
        _: Option<NonZeroUsize>,
        _: Option<Precision>,
    ) -> std::result::Result<Option<Self>, LoadError> {
        Ok(None)
    }

    pub(crate) fn n_packed_bytes(&self) -> u64 {
        match self.0 {}
    }

    pub(crate) fn n_cache_bytes(&self) -> u64 {
        match self.0 {}
    }

    pub(crate) fn note_caches(&self, _: u64, _: u64) {
        match self.0 {}
    }

    pub(crate) fn note_peak(&self) -> Result<u64> {
        match self.0 {}
    }

    pub(crate) fn pack(&self, _: &Matrix) -> std::result::Result<Packed, LoadError> {
        match self.0 {}
    }

    pub(crate) fn cpu(&self) -> &Cpu {
        match self.0 {}
    }
}

impl Packed {
    pub(crate) fn rows(&self, _: &Array) -> Result<Array> {
        match self.0 {}
    }

    pub(crate) fn forward(&self, _: &Array) -> Result<Array> {
        match self.0 {}
    }

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

    pub(crate) fn forward(&self, _: &Array, _: usize, _: &mut [SpanRows<'_>]) -> Result<Array> {
        match self.0 {}
    }

    pub(crate) fn append_shifted(
        &self,
        _: &mut [LayerState],
        _: &[LayerState],
        _: &Range<usize>,
    ) -> Result<()> {
        match self.0 {}
    }
}

impl InPlaceCache {
    pub(crate) fn n_bytes(&self) -> u64 {
        match self.0 {}
    }

    pub(crate) fn truncate(&mut self, _: usize) {
        match self.0 {}
    }

    pub(crate) fn n_tokens(&self) -> usize {
        match self.0 {}
    }

    pub(crate) fn n_room(&self) -> usize {
        match self.0 {}
    }

    pub(crate) fn fit(&mut self) -> Result<()> {
        match self.0 {}
    }

    pub(crate) fn copy_prefix(&self, _: usize) -> Result<Self> {
        match self.0 {}
    }

    pub(crate) fn written(&self) -> Option<&Array> {
        match self.0 {}
    }

    pub(crate) fn settle(&mut self) {
        match self.0 {}
    }
}
