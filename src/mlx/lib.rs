//! Language models on MLX, the only crate that uses mlx-rs.
//!
//! [`load`] reads a model folder in the layout of mlx-community repositories and returns a [`MlxModel`], which the
//! engine drives through [`runabout_engine::model::LanguageModel`]. MLX's streams belong to threads, so a model must
//! be loaded, used and dropped on one thread. This crate knows nothing of scheduling or the wire.
//!
//! Read [`model`] for a step, [`decoder`] for the network, then one architecture, such as `llama`. MLX's own
//! operations are slow on Linux CPUs, so there [`cpu_kernels`] replaces them.

mod ahead;
mod array_cache;
mod attention;
#[cfg(test)]
mod bad_folders;
mod cache;
mod checkpoint;
mod config;
#[cfg(cpu_kernels)]
mod cpu_kernels;
#[cfg(not(cpu_kernels))]
#[path = "no_cpu_kernels.rs"]
mod cpu_kernels;
mod decoder;
mod decoder_config;
mod device;
mod error;
mod foreign;
mod fused;
mod heads;
#[cfg(cpu_kernels)]
mod kernel_op;
mod linear;
mod llama;
mod model;
mod norm;
mod options;
mod quantized_kv;
mod qwen2;
mod rope;
mod sampler;
mod spans;
#[cfg(test)]
mod testing;
mod weights;

use std::path::Path;

use checkpoint::Checkpoint;
use cpu_kernels::Kernels;
use decoder::Decoder;
use device::Compute;
pub use device::DeviceChoice;
pub use error::LoadError;
pub use model::MlxModel;
pub use options::LoadOptions;
use options::Placement;
pub use quantized_kv::KvBits;
pub use runabout_kernels::Precision;
use weights::Weights;

/// Loads the model in `folder`. Calls `progress` with the bytes of weights read so far and in total.
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
    load_with(folder, Placement { compute, kernels, kv_bits: options.kv_bits }, progress)
}

/// Loads a second, smaller model that drafts tokens for `model`, on the same device and with the same options.
pub fn load_beside(
    model: &MlxModel,
    folder: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<MlxModel, LoadError> {
    load_with(folder, model.placement().clone(), progress)
}

fn load_with(
    folder: &Path,
    placement: Placement,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<MlxModel, LoadError> {
    device::limit_buffer_cache(placement.kernels.is_some())?;
    let file = config::read(folder)?;
    let resolve = match file.model_type.as_str() {
        "llama" | "mistral" => llama::resolve,
        "qwen2" => qwen2::resolve,
        _ => {
            return Err(LoadError::UnsupportedArchitecture {
                model_type: file.model_type,
                supported: &["llama", "mistral", "qwen2"],
            });
        }
    };
    let checkpoint = Checkpoint::open(folder)?;
    let config = resolve(&file, &checkpoint)?;
    // Before any number in these files decides how much is allocated.
    config.check(&file)?;
    checkpoint::check(&checkpoint, &file, &config)?;
    let mut weights = Weights::open(checkpoint, placement.clone(), progress)?;
    let decoder = Decoder::load(&mut weights, config)?;
    MlxModel::new(file.model_type, decoder, weights, placement)
}

/// Exits the process at once, without running destructors of statics.
///
/// MLX's statics must not be destroyed while a step runs on another thread, and a step on a slow device can take
/// longer than a program may take to exit. Flush buffered output first.
pub fn exit(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions and does not return.
    unsafe { libc::_exit(code) }
}
