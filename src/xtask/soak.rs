//! `cargo xtask soak`: mixed traffic on the real model for an hour. Nothing may be lost, answered twice or leaked.
//!
//! One `runabout serve` gets completions while somebody types, chats, cancels and texts with a schema, and one
//! `runabout mcp` gets calls of its tools. Every message is accounted for ([`Program`]), and what the processes hold of
//! the system is sampled while nothing runs.

mod traffic;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use self::traffic::Traffic;
use crate::program::{Held, Program};
use crate::worker::given_or_built;

/// The time between two looks at what the processes hold.
const LOOK: Duration = Duration::from_secs(10);
/// The time between two looks at what is due.
const TICK: Duration = Duration::from_millis(10);
/// The first of this many parts of a run is left out, in which caches fill and allocators grow.
const WARM_UP_PARTS: usize = 5;
/// The growth of memory after that, in parts of 1, which is a leak.
const MAX_GROWTH: f64 = 0.02;
/// Below this number of looks, a growth says nothing.
const MIN_LOOKS: usize = 50;

/// Arguments of `cargo xtask soak`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long, value_name = "SECONDS", default_value = "3600")]
    seconds: u64,
    /// A named model, or anything else that `runabout serve --model` accepts.
    #[arg(long, default_value = "smollm2-135m")]
    model: String,
    /// An existing worker to use instead of building one.
    #[arg(long, value_name = "PATH")]
    runabout: Option<PathBuf>,
}

/// Runs the traffic, and prints what came of it. An error says what went wrong.
pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let worker = given_or_built(root, args.runabout.as_deref())?;
    let logs = tempfile::tempdir()?;
    let start = |name: &'static str| {
        // A small cache, so that it is soon full.
        let mut command = Command::new(&worker);
        command.args([name, "--offline", "--model", &args.model, "--cache-limit-mib", "64"]);
        Program::start(name, command, &logs.path().join(name))
    };
    let (mut worker, mut mcp) = (start("serve")?, start("mcp")?);
    Traffic::greet(&mut mcp)?;

    let (started, length) = (Instant::now(), Duration::from_secs(args.seconds));
    let (mut traffic, mut looks) = (Traffic::new(), [Vec::new(), Vec::new()]);
    let mut next_look = started + LOOK.min(length / 4);
    while started.elapsed() < length {
        traffic.go_on(&mut worker, &mut mcp)?;
        thread::sleep(TICK);
        if Instant::now() >= next_look {
            // Measured while nothing runs: what is in use then stays in use.
            for (program, looks) in [&mut worker, &mut mcp].into_iter().zip(&mut looks) {
                program.settle()?;
                looks.push(program.held()?);
            }
            next_look = Instant::now() + LOOK.min(length / 4);
        }
    }
    let mut faults = Vec::new();
    for (program, looks) in [&mut worker, &mut mcp].into_iter().zip(&looks) {
        program.settle()?;
        program.stop()?;
        println!("{}", report(program, looks));
        faults.extend(leaks(program.name, looks));
        let ledger = program.ledger();
        // A queue that is full is an answer as it should be; these requests have no other reason to fail.
        let errors = ledger.errors.iter().filter(|it| it.0 != "overloaded");
        faults.extend(errors.map(|(kind, n)| format!("{}: {n} errors of the kind {kind}", program.name)));
        faults.extend(ledger.faults.iter().map(|it| format!("{}: {it}", program.name)));
    }
    ensure!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}

/// What a program was asked, and what it held after the warm-up and at the end.
fn report(program: &Program, looks: &[Held]) -> String {
    let ledger = program.ledger();
    let errors: Vec<String> = ledger.errors.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    let errors = if errors.is_empty() { "none".to_owned() } else { errors.join(", ") };
    let mut text = format!(
        "{}: {} requests, {} answered, {} cancelled without an answer; errors: {errors}",
        program.name,
        ledger.n_asked,
        ledger.n_answered,
        ledger.n_dropped()
    );
    let settled = settled(looks);
    for (name, value) in [
        ("resident MB", (|it: &Held| it.bytes as f64 / 1e6) as fn(&Held) -> f64),
        ("descriptors", |it| it.n_descriptors as f64),
        ("threads", |it| it.n_threads as f64),
    ] {
        let at = |looks: &[Held]| median(looks.iter().map(value));
        let most = settled.iter().map(value).fold(0.0, f64::max);
        if let (Some(first), Some(last)) = (at(first_tenth(settled)), at(last_tenth(settled))) {
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "\n  {name:<12} {first:>9.1} after the warm-up {last:>9.1} at the end {most:>9.1} at most"
            );
        }
    }
    text
}

/// What grew and should not.
fn leaks(name: &str, looks: &[Held]) -> Vec<String> {
    let settled = settled(looks);
    let (Some(first), Some(last)) = (settled.first(), settled.last()) else { return Vec::new() };
    let mut leaks = Vec::new();
    if last.n_descriptors > first.n_descriptors {
        leaks.push(format!("{name}: {} descriptors became {}", first.n_descriptors, last.n_descriptors));
    }
    let bytes = |looks: &[Held]| median(looks.iter().map(|it| it.bytes as f64)).unwrap_or_default();
    let growth = bytes(last_tenth(settled)) / bytes(first_tenth(settled)) - 1.0;
    if settled.len() >= MIN_LOOKS && growth > MAX_GROWTH {
        leaks.push(format!("{name}: memory grew by {:.1} %", 100.0 * growth));
    }
    leaks
}

fn settled(looks: &[Held]) -> &[Held] {
    &looks[looks.len() / WARM_UP_PARTS..]
}

fn first_tenth(looks: &[Held]) -> &[Held] {
    &looks[..looks.len().div_ceil(10)]
}

fn last_tenth(looks: &[Held]) -> &[Held] {
    &looks[looks.len() - looks.len().div_ceil(10)..]
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(n: usize, bytes: impl Fn(usize) -> u64) -> Vec<Held> {
        (0..n).map(|i| Held { bytes: bytes(i), n_descriptors: 12, n_threads: 9 }).collect()
    }

    #[test]
    fn memory_that_grows_after_the_warm_up_is_a_leak() {
        assert!(leaks("serve", &looks(100, |i| 1_000_000 + (i as u64).min(20) * 50_000)).is_empty());
        assert_eq!(leaks("serve", &looks(100, |i| 1_000_000 + i as u64 * 1_000)).len(), 1);
        assert!(leaks("serve", &looks(10, |i| 1_000_000 + i as u64 * 100_000)).is_empty(), "too short");
        assert!(leaks("serve", &[]).is_empty());
    }

    #[test]
    fn a_descriptor_more_is_a_leak() {
        let mut looks = looks(4, |_| 1_000_000);
        looks[3].n_descriptors = 13;
        assert_eq!(leaks("mcp", &looks), ["mcp: 12 descriptors became 13"]);
    }
}
