//! The program, MLX, the device, the kernels and the memory.

use runabout_mlx::{About, LoadOptions};
use sysinfo::System;

use super::check::{Check, gigabytes};
use crate::cli::ModelArgs;
use crate::memory;

/// Less free memory than this is too little for the default model and its cache.
const LITTLE_MEMORY: u64 = 2 << 30;

pub(super) fn checks(args: &ModelArgs) -> Vec<Check> {
    let mut checks = vec![Check::ok(
        "version",
        format!(
            "runabout {} for {}-{}",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::ARCH,
            std::env::consts::OS
        ),
    )];
    match runabout_mlx::about(&LoadOptions::from(args)) {
        Ok(about) => checks.extend([mlx(&about), kernels(&about)]),
        Err(error) => checks.push(Check::error("device", &error.to_string())),
    }
    checks.push(memory(args));
    checks
}

fn mlx(about: &About) -> Check {
    let backend = match about.backend {
        Some((name, true)) => format!("with {name}"),
        Some((name, false)) => format!("with {name}, which finds no device"),
        None => "without a GPU".to_owned(),
    };
    Check::ok("device", format!("MLX {} {backend}; computes on the {}", about.mlx_version, about.device))
}

fn kernels(about: &About) -> Check {
    let features = about.cpu_features.join(" ");
    let Some(kernels) = &about.kernels else {
        let found = format!("MLX's own; the CPU has {features}");
        return if about.device == "gpu" {
            Check::ok("kernels", found)
        } else {
            Check::warning("kernels", found, "MLX's own are slow on a CPU: unset `RUNABOUT_KERNELS`")
        };
    };
    let threads =
        if kernels.n_threads == 1 { "1 thread".to_owned() } else { format!("{} threads", kernels.n_threads) };
    let found = format!("{} with {} on {threads}; the CPU has {features}", kernels.path, kernels.precision);
    if kernels.path == "portable" {
        return Check::warning(
            "kernels",
            found,
            "the fast ones need AVX2 or NEON: choose a newer machine, or a small model",
        );
    }
    Check::ok("kernels", found)
}

fn memory(args: &ModelArgs) -> Check {
    let total = System::new().ok().map(|mut it| {
        it.refresh_memory();
        it.total_memory()
    });
    let limit = args.memory_limit_bytes().or_else(memory::default_limit_bytes);
    let (Some(total), Some(free), Some(limit)) = (total, memory::free_bytes(), limit) else {
        return Check::warning("memory", "the system does not report it", "set `--memory-limit`");
    };
    let cache = memory::default_cache_bytes(Some(limit));
    let found = format!(
        "{} in all, {} free; limited to {}, of which {} for the cache of prompts",
        gigabytes(total),
        gigabytes(free),
        gigabytes(limit),
        gigabytes(cache)
    );
    if free < limit.min(LITTLE_MEMORY) {
        return Check::warning(
            "memory",
            found,
            "end other programs, choose a smaller model, or lower `--memory-limit`",
        );
    }
    Check::ok("memory", found)
}
