//! Which of MLX's libraries is linked on Linux: [`Mlx`].

use std::fmt;

use clap::ValueEnum;

/// MLX's published libraries for Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mlx {
    /// No GPU needed; 10 MB to download.
    Cpu,
    /// CUDA 12, for NVIDIA drivers from 550 on; about 2 GB to download.
    Cuda12,
    /// CUDA 13, for NVIDIA drivers from 580 on; about 1.6 GB to download.
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
