//! `cargo xtask fuzz`: the targets of `src/fuzz`, with libFuzzer.
//!
//! The code is built as `cargo fuzz` builds it, with counters at every branch, but by the compiler that there is: without
//! a sanitizer, which only nightly compilers have, so that a fault in the unsafe code of `mlx` and `kernels` shows only
//! where it crashes. What an earlier run has found stays in `target/fuzz/corpus`, where the next one begins; inputs that
//! failed are in `target/fuzz/failures`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo::cargo;

/// What makes the compiler count branches and comparisons, as libFuzzer expects it.
const INSTRUMENTATION: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

/// One unit for each crate, as `cargo fuzz` has it, but not for the kernels, of which that would take half an hour.
const PROFILE: &[&str] = &[
    "profile.release.codegen-units=1",
    "profile.release.package.runabout-kernels.codegen-units=16",
    "profile.release.package.runabout-kernels.opt-level=1",
];

/// The longest input, in bytes.
const MAX_LEN: u32 = 1 << 14;
/// An input that takes longer is a failure, in seconds.
const TIMEOUT: u32 = 10;
/// Memory beyond this is a failure, and so is an allocation of more than a quarter of it.
const MEMORY_MIB: u32 = 2048;

/// Arguments of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The targets; all if none is given. `src/fuzz/lib.rs` has the list.
    targets: Vec<String>,
    /// How long each target runs.
    #[arg(long, value_name = "N", default_value = "60")]
    seconds: u64,
    /// Stop a target after this number of inputs, or when its time is over.
    #[arg(long, value_name = "N")]
    runs: Option<u64>,
    /// Run an input that has failed once more, with its backtrace, instead of looking for others.
    #[arg(long, value_name = "PATH", requires = "targets")]
    again: Option<PathBuf>,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let known = names(root)?;
    let targets = if args.targets.is_empty() { &known } else { &args.targets };
    if let Some(unknown) = targets.iter().find(|it| !known.contains(it)) {
        anyhow::bail!("expected targets ({}), got `{unknown}`", known.join(", "));
    }
    let folder = root.join("target/fuzz");
    let program = build(root, &folder)?;
    let mut failed = Vec::new();
    for target in targets {
        let mut fuzzer = Command::new(&program);
        fuzzer.env("RUNABOUT_FUZZ_TARGET", target).env("RUST_BACKTRACE", "1");
        if let Some(input) = &args.again {
            fuzzer.arg(input);
        } else {
            let (corpus, failures) =
                (folder.join("corpus").join(target), folder.join("failures").join(target));
            fs::create_dir_all(&corpus)?;
            fs::create_dir_all(&failures)?;
            fuzzer.env("RUNABOUT_FUZZ_SEEDS", &corpus).arg(&corpus);
            fuzzer.arg(format!("-artifact_prefix={}/", failures.display()));
            fuzzer.arg(format!("-max_total_time={}", args.seconds));
            fuzzer.args(args.runs.map(|it| format!("-runs={it}")));
            fuzzer.arg(format!("-max_len={MAX_LEN}")).arg(format!("-timeout={TIMEOUT}"));
            fuzzer.arg(format!("-rss_limit_mb={MEMORY_MIB}"));
            fuzzer.arg(format!("-malloc_limit_mb={}", MEMORY_MIB / 4));
            fuzzer.args(["-print_final_stats=1", "-verbosity=0", "-print_funcs=0"]);
        }
        println!("{target}");
        let status = fuzzer.status().with_context(|| format!("cannot start `{}`", program.display()))?;
        if !status.success() {
            failed.push(target.as_str());
        }
    }
    ensure!(failed.is_empty(), "targets failed: {}", failed.join(", "));
    Ok(())
}

/// Builds the instrumented program. With `--target`, so that what runs while it is built is not instrumented.
fn build(root: &Path, folder: &Path) -> Result<PathBuf> {
    let about = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let about = String::from_utf8_lossy(&about.stdout).into_owned();
    let host = about.lines().find_map(|it| it.strip_prefix("host: ")).context("rustc names its host")?;
    let status = cargo(root)
        .args([
            "build",
            "--release",
            "--package",
            "runabout-fuzz",
            "--features",
            "libfuzzer",
            "--target",
            host,
        ])
        .arg("--target-dir")
        .arg(folder)
        .args(PROFILE.iter().flat_map(|it| ["--config", it]))
        .env("RUSTFLAGS", INSTRUMENTATION.join(" "))
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the fuzzer cannot be built");
    Ok(folder.join(host).join("release/runabout-fuzz"))
}

/// The names of the targets, which the fuzzer's own list has.
fn names(root: &Path) -> Result<Vec<String>> {
    let list = fs::read_to_string(root.join("src/fuzz/lib.rs"))?;
    let names = list.split("Target { name: \"").skip(1).filter_map(|it| it.split('"').next());
    Ok(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_are_those_of_the_list() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
        let names = names(root).unwrap_or_default();
        assert!(names.len() > 9 && names.iter().any(|it| it == "frames"), "{names:?}");
    }
}
