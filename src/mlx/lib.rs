//! Language models on MLX, the only crate that uses mlx-rs.
//!
//! [`load`] reads a model folder in the layout of mlx-community repositories and gives a [`MlxModel`], which the
//! engine drives through [`runabout_engine::model::LanguageModel`]. MLX's streams belong to threads, so a model is
//! loaded, used and dropped on one thread. This crate knows tensors; it knows nothing of scheduling or the wire.
//!
//! Read [`model`] for a step, [`decoder`] for the network, then one architecture, such as `llama`. MLX's own operations
//! are slow on a Linux CPU; there [`cpu_kernels`] take their place.

mod ahead;
mod attention;
mod cache;
mod config;
#[cfg(cpu_kernels)]
mod cpu_kernels;
#[cfg(not(cpu_kernels))]
#[path = "no_cpu_kernels.rs"]
mod cpu_kernels;
mod decoder;
mod device;
mod fused;
#[cfg(cpu_kernels)]
mod kernel_op;
mod linear;
mod llama;
mod model;
mod quantized_kv;
mod qwen2;
mod rope;
mod sampler;
#[cfg(test)]
mod testing;
mod weights;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use cpu_kernels::Kernels;
use device::Compute;
pub use device::DeviceChoice;
pub use model::MlxModel;
pub use quantized_kv::KvBits;
pub use runabout_kernels::Precision;
use weights::Weights;

/// How a model is loaded.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    pub device: DeviceChoice,
    /// Threads that compute on a CPU; `None` is one per physical core.
    pub threads: Option<NonZeroUsize>,
    /// What the CPU kernels compute products with quantized weights in; `None` is the fastest that changes no greedy
    /// text of the models in the tests. Where MLX itself computes, it cannot be chosen.
    pub precision: Option<Precision>,
    /// Bits of keys and values, which take less memory for less exactness; `None` leaves them as they are computed, or in
    /// float16 with the CPU kernels.
    pub kv_bits: Option<KvBits>,
}

/// Where a model is, and how it computes there.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) compute: Compute,
    /// What computes in MLX's place, if anything does.
    pub(crate) kernels: Option<Kernels>,
    pub(crate) kv_bits: Option<KvBits>,
}

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read `{}`: {message}", path.display())]
    Config { path: PathBuf, message: String },
    #[error(
        "architecture `{model_type}` is not supported, expected one of {}\nhint: convert or choose a model of such an architecture",
        supported.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
    )]
    UnsupportedArchitecture { model_type: String, supported: &'static [&'static str] },
    #[error("{message} in `{}`", path.display())]
    UnsupportedConfig { path: PathBuf, message: String },
    #[error("no weights in `{}`: expected `model.safetensors` or `model.safetensors.index.json`", folder.display())]
    NoWeights { folder: PathBuf },
    #[error("shard `{}` named by the index is missing\nhint: fetch the model again", path.display())]
    MissingShard { path: PathBuf },
    #[error("cannot read weights from `{}`: {message}\nhint: the file may be truncated; fetch the model again", path.display())]
    Weights { path: PathBuf, message: String },
    #[error("weight `{name}` is missing")]
    MissingWeight { name: String },
    #[error("weight `{name}` has the wrong shape: expected {expected:?}, got {got:?}")]
    WrongShape { name: String, expected: Vec<i32>, got: Vec<i32> },
    #[error("weight `{name}` is quantized in an unsupported way: {message}")]
    UnsupportedQuantization { name: String, message: String },
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
    #[error("the CPU kernels failed")]
    Kernels(#[source] runabout_kernels::KernelError),
    #[error("MLX failed while loading: {0}")]
    Mlx(#[from] mlx_rs::error::Exception),
}

/// Loads the model in `folder`. `progress` is told bytes of weights read so far and in all.
///
/// Must be called on the thread that will use the model.
pub fn load(
    folder: &Path,
    options: &LoadOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<MlxModel, LoadError> {
    let compute = device::select(options.device)?;
    let kernels = match compute {
        Compute::Cpu => Kernels::new(options.threads, options.precision)?,
        Compute::Gpu => None,
    };
    if let (None, Some(precision)) = (&kernels, options.precision) {
        return Err(LoadError::Precision(precision));
    }
    load_with(folder, Place { compute, kernels, kv_bits: options.kv_bits }, progress)
}

/// Loads a second, smaller model to the same place, with the same options, to guess for the first.
pub fn load_beside(
    model: &MlxModel,
    folder: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<MlxModel, LoadError> {
    load_with(folder, model.place().clone(), progress)
}

fn load_with(folder: &Path, place: Place, progress: &mut dyn FnMut(u64, u64)) -> Result<MlxModel, LoadError> {
    device::limit_buffer_cache(place.kernels.is_some())?;
    let config = config::read(folder)?;
    let mut weights = Weights::open(folder, place.clone(), progress)?;
    let decoder = match config.model_type.as_str() {
        "llama" | "mistral" => llama::load(&config, &mut weights)?,
        "qwen2" => qwen2::load(&config, &mut weights)?,
        _ => {
            return Err(LoadError::UnsupportedArchitecture {
                model_type: config.model_type,
                supported: &["llama", "mistral", "qwen2"],
            });
        }
    };
    MlxModel::new(config.model_type, decoder, weights, place)
}

/// Ends the process at once, without running destructors of statics.
///
/// MLX's statics must not go while a step runs on another thread; a step on a slow device can outlast the time that a
/// program may take to end. Whatever is buffered must be flushed before.
pub fn exit(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions and does not return.
    unsafe { libc::_exit(code) }
}
