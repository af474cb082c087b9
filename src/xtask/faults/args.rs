//! The command line: [`Args`].

use std::path::PathBuf;

/// Arguments of `cargo xtask faults`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The number of kills at random moments, of each kind of work on files; a tenth as many are of a serving worker.
    #[arg(long, value_name = "N", default_value = "200")]
    pub(super) kills: usize,
    /// The number of requests that are cancelled at random moments.
    #[arg(long, value_name = "N", default_value = "2000")]
    pub(super) cancels: usize,
    /// The number of damaged files.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(super) files: usize,
    /// The number of steps in which no memory can be had.
    #[arg(long, value_name = "N", default_value = "100")]
    pub(super) steps: usize,
    /// How long a client does not read, and how long another one writes.
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    pub(super) seconds: u64,
    /// Other moments and damages than those of the default.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(super) seed: u64,
    /// Only the faults whose names contain this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) only: String,
    /// A named model that is on this machine, a folder with one, or `tiny` for one that is made here, computes little and
    /// says nothing.
    #[arg(long, default_value = "smollm2-135m")]
    pub(super) model: String,
    /// An existing worker to use instead of building one.
    #[arg(long, value_name = "PATH")]
    pub(super) runabout: Option<PathBuf>,
}
