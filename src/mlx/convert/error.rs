//! Errors of a conversion.

use std::path::PathBuf;

use crate::error::{LoadError, message};

/// Why a model could not be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the weights in `{}` are quantized already\nhint: convert the original model, whose weights are plain", folder.display())]
    Quantized { folder: PathBuf },
    #[error(
        "models of the architecture `{model_type}` cannot be converted, expected one of {}\nhint: `mlx_lm.convert` converts others",
        supported.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
    )]
    Architecture { model_type: String, supported: &'static [&'static str] },
    #[error("{0}")]
    Options(String),
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("MLX failed while converting: {0}")]
    Mlx(String),
}

impl From<mlx_rs::error::Exception> for ConvertError {
    fn from(error: mlx_rs::error::Exception) -> Self {
        Self::Mlx(message(&error))
    }
}
