//! What this program computes with, for people who look for a fault: [`about`].

use std::ffi::CStr;

use crate::LoadError;
use crate::options::{LoadOptions, Placement};

/// MLX, the device, and the kernels for it.
#[derive(Clone, Debug)]
pub struct About {
    pub mlx_version: String,
    /// What MLX was built for, besides the CPU: `Metal` or `CUDA`, and whether it finds such a device.
    pub backend: Option<(&'static str, bool)>,
    /// The device that would be used: `cpu` or `gpu`.
    pub device: &'static str,
    /// `None` where MLX itself computes.
    pub kernels: Option<KernelChoice>,
    /// Instructions of this CPU that kernels can use.
    pub cpu_features: Vec<&'static str>,
}

/// How the CPU kernels compute.
#[derive(Clone, Debug)]
pub struct KernelChoice {
    /// The instruction set, such as `avx512`.
    pub path: String,
    pub precision: String,
    pub n_threads: usize,
}

/// Looks at this machine as [`load`](crate::load) would with these options.
pub fn about(options: &LoadOptions) -> Result<About, LoadError> {
    let placement = Placement::choose(options)?;
    let kernels = placement.kernels.as_ref().map(|it| {
        let cpu = it.cpu();
        KernelChoice {
            path: cpu.path().to_string(),
            precision: cpu.precision().to_string(),
            n_threads: cpu.pool().n_threads(),
        }
    });
    Ok(About {
        mlx_version: mlx_version(),
        backend: backend(),
        device: placement.compute.name(),
        kernels,
        cpu_features: cpu_features(),
    })
}

fn mlx_version() -> String {
    // SAFETY: the string is made, filled, read and freed here.
    unsafe {
        let mut version = mlx_sys::mlx_string_new();
        mlx_sys::mlx_version(&raw mut version);
        let data = mlx_sys::mlx_string_data(version);
        let text =
            if data.is_null() { String::new() } else { CStr::from_ptr(data).to_string_lossy().into_owned() };
        mlx_sys::mlx_string_free(version);
        text
    }
}

/// Of MLX for macOS, Metal; of MLX for Linux, CUDA if it finds it. MLX does not say for what else it was built.
fn backend() -> Option<(&'static str, bool)> {
    let (mut metal, mut cuda) = (false, false);
    // SAFETY: both calls only write the flag that they are given.
    unsafe {
        mlx_sys::mlx_metal_is_available(&raw mut metal);
        mlx_sys::mlx_cuda_is_available(&raw mut cuda);
    }
    match (cfg!(target_os = "macos"), cuda) {
        (true, _) => Some(("Metal", metal)),
        (false, true) => Some(("CUDA", true)),
        (false, false) => None,
    }
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    macro_rules! present {
        ($($feature:tt),*) => {
            [$(($feature, is_x86_feature_detected!($feature))),*]
        };
    }
    let all = present!("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512vnni", "avx512bf16");
    all.into_iter().filter(|it| it.1).map(|it| it.0).collect()
}

#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<&'static str> {
    macro_rules! present {
        ($($feature:tt),*) => {
            [$(($feature, std::arch::is_aarch64_feature_detected!($feature))),*]
        };
    }
    let all = present!("neon", "dotprod", "i8mm", "bf16", "fp16");
    all.into_iter().filter(|it| it.1).map(|it| it.0).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}
