//! What a scene uses: [`Stage`].

use std::path::Path;

use anyhow::Result;

use super::client::Client;
use super::figures::Figures;
use super::keys::Keys;

/// The worker, the model and the sizes for a scene.
pub(super) struct Stage<'a> {
    pub(super) worker: &'a Path,
    pub(super) model: &'a str,
    /// Where benchmarks keep what they fetch.
    #[cfg(target_os = "linux")]
    pub(super) folder: &'a Path,
    pub(super) is_quick: bool,
}

impl Stage<'_> {
    /// A newly started worker for one scene.
    pub(super) fn worker(&self, args: &[&str]) -> Result<Client> {
        Client::start(self.worker, self.model, args)
    }

    pub(super) fn keys(&self) -> Result<Keys> {
        Keys::new(self.n(200).max(30))
    }

    /// The number of tokens of each of the jobs that run together.
    pub(super) fn n_parallel_tokens(&self) -> usize {
        self.n(100).max(32)
    }

    /// `n`, or a tenth of it for a quick run.
    pub(super) fn n(&self, n: usize) -> usize {
        if self.is_quick { (n / 10).max(1) } else { n }
    }
}

/// The name of a scene, and the function that runs it.
pub(super) type Scene = (&'static str, fn(&Stage<'_>) -> Result<Figures>);
