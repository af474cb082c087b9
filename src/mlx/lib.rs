//! Language models on MLX, the only crate that uses mlx-rs.
//!
//! [`load`] reads a model folder in the layout of mlx-community repositories and returns a [`MlxModel`], which the
//! engine drives through [`runabout_engine::model::LanguageModel`]. MLX's streams belong to threads, so a model must
//! be loaded, used and dropped on one thread. This crate knows nothing of scheduling or the wire.
//!
//! Read [`model`] for a step, [`decoder`] for the network, [`block`] for what it is made of, then one architecture, such
//! as `models/llama.rs`. MLX's own operations are slow on Linux CPUs, so there [`cpu`] replaces them.

mod about;
mod ahead;
#[cfg(test)]
mod bad_folders;
mod block;
mod config;
mod convert;
#[cfg(cpu_kernels)]
mod cpu;
#[cfg(not(cpu_kernels))]
#[path = "no_cpu.rs"]
mod cpu;
mod decoder;
mod device;
mod division;
mod error;
mod group;
mod model;
mod models;
mod network;
mod options;
#[cfg(test)]
mod parity;
mod parts;
mod random_model;
#[cfg(test)]
mod resuming;
mod sampler;
#[cfg(test)]
mod serving;
mod state;
#[cfg(test)]
mod testing;
mod vocabulary_part;
mod weights;

use std::path::Path;

pub use about::{About, KernelChoice, about};
use config::ModelConfig;
pub use convert::{Conversion, ConvertError, Float, Mode, Quantization, Recipe, convert};
use cpu::Kept;
pub use device::{DeviceChoice, share_heaps};
pub use error::LoadError;
pub use group::{Group, Transport};
pub use model::MlxModel;
use models::Architecture;
pub use options::LoadOptions;
use options::Placement;
pub use random_model::RandomModel;
pub use runabout_kernels::Precision;
pub use state::KvBits;
use weights::{Checkpoint, Reader, Weights};

/// Loads the model in `folder`. Calls `progress` with the bytes of weights read so far and in total.
///
/// Must be called on the thread that will use the model.
pub fn load(
    folder: &Path,
    options: &LoadOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<MlxModel, LoadError> {
    let mut placement = Placement::choose(options)?;
    placement.kernels = placement.kernels.map(|it| it.keeping_in(options.packed_folder.clone()));
    load_with(folder, options.adapter.as_deref(), &placement, progress)
}

/// Loads this process's part of a model that a group of processes has together. Each of them calls this with the same
/// model and options, and makes the same slots and steps afterwards. All draw the tokens that process 0 draws.
///
/// Must be called on the thread that will use the model.
pub fn load_part(
    folder: &Path,
    options: &LoadOptions,
    group: Group,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<MlxModel, LoadError> {
    let placement = Placement { group: Some(group), ..Placement::choose(options)? };
    load_with(folder, options.adapter.as_deref(), &placement, progress)
}

/// Whether [`load`] would accept the model in `folder`, by config.json and the headers of its weights alone. Takes
/// milliseconds, and no weight is read.
pub fn check(folder: &Path) -> Result<(), LoadError> {
    let file = config::read(folder)?;
    let architecture = models::architecture(&file)?;
    check_weights(&file, architecture, &Checkpoint::open(folder, None)?)
}

/// Fails if the checkpoint does not have exactly the weights that the architecture needs.
fn check_weights(
    file: &ModelConfig,
    architecture: Architecture,
    checkpoint: &Checkpoint,
) -> Result<(), LoadError> {
    let mut unread = Weights::unread(file, checkpoint);
    let n_layers = architecture(file, &mut unread)?.blocks.len();
    unread.finish(n_layers)
}

/// Loads a second, smaller model that drafts tokens for `model`, on the same device and with the same options.
pub fn load_beside(
    model: &MlxModel,
    folder: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<MlxModel, LoadError> {
    load_with(folder, None, model.placement(), progress)
}

fn load_with(
    folder: &Path,
    adapter: Option<&Path>,
    placement: &Placement,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<MlxModel, LoadError> {
    device::limit_buffer_cache(placement.kernels.is_some())?;
    let file = config::read(folder)?;
    let architecture = models::architecture(&file)?;
    let checkpoint = Checkpoint::open(folder, adapter)?;
    check_weights(&file, architecture, &checkpoint)?;
    let mut load = |kept: Option<Kept>| {
        let network = architecture(&file, &mut Weights::open(&file, &checkpoint, placement)?)?;
        let network = match &placement.group {
            Some(group) => division::divide(network, group)?,
            None => network,
        };
        let kernels = placement.kernels.as_ref().map(|it| it.keeping(kept));
        let mut reader = Reader::new(&checkpoint, Placement { kernels, ..placement.clone() }, progress);
        MlxModel::new(file.model_type.clone(), network, &mut reader, placement.clone())
    };
    let files = [&file.path].into_iter().chain(checkpoint.files()).cloned().collect::<Vec<_>>();
    match load(placement.kernels.as_ref().and_then(|it| it.kept(&files))) {
        Err(LoadError::Kept { path, message }) => {
            tracing::warn!(path = %path.display(), message, "packed weights cannot be used, and are packed again");
            // Without success, the next start tries the same again.
            let _ = std::fs::remove_file(path);
            load(None)
        }
        loaded => loaded,
    }
}

/// Exits the process at once, without running destructors of statics.
///
/// MLX's statics must not be destroyed while a step runs on another thread, and a step on a slow device can take
/// longer than a program may take to exit. Flush buffered output first.
pub fn exit(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions and does not return.
    unsafe { libc::_exit(code) }
}
