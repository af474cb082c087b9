//! The machine of a comparison: the CPUs that the programs run on, and how fast these read memory.
//!
//! The restriction uses affinity, which child processes inherit, so a program that counts CPUs counts these. Only one
//! hardware thread of each core is used.

use std::collections::HashSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

pub(super) struct Machine {
    pub(super) cpu: String,
    /// The number of CPUs before the restriction.
    pub(super) n_cpus: usize,
    /// The CPUs that the programs run on.
    pub(super) cpus: Vec<usize>,
    /// The load average of the last minute before the run. Anything above 0 affects the figures.
    pub(super) load_before: f64,
}

impl Machine {
    /// Restricts this process, and the processes it starts from now on, to `n_threads` cores.
    pub(super) fn confine(n_threads: NonZeroUsize) -> Result<Self> {
        let usable = sched_getaffinity(None).context("cannot ask for this process's CPUs")?;
        let usable: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|it| usable.is_set(*it)).collect();
        let mut cores = HashSet::new();
        let cpus: Vec<usize> =
            usable.iter().copied().filter(|it| cores.insert(core(*it))).take(n_threads.get()).collect();
        ensure!(
            cpus.len() == n_threads.get(),
            "expected {n_threads} cores, got {}\nhint: `--threads {}`",
            cpus.len(),
            cpus.len()
        );
        let mut set = CpuSet::new();
        for cpu in &cpus {
            set.set(*cpu);
        }
        sched_setaffinity(None, &set).context("cannot choose this process's CPUs")?;
        let load = fs::read_to_string("/proc/loadavg").context("cannot read `/proc/loadavg`")?;
        Ok(Self {
            cpu: cpu_name(&fs::read_to_string("/proc/cpuinfo").context("cannot read `/proc/cpuinfo`")?),
            n_cpus: usable.len(),
            cpus,
            load_before: load.split(' ').next().and_then(|it| it.parse().ok()).context("no load")?,
        })
    }
}

/// The socket and core of a CPU; if the kernel does not say, each CPU counts as a core.
fn core(cpu: usize) -> (String, String) {
    let read = |file: &str| fs::read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/topology/{file}"));
    match (read("physical_package_id"), read("core_id")) {
        (Ok(package), Ok(core)) => (package, core),
        _ => (String::new(), cpu.to_string()),
    }
}

/// Arm machines have no `model name`.
fn cpu_name(cpuinfo: &str) -> String {
    let value = |key: &str| cpuinfo.lines().find_map(|it| it.strip_prefix(key)?.trim().strip_prefix(": "));
    value("model name").or_else(|| value("CPU part")).unwrap_or(std::env::consts::ARCH).to_owned()
}

/// The bytes per second that all threads together read, as the kernels' benchmark `limits` measures it.
pub(super) fn bandwidth(limits: &Path, n_threads: NonZeroUsize) -> Result<f64> {
    // With a filter that matches no line, only the heading is printed, which describes the machine.
    let output = Command::new(limits).args([&n_threads.to_string(), "no kernel at all"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    heading_bandwidth(&text)
        .with_context(|| format!("expected `memory ... GB/s` of the kernels' benchmark, got `{text}`"))
}

fn heading_bandwidth(text: &str) -> Option<f64> {
    let (_, rest) = text.split_once("memory ")?;
    let (gigabytes, _) = rest.split_once(" GB/s")?;
    Some(gigabytes.parse::<f64>().ok()? * 1e9)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_bandwidth_is_in_the_heading() {
        let heading = "\navx512, 2 threads: memory 19.5 GB/s, peak 230 GFLOP/s, fork and join 0.23 us\n";
        assert_eq!(heading_bandwidth(heading), Some(19.5e9));
        assert_eq!(heading_bandwidth("error"), None);
    }

    #[test]
    fn a_cpu_has_some_name() {
        assert_eq!(cpu_name("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n"), "Some CPU @ 2 GHz");
        assert_eq!(cpu_name("CPU part\t: 0xd40\n"), "0xd40");
        assert_eq!(cpu_name(""), std::env::consts::ARCH);
    }

    #[test]
    fn more_cores_than_there_are_is_refused() {
        let error = Machine::confine(NonZeroUsize::MAX).err().unwrap().to_string();
        assert!(error.contains("hint: `--threads "), "{error}");
    }
}
