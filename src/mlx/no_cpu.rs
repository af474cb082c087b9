//! Replaces `cpu_kernels.rs` on platforms where MLX is fast by itself: the same names, for types without values.
//!
//! This way the rest of the crate is written once, and the compiler removes the branches that cannot be taken.

#[path = "no_cpu_kernels/in_place_cache.rs"]
mod in_place_cache;

use std::num::NonZeroUsize;
use std::ops::Range;

use mlx_rs::Array;
use mlx_rs::error::Result;

use crate::LoadError;
use crate::cache::KvCache;
use crate::heads::Heads;
use crate::linear::{Linear, Matrix};
use crate::norm::RmsNorm;
use crate::quantized_kv::KvBits;
use crate::rope::Rope;
use crate::spans::SpanRows;

pub(crate) use in_place_cache::InPlaceCache;

#[derive(Clone)]
pub(crate) enum Kernels {}

#[derive(Clone, Copy)]
pub(crate) enum Joined {
    Stacked,
    SiluGated,
}

#[derive(Clone)]
pub(crate) enum Packed {}

pub(crate) enum PackedLinear {}

pub(crate) enum PackedAttention {}

pub(crate) type LayerParts<'a> = (&'a PackedAttention, [&'a PackedLinear; 3]);

pub(crate) enum PackedLayers {}

impl Kernels {
    #[expect(clippy::unnecessary_wraps, reason = "where there are kernels, it can fail")]
    pub(crate) fn new(
        _: Option<NonZeroUsize>,
        _: Option<runabout_kernels::Precision>,
    ) -> std::result::Result<Option<Self>, LoadError> {
        Ok(None)
    }

    pub(crate) fn n_packed_bytes(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn n_cache_bytes(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn note_caches(&self, _: u64, _: u64) {
        match *self {}
    }

    pub(crate) fn note_peak(&self) -> Result<u64> {
        match *self {}
    }

    pub(crate) fn pack(&self, _: &[&Matrix], _: Joined) -> std::result::Result<Packed, LoadError> {
        match *self {}
    }

    pub(crate) fn linear(
        &self,
        _: Option<&RmsNorm>,
        _: &[&Linear],
        _: Joined,
    ) -> std::result::Result<PackedLinear, LoadError> {
        match *self {}
    }

    pub(crate) fn attention(
        &self,
        _: &RmsNorm,
        _: [&Linear; 3],
        _: Heads,
        _: Option<KvBits>,
    ) -> std::result::Result<Option<PackedAttention>, LoadError> {
        match *self {}
    }

    pub(crate) fn cpu(&self) -> &runabout_kernels::Cpu {
        match *self {}
    }
}

impl PackedAttention {
    pub(crate) fn make_cache(&self) -> KvCache {
        match *self {}
    }

    pub(crate) fn kv_bytes_per_token(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn forward(&self, _: &Array, _: &Rope, _: usize, _: &mut [SpanRows<'_>]) -> Result<Array> {
        match *self {}
    }

    pub(crate) fn append_shifted(
        &self,
        _: &mut InPlaceCache,
        _: &InPlaceCache,
        _: &Range<usize>,
        _: &Rope,
    ) -> Result<()> {
        match *self {}
    }
}

impl PackedLayers {
    pub(crate) fn new(layers: Vec<LayerParts<'_>>) -> Option<Self> {
        match *layers.into_iter().next()?.0 {}
    }

    pub(crate) fn forward(&self, _: &Array, _: &Rope, _: &mut [SpanRows<'_>]) -> Result<Array> {
        match *self {}
    }
}

impl Packed {
    pub(crate) fn rows(&self, _: &Array) -> Result<Array> {
        match *self {}
    }

    pub(crate) fn after(&self, _: &RmsNorm) -> std::result::Result<PackedLinear, LoadError> {
        match *self {}
    }
}

impl PackedLinear {
    pub(crate) fn forward(&self, _: &Array, _: Option<&Array>) -> Result<Array> {
        match *self {}
    }
}
