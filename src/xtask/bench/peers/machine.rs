//! The machine of a comparison: the CPUs that the programs run on, how fast these read memory, and who else used them.
//!
//! The restriction uses affinity, which child processes inherit, so a program that counts CPUs counts these. Only one
//! hardware thread of each core is used. What the CPUs did while a program was measured, but neither for it nor idle,
//! was [taken](Taken) from it.

use std::collections::HashSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::child::TICK;
use super::program::Program;

/// The features of CPUs on which products depend, by their names in `/proc/cpuinfo`: x86-64 first, then Arm.
const FEATURES: [&str; 11] = [
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
];

/// A share of the CPUs above which a sample counts as disturbed. The clock of the times is coarse, so the shortest
/// samples are never counted.
const MAX_TAKEN: f64 = 0.1;
const MIN_TAKEN: Duration = Duration::from_millis(50);

pub(super) struct Machine {
    pub(super) cpu: String,
    /// Those of [`FEATURES`] that it has.
    pub(super) features: Vec<&'static str>,
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
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("cannot read `/proc/cpuinfo`")?;
        let load = fs::read_to_string("/proc/loadavg").context("cannot read `/proc/loadavg`")?;
        Ok(Self {
            cpu: cpu_name(&cpuinfo),
            features: features(&cpuinfo),
            n_cpus: usable.len(),
            cpus,
            load_before: load.split(' ').next().and_then(|it| it.parse().ok()).context("no load")?,
        })
    }

    /// What these CPUs and a program on them have done up to now.
    pub(super) fn times(&self, program: &Program) -> Result<Times> {
        let stat = fs::read_to_string("/proc/stat").context("cannot read `/proc/stat`")?;
        let busy = busy_ticks(&stat, &self.cpus).context("no such CPUs in `/proc/stat`")?;
        Ok(Times {
            at: Instant::now(),
            busy: busy * TICK,
            of_program: program.cpu_time()?,
            n_cpus: u32::try_from(self.cpus.len())?,
        })
    }
}

/// What the CPUs have done up to a moment.
#[derive(Clone, Copy)]
pub(super) struct Times {
    at: Instant,
    /// The time that they were not idle, over all CPUs; also while the hypervisor ran something else.
    busy: Duration,
    of_program: Duration,
    n_cpus: u32,
}

impl Times {
    pub(super) fn taken_since(self, before: Times) -> Taken {
        let own = self.of_program.saturating_sub(before.of_program);
        Taken {
            time: (self.busy.saturating_sub(before.busy)).saturating_sub(own),
            of: (self.at - before.at) * self.n_cpus,
        }
    }
}

/// The CPU time that others had while a program was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Taken {
    pub(super) time: Duration,
    /// The time of all CPUs together.
    pub(super) of: Duration,
}

impl Taken {
    /// Whether the sample was disturbed: others had more than a tenth of the CPUs.
    pub(super) fn is_much(self) -> bool {
        self.time >= MIN_TAKEN && self.share() > MAX_TAKEN
    }

    pub(super) fn share(self) -> f64 {
        if self.of.is_zero() { 0.0 } else { self.time.as_secs_f64() / self.of.as_secs_f64() }
    }
}

/// The ticks that `cpus` were not idle.
fn busy_ticks(stat: &str, cpus: &[usize]) -> Option<u32> {
    let busy = |cpu: &usize| {
        let name = format!("cpu{cpu} ");
        let line = stat.lines().find_map(|it| it.strip_prefix(&name))?;
        let ticks: Vec<u32> = line.split(' ').map_while(|it| it.parse().ok()).collect();
        // user, nice, system, idle, waiting for input, interrupts, soft interrupts, stolen
        let [user, nice, system, _, _, irq, softirq, stolen, ..] = ticks[..] else { return None };
        Some(user + nice + system + irq + softirq + stolen)
    };
    cpus.iter().map(busy).sum()
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

fn features(cpuinfo: &str) -> Vec<&'static str> {
    let of_first = cpuinfo.lines().find(|it| it.starts_with("flags") || it.starts_with("Features"));
    let present: HashSet<&str> = of_first.unwrap_or_default().split_whitespace().collect();
    FEATURES.into_iter().filter(|it| present.contains(it)).collect()
}

/// The heading of the kernels' benchmark `limits`: the instructions it has chosen, and the machine's limits.
pub(super) fn heading(limits: &Path, n_threads: NonZeroUsize) -> Result<String> {
    // With a filter that matches no line, only the heading is printed.
    let output = Command::new(limits).args([&n_threads.to_string(), "no kernel at all"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|it| !it.is_empty());
    Ok(line.context("the kernels' benchmark prints a heading")?.to_owned())
}

/// The bytes per second that all threads together read, as the kernels' benchmark `limits` measures it.
pub(super) fn bandwidth(limits: &Path, n_threads: NonZeroUsize) -> Result<f64> {
    let heading = heading(limits, n_threads)?;
    heading_bandwidth(&heading)
        .with_context(|| format!("expected `memory ... GB/s` of the kernels' benchmark, got `{heading}`"))
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
    fn what_the_cpus_did_for_others_was_taken_from_the_program() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 10 1 2 500 7 1 1 5 0 0\ncpu1 100 0 0 0 0 0 0 0 0 0\n\
                    cpu10 7 0 0 0 0 0 0 0 0 0\n";
        assert_eq!(busy_ticks(stat, &[0]), Some(20));
        assert_eq!(busy_ticks(stat, &[0, 1]), Some(120));
        assert_eq!(busy_ticks(stat, &[2]), None);

        let ms = Duration::from_millis;
        let before = Times { at: Instant::now(), busy: ms(1_000), of_program: ms(500), n_cpus: 2 };
        let after = Times { at: before.at + ms(1_000), busy: ms(3_000), of_program: ms(2_250), ..before };
        let taken = after.taken_since(before);
        assert_eq!(taken, Taken { time: ms(250), of: ms(2_000) });
        assert!(taken.is_much());
        // As a program's own time is read after that of the CPUs, it may seem to be greater.
        let alone = Times { of_program: ms(2_510), ..after }.taken_since(before);
        assert_eq!((alone.time, alone.is_much()), (ms(0), false));
        assert!(!Taken { time: ms(40), of: ms(100) }.is_much(), "four ticks of a short sample");
    }

    #[test]
    fn the_features_of_a_cpu_are_whole_words() {
        assert_eq!(features("model name\t: X\nflags\t\t: fpu avx2 avx512fp16\n"), ["avx2"]);
        assert_eq!(features("Features\t: fp asimd asimddp i8mm\n"), ["asimddp", "i8mm"]);
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
