//! How much memory the worker may use, and whether a model's weights fit, checked before they are loaded.

use std::path::Path;

use anyhow::{Context, Result};
use runabout_engine::LoadError;
use sysinfo::{CGroupLimits, ProcessRefreshKind, ProcessesToUpdate, System};

/// The default limit as a fraction (numerator, denominator) of the machine's memory. The rest is for the editor, the
/// compiler and the system.
const SHARE: (u64, u64) = (3, 4);

/// The default cache limit is the memory limit divided by this. So is the limit of waiting texts, up to [`HELD_BYTES`].
const CACHE_PARTS: u64 = 8;

/// The default cache limit if there is no memory limit.
const CACHE_BYTES: u64 = 1 << 30;

/// The highest limit of waiting texts: four of the longest messages, enough for any client and less than a step needs.
const HELD_BYTES: u64 = 64 << 20;

/// Three quarters of the memory of this machine, or of the container or group of processes that the worker runs in;
/// `None` if the system does not report it.
pub(crate) fn default_limit_bytes() -> Option<u64> {
    let mut system = System::new().inspect_err(|error| tracing::warn!(%error, "no memory limit")).ok()?;
    system.refresh_memory();
    let machine = system.total_memory();
    let there_is = group_limits(&mut system).map_or(machine, |it| it.total_memory.min(machine));
    Some(there_is / SHARE.1 * SHARE.0)
}

pub(crate) fn default_cache_bytes(limit_bytes: Option<u64>) -> u64 {
    limit_bytes.map_or(CACHE_BYTES, |it| it / CACHE_PARTS)
}

/// The bytes of text that requests may hold while they wait, see [`HeldTexts`](runabout_assist::HeldTexts).
pub(crate) fn max_held_bytes(limit_bytes: Option<u64>) -> u64 {
    limit_bytes.map_or(HELD_BYTES, |it| (it / CACHE_PARTS).min(HELD_BYTES))
}

/// Fails if the weights alone exceed the memory limit. Called before any of them are read.
pub(crate) fn check_weights(needed_bytes: u64, limit_bytes: Option<u64>) -> Result<(), LoadError> {
    match limit_bytes {
        Some(available_bytes) if needed_bytes > available_bytes => {
            Err(LoadError::OutOfMemory { needed_bytes, available_bytes })
        }
        _ => Ok(()),
    }
}

/// Fails if the machine has less free memory than this. For weights that are made up, which are not worth swapping for.
pub(crate) fn check_free(needed_bytes: u64) -> Result<(), LoadError> {
    check_weights(needed_bytes, free_bytes())
}

/// The memory that is free on this machine, or in the container; `None` if the system does not report it.
pub(crate) fn free_bytes() -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    let machine = system.available_memory();
    Some(group_limits(&mut system).map_or(machine, |it| it.free_memory.min(machine)))
}

/// The limits of this process's control group and of those that it is in; `None` if there are none, as on most machines.
fn group_limits(system: &mut System) -> Option<CGroupLimits> {
    let pid = sysinfo::get_current_pid().ok()?;
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, ProcessRefreshKind::nothing());
    system.process(pid)?.cgroup_limits()
}

/// The size of a model's weights in bytes, taken from its `.safetensors` files without reading them.
pub(crate) fn weights_bytes(folder: &Path) -> Result<u64> {
    let mut n_bytes = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|it| it == "safetensors") {
            // The files behind links count, not the links.
            n_bytes += std::fs::metadata(entry.path())?.len();
        }
    }
    Ok(n_bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_limit_is_less_than_the_machine_has_and_more_than_nothing() {
        let mut system = System::new().unwrap();
        system.refresh_memory();
        let limit = default_limit_bytes().unwrap();
        assert!(limit > 0 && limit < system.total_memory(), "{limit}");
    }

    #[test]
    fn a_model_over_the_limit_is_refused_by_the_size_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model-1.safetensors"), [0; 600]).unwrap();
        std::fs::write(folder.path().join("model-2.safetensors"), [0; 500]).unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), [0; 5000]).unwrap();
        let n_bytes = weights_bytes(folder.path()).unwrap();
        assert!(check_weights(n_bytes, None).is_ok());
        assert!(check_weights(n_bytes, Some(1100)).is_ok());
        let refused = check_weights(n_bytes, Some(1099)).unwrap_err();
        assert_eq!(refused, LoadError::OutOfMemory { needed_bytes: 1100, available_bytes: 1099 });
    }
}
