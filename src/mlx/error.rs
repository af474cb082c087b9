//! Errors of loading a model, and the readable part of MLX's own error messages.

use std::path::PathBuf;

use mlx_rs::error::{AsSliceError, Exception, IoError};
use runabout_kernels::Precision;

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read `{}`: {message}", path.display())]
    Config { path: PathBuf, message: String },
    #[error(
        "architecture `{model_type}` is not supported, expected one of {}\nhint: convert or choose a model of such an architecture",
        supported.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
    )]
    UnsupportedArchitecture { model_type: String, supported: Vec<&'static str> },
    #[error("{message} in `{}`", path.display())]
    UnsupportedConfig { path: PathBuf, message: String },
    #[error("no weights in `{}`: expected `model.safetensors` or `model.safetensors.index.json`", folder.display())]
    NoWeights { folder: PathBuf },
    #[error("shard `{}` named by the index is missing\nhint: fetch the model again", path.display())]
    MissingShard { path: PathBuf },
    #[error("cannot read weights from `{}`: {message}\nhint: the file may be truncated; fetch the model again", path.display())]
    Weights { path: PathBuf, message: String },
    #[error(
        "weight `{name}` is missing in `{}`\nhint: config.json must be of the model whose weights these are; fetch the model again",
        folder.display()
    )]
    MissingWeight { name: String, folder: PathBuf },
    #[error(
        "weight `{name}` is unexpected: config.json describes no such weight\nhint: config.json must be of the model whose weights these are; fetch the model again"
    )]
    UnexpectedWeight { name: String },
    #[error(
        "weight `{name}` has the wrong shape: expected {expected:?}, got {got:?}\nhint: config.json must be of the model whose weights these are; fetch the model again"
    )]
    WrongShape { name: String, expected: Vec<i32>, got: Vec<i32> },
    #[error("weight `{name}` must be of type {expected}, got {got}")]
    WrongType { name: String, expected: &'static str, got: String },
    #[error("weight `{name}` is quantized in an unsupported way: {message}")]
    UnsupportedQuantization { name: String, message: String },
    /// Quantized by another program than MLX.
    #[error(
        "the weights are quantized as {format} (`{name}`), expected float32, float16 or bfloat16, or MLX's mxfp4, mxfp8 or nvfp4, or its affine quantization in 2, 3, 4, 5, 6 or 8 bits\nhint: choose a conversion of the model for MLX, or convert its original with `mlx_lm.convert`"
    )]
    ForeignQuantization { format: String, name: String },
    #[error(
        "`tie_word_embeddings` is false in `{}`, and the weights have no `lm_head.weight`\nhint: fetch the model again; if its head is its embedding, `tie_word_embeddings` must be true",
        path.display()
    )]
    NoHead { path: PathBuf },
    #[error(
        "cannot use the adapter `{}`: {message}\nhint: `--adapter` takes a folder that `mlx_lm.lora` has written for this model",
        path.display()
    )]
    Adapter { path: PathBuf, message: String },
    #[error("{0}")]
    Device(String),
    #[error(
        "precision `{0}` needs the CPU kernels, which are not in use here\nhint: do not choose a precision"
    )]
    Precision(Precision),
    #[error(
        "heads of {0} numbers cannot be quantized, expected a multiple of 32\nhint: do not choose `--kv-bits`"
    )]
    KvHeads(i32),
    #[error("the processes that have the model together could not be connected: {0}")]
    Group(String),
    /// `what` cannot be divided among `n` processes.
    #[error(
        "the model cannot be divided among {n} processes: {what}\nhint: use fewer processes, or a single one"
    )]
    Division { n: i32, what: String },
    #[error("the CPU kernels failed")]
    Kernels(#[source] runabout_kernels::KernelError),
    /// Never returned by [`crate::load`], which then packs them again.
    #[error("cannot use the packed weights in `{}`: {message}", path.display())]
    Kept { path: PathBuf, message: String },
    #[error("MLX failed while loading: {0}")]
    Mlx(String),
}

impl From<Exception> for LoadError {
    fn from(error: Exception) -> Self {
        LoadError::Mlx(message(&error))
    }
}

/// MLX's message without the source locations that it and its bindings add.
pub(crate) fn message(error: &Exception) -> String {
    without_locations(error.what()).to_owned()
}

/// The same for an error about a file.
pub(crate) fn file_message(error: &IoError) -> String {
    match error {
        IoError::Exception(error) => message(error),
        other => other.to_string(),
    }
}

/// The error for an array whose memory cannot be borrowed.
pub(crate) fn not_a_slice(error: AsSliceError) -> Exception {
    match error {
        AsSliceError::Exception(error) => error,
        other => Exception::custom(other.to_string()),
    }
}

fn without_locations(what: &str) -> &str {
    match what.rsplit_once(" at ") {
        Some((rest, location)) if is_location(location) => without_locations(rest),
        _ => what,
    }
}

/// Whether `text` is a source file with a line, and perhaps a column.
fn is_location(text: &str) -> bool {
    let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    let mut rest = text;
    while let Some((before, _)) = rest.rsplit_once(':').filter(|it| is_number(it.1)) {
        rest = before;
    }
    let is_source = [".cpp", ".h", ".c", ".cc", ".mm", ".rs"].iter().any(|it| rest.ends_with(it));
    rest.len() < text.len() && is_source
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_in_source_files_are_left_out() {
        for (what, expected) in [
            ("[take] bad index at /build/mlx-c/mlx/c/ops.cpp:3021", "[take] bad index"),
            ("out of luck at C:\\a b\\x.h:1 at src/array/mod.rs:12:5", "out of luck"),
            ("stopped at 12:30", "stopped at 12:30"),
            ("looked at a.cpp", "looked at a.cpp"),
            ("no location", "no location"),
        ] {
            assert_eq!(message(&Exception::custom(what)), expected);
        }
        let error = LoadError::from(Exception::custom("bad at x.cpp:1"));
        assert_eq!(error.to_string(), "MLX failed while loading: bad");
        assert!(std::error::Error::source(&error).is_none());
    }
}
