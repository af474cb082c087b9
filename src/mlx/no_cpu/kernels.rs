//! The kernels that this platform does not have: [`Kernels`].

use std::num::NonZeroUsize;
use std::path::PathBuf;

use mlx_rs::error::Result;
use runabout_kernels::{Cpu, DeltaShape, Precision};

use super::held::{Never, Packed, PackedRecurrence};
use crate::LoadError;
use crate::weights::Matrix;

pub(crate) struct Keeping(Never);

pub(crate) struct Kept(Never);

#[derive(Clone)]
pub(crate) struct Kernels(pub(super) Never);

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

    pub(crate) fn keeping_in(self, _: Option<PathBuf>) -> Self {
        match self.0 {}
    }

    pub(crate) fn kept(&self, _: &[PathBuf]) -> Option<Kept> {
        match self.0 {}
    }

    pub(crate) fn keeping(&self, _: Option<Kept>) -> Self {
        match self.0 {}
    }

    pub(crate) fn is_restoring(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn finish(&self) -> Option<Keeping> {
        match self.0 {}
    }

    pub(crate) fn pack(&self, _: &Matrix) -> std::result::Result<Packed, LoadError> {
        match self.0 {}
    }

    pub(crate) fn recurrence(&self, _: DeltaShape) -> Option<PackedRecurrence> {
        match self.0 {}
    }

    pub(crate) fn cpu(&self) -> &Cpu {
        match self.0 {}
    }
}
