//! Where MLX computes.

use mlx_rs::{Device, DeviceType};

use crate::LoadError;

/// What the person asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU where there is one.
    #[default]
    Auto,
    Cpu,
    Gpu,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compute {
    Cpu,
    Gpu,
}

impl Compute {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Compute::Cpu => "cpu",
            Compute::Gpu => "gpu",
        }
    }
}

/// MLX keeps freed buffers for reuse, by size; without a bound each new prompt length adds to them.
const BUFFER_CACHE_LIMIT_BYTES: usize = 256 << 20;
/// With the CPU kernels hardly more than the activations of a step lives in MLX's buffers.
const KERNELS_BUFFER_CACHE_LIMIT_BYTES: usize = 32 << 20;

/// Chooses the device and makes it MLX's default for this thread's operations.
pub(crate) fn select(choice: DeviceChoice) -> Result<Compute, LoadError> {
    let compute = match (choice, gpu_is_available()) {
        (DeviceChoice::Cpu, _) | (DeviceChoice::Auto, false) => Compute::Cpu,
        (DeviceChoice::Gpu | DeviceChoice::Auto, true) => Compute::Gpu,
        (DeviceChoice::Gpu, false) => {
            return Err(LoadError::Device(
                "no GPU that MLX can use was found\nhint: `--device cpu`, or a build for Metal or CUDA"
                    .to_owned(),
            ));
        }
    };
    Device::set_default(&match compute {
        Compute::Cpu => Device::new(DeviceType::Cpu, 0),
        Compute::Gpu => Device::new(DeviceType::Gpu, 0),
    });
    Ok(compute)
}

/// Bounds what MLX keeps of freed buffers.
pub(crate) fn limit_buffer_cache(has_kernels: bool) -> Result<(), LoadError> {
    let limit = if has_kernels { KERNELS_BUFFER_CACHE_LIMIT_BYTES } else { BUFFER_CACHE_LIMIT_BYTES };
    mlx_rs::memory::set_cache_limit(limit)?;
    Ok(())
}

/// Gives what was freed back to the system.
///
/// glibc keeps what is free between what is not, in a heap for each thread that allocates: a worker creeps up by pieces, 4
/// MB over 2,000 requests (seen with smollm2-135m). Goes through all heaps, so not for every step.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn return_freed_memory() {
    // SAFETY: may be called at any time; it takes the heaps' own locks.
    unsafe {
        // Whether there was anything.
        libc::malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn return_freed_memory() {}

fn gpu_is_available() -> bool {
    let mut is_available = false;
    // SAFETY: the handle is made, asked and freed here, and the flag outlives the call.
    let status = unsafe {
        let gpu = mlx_sys::mlx_device_new_type(mlx_sys::mlx_device_type__MLX_GPU, 0);
        let status = mlx_sys::mlx_device_is_available(&raw mut is_available, gpu);
        mlx_sys::mlx_device_free(gpu);
        status
    };
    status == 0 && is_available
}
