//! Which of MLX's libraries to link on Linux: [`Mlx`].

use std::fmt;

use clap::ValueEnum;

/// MLX's published libraries for Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mlx {
    /// No GPU needed; 10 MB to download.
    Cpu,
    /// CUDA 12, for NVIDIA drivers 550 and later; a download of about 2 GB.
    Cuda12,
    /// CUDA 13, for NVIDIA drivers 580 and later; a download of about 1.6 GB.
    Cuda13,
}

impl fmt::Display for Mlx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda12 => "cuda12",
            Self::Cuda13 => "cuda13",
        })
    }
}
