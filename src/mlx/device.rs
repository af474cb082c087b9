//! The choice of MLX's device, and the memory that it keeps.

use mlx_rs::{Device, DeviceType};

use crate::LoadError;

/// The device that the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU if there is one.
    #[default]
    Auto,
    Cpu,
    Gpu,
}

/// The device in use.
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

/// MLX keeps freed buffers for reuse, by size. Without a limit, each new prompt length adds some.
const BUFFER_CACHE_LIMIT_BYTES: usize = 256 << 20;
/// With the CPU kernels, little more than the activations of a step is in MLX's buffers.
const KERNELS_BUFFER_CACHE_LIMIT_BYTES: usize = 32 << 20;

/// Chooses the device and makes it the default of MLX's operations on this thread.
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

/// Limits the freed buffers that MLX keeps.
pub(crate) fn limit_buffer_cache(has_kernels: bool) -> Result<(), LoadError> {
    let limit = if has_kernels { KERNELS_BUFFER_CACHE_LIMIT_BYTES } else { BUFFER_CACHE_LIMIT_BYTES };
    mlx_rs::memory::set_cache_limit(limit)?;
    Ok(())
}

/// Returns freed memory to the system.
///
/// glibc has a heap per thread and keeps free memory between allocations, so a worker's memory creeps up: by 4 MB
/// over 2,000 requests of smollm2-135m. This walks all heaps, so it is not for every step.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn return_freed_memory() {
    // SAFETY: may be called at any time; it takes the heaps' own locks.
    unsafe {
        // The result says whether any memory was returned.
        libc::malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn return_freed_memory() {}

/// Lets threads share heaps, of which glibc would otherwise give each a new one, up to eight for each core. What a heap has
/// held once is free for that heap only, so memory grew for hours with the number of threads that had ever run. Call it
/// before other threads run.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn share_heaps() {
    const N_HEAPS: libc::c_int = 4;
    // SAFETY: it only sets a number. The result says whether it is a possible one.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, N_HEAPS);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn share_heaps() {}

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
