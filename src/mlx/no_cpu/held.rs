//! The types without values that the rest of the crate stores. They know nothing of it, as in `cpu`.

use mlx_rs::Array;
use mlx_rs::error::Result;

#[derive(Clone)]
pub(super) enum Never {}

#[derive(Clone)]
pub(crate) struct Packed(pub(super) Never);

pub(crate) struct InPlaceCache(Never);

pub(crate) struct PackedRecurrence(Never);

impl Packed {
    pub(crate) fn rows(&self, _: &Array) -> Result<Array> {
        match self.0 {}
    }

    pub(crate) fn forward(&self, _: &Array) -> Result<Array> {
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

impl PackedRecurrence {
    pub(crate) fn forward(&self, _: [&Array; 5], _: &Array) -> Result<(Array, Array)> {
        match self.0 {}
    }
}
