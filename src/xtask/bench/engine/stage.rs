//! What a scene works with: [`Stage`].

use std::path::Path;

use anyhow::Result;

use super::client::Client;
use super::figures::Figures;
use super::keys::Keys;

/// What a scene needs.
pub(super) struct Stage<'a> {
    pub(super) worker: &'a Path,
    pub(super) model: &'a str,
    pub(super) is_quick: bool,
}

impl Stage<'_> {
    /// A worker of its own, that has done nothing yet.
    pub(super) fn worker(&self, args: &[&str]) -> Result<Client> {
        Client::start(self.worker, self.model, args)
    }

    pub(super) fn keys(&self) -> Result<Keys> {
        Keys::new(self.n(200).max(30))
    }

    /// Tokens of each of the jobs that run together.
    pub(super) fn n_parallel_tokens(&self) -> usize {
        self.n(100).max(32)
    }

    /// So many in earnest, a tenth for a quick look.
    pub(super) fn n(&self, n: usize) -> usize {
        if self.is_quick { (n / 10).max(1) } else { n }
    }
}

/// A scene by its name.
pub(super) type Scene = (&'static str, fn(&Stage<'_>) -> Result<Figures>);
