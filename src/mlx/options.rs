//! How a model is loaded: [`LoadOptions`] from the caller, [`Placement`] once the device is chosen.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use runabout_kernels::Precision;

use crate::LoadError;
use crate::cpu::Kernels;
use crate::device::{self, Compute, DeviceChoice};
use crate::group::Group;
use crate::state::KvBits;

/// How a model is loaded.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    pub device: DeviceChoice,
    /// A folder with a fine-tuning of the model that mlx_lm has written: adapter_config.json and adapters.safetensors.
    /// LoRA and DoRA are computed beside the model's matrices, which stay as they are, quantized or not.
    pub adapter: Option<PathBuf>,
    /// Compute threads on a CPU; `None` is one per physical core.
    pub threads: Option<NonZeroUsize>,
    /// The precision of the CPU kernels' products with quantized weights. `None` is the fastest one that changes no
    /// greedy text of the models in the tests. Not available where MLX computes.
    pub precision: Option<Precision>,
    /// The bits of keys and values: few save memory at the cost of accuracy. `None` stores them in the type of the
    /// activations, or in float16 with the CPU kernels.
    pub kv_bits: Option<KvBits>,
    /// A folder in which packed weights are kept, so that the next start need not read and pack the model's own; it is
    /// created if needed. `None` keeps nothing. Only the CPU kernels pack weights.
    pub packed_folder: Option<PathBuf>,
}

/// The device that a model is on, and how it computes there.
#[derive(Clone)]
pub(crate) struct Placement {
    pub(crate) compute: Compute,
    /// The kernels that replace MLX's operations, if any.
    pub(crate) kernels: Option<Kernels>,
    pub(crate) kv_bits: Option<KvBits>,
    /// The processes that have the model together, if there are several.
    pub(crate) group: Option<Group>,
}

impl Placement {
    /// Chooses the device, makes it the default of this thread, and prepares the kernels for it.
    pub(crate) fn choose(options: &LoadOptions) -> Result<Self, LoadError> {
        let compute = device::select(options.device)?;
        let kernels = match compute {
            Compute::Cpu => Kernels::new(options.threads, options.precision)?,
            Compute::Gpu => None,
        };
        if let (None, Some(precision)) = (&kernels, options.precision) {
            return Err(LoadError::Precision(precision));
        }
        Ok(Self { compute, kernels, kv_bits: options.kv_bits, group: None })
    }
}
