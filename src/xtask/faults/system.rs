//! What the system denies: folders, disk, open files, memory, a steady clock.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use super::clients::end;
use super::lab::{Ended, Lab, text};
use super::outcome::Outcome;
use crate::program::Program;

/// How many files may be open: from hopeless to enough.
const FILES: [u64; 9] = [4, 6, 8, 9, 10, 11, 12, 16, 24];
/// Address spaces in MiB, from too little for a model to enough.
const SPACES: [u64; 4] = [600, 800, 1200, 3000];
/// How often a request is made that takes longer than the time between two jumps of the clock.
const N_JUMPS: usize = 3;
/// The least memory of a control group, in which the process can start and refuse a model.
const MIN_GROUP: u64 = 48 << 20;
/// What a full disk is called in errors.
const DISK_FULL: &str = "the disk is full";

/// Serves a model's folder as it should although the home is as it is.
fn serves(lab: &Lab, command: Command) -> Result<()> {
    let mut program = lab.serve(command)?;
    lab.check(&mut program)?;
    end(program)
}

/// No variable says where something may be kept.
pub(super) fn no_home(lab: &Lab) -> Result<Outcome> {
    let home = lab.home()?;
    let without = || {
        let mut command = lab.command(home.path());
        command.env_remove("HOME").env_remove("RUNABOUT_HOME").env_remove("HF_HOME");
        command
    };
    serves(lab, without())?;
    let mut pull = without();
    pull.args(["models", "pull", "--offline"]).arg(&lab.gguf);
    refused(lab, pull, "no folder for models")?;
    Ok(Outcome::Handled(
        "a model's folder is served; an import says that there is no place for it".to_owned(),
    ))
}

/// The home is below a file, where nobody can make a folder.
pub(super) fn denied_home(lab: &Lab) -> Result<Outcome> {
    let home = lab.home()?;
    let file = home.path().join("file");
    fs::write(&file, "")?;
    serves(lab, lab.command(&file))?;
    let mut pull = lab.command(&file);
    pull.args(["models", "pull", "--offline"]).arg(&lab.gguf);
    refused(lab, pull, "cannot create `")?;
    Ok(Outcome::Handled("a model's folder is served; an import says what it cannot create".to_owned()))
}

/// A command that must fail with this in its error.
fn refused(lab: &Lab, command: Command, expected: &str) -> Result<()> {
    let Ended { status, said } = lab.run(command)?;
    let is_right = status.code() == Some(1) && said.contains(expected);
    ensure!(is_right, "expected `{expected}`, and it ended with {status}: {}", said.trim());
    Ok(())
}

/// A command whose home is a disk of this size; `None` if this user cannot have one.
fn on_disk(lab: &Lab, home: &Path, size: &str) -> Option<Command> {
    let mount = format!("mount -t tmpfs -o size={size} tmpfs {}", home.display());
    let wrap = |command: &Command| {
        let mut own = Command::new("unshare");
        own.args(["--map-root-user", "--mount"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => own.env(name, value),
                None => own.env_remove(name),
            };
        }
        own
    };
    let mut attempt = Command::new("sh");
    attempt.args(["-c", &mount]);
    let can = lab.run(wrap(&attempt)).is_ok_and(|it| it.status.success());
    can.then(|| wrap(&lab.after(&mount, home)))
}

fn no_disk() -> Outcome {
    Outcome::NotTried("this user cannot mount a small disk".to_owned())
}

/// The disk becomes full in an import.
pub(super) fn full_disk_import(lab: &Lab) -> Result<Outcome> {
    let home = lab.home()?;
    let mut n_tried = 0;
    for size in ["4k", "16k", "40k", "60k"] {
        let Some(mut pull) = on_disk(lab, home.path(), size) else { return Ok(no_disk()) };
        pull.args(["models", "pull", "--offline"]).arg(&lab.gguf);
        refused(lab, pull, DISK_FULL).context(size)?;
        n_tried += 1;
    }
    Ok(Outcome::Handled(format!("{n_tried} sizes: the error says `{DISK_FULL}`, with a remedy")))
}

/// Nothing can be kept beside a model that is served.
pub(super) fn full_disk_serving(lab: &Lab) -> Result<Outcome> {
    let home = lab.home()?;
    let Some(command) = on_disk(lab, home.path(), "4k") else { return Ok(no_disk()) };
    serves(lab, command)?;
    Ok(Outcome::Handled("a model's folder is served, and nothing is kept".to_owned()))
}

/// The log goes to a full disk.
pub(super) fn full_log(lab: &Lab) -> Result<Outcome> {
    let home = lab.home()?;
    let mut command = lab.after("exec 2>/dev/full", home.path());
    command.env("RUNABOUT_LOG", "trace");
    serves(lab, command)?;
    Ok(Outcome::Handled("the model is served without a log".to_owned()))
}

/// Few files may be open.
pub(super) fn descriptors(lab: &Lab) -> Result<Outcome> {
    let (mut n_ended, mut n_refused, mut n_served) = (0, 0, 0);
    for n_files in FILES {
        let home = lab.home()?;
        let command = lab.after(&format!("ulimit -n {n_files}"), home.path());
        let mut program = lab.serve(command)?;
        let answer = program.call("complete", &lab.long(1, 2));
        let (status, log) = (program.end()?, program.log());
        let what = || format!("with {n_files} files it ended with {status}: {}", log.trim());
        match answer {
            Ok(answer) if answer.get("result").is_some() => n_served += 1,
            Ok(answer) => {
                ensure!(answer["error"]["data"]["kind"] == "model_load_failed", "the answer is {answer}");
                n_refused += 1;
            }
            // The system's loader, which looks for libraries before the program starts, has a code of its own.
            Err(_) if status.code() == Some(127) && log.contains("shared libraries") => n_ended += 1,
            Err(_) => {
                ensure!(status.code() == Some(1) && log.contains("must be allowed to open"), "{}", what());
                n_ended += 1;
                continue;
            }
        }
        ensure!(matches!(status.code(), Some(0 | 127)), "{}", what());
    }
    Ok(Outcome::Handled(format!(
        "{} to {} files: {n_ended} times it said at the start that it needs more, {n_refused} times the model could not be loaded, {n_served} times it served",
        FILES[0],
        FILES[FILES.len() - 1]
    )))
}

/// From some moment on, and until the answer, no memory can be had from the system.
pub(super) fn no_memory_in_steps(lab: &Lab) -> Result<Outcome> {
    let home = lab.home()?;
    let start = || {
        let mut command = lab.command(home.path());
        command.env("RUNABOUT_NO_PACKED_CACHE", "1");
        lab.serve(command)
    };
    let mut program = start()?;
    lab.check(&mut program)?;
    let (mut n_failed, mut n_answered, mut n_aborted) = (0, 0, 0);
    for i in 0..lab.args.steps {
        let pid =
            i32::try_from(program.id()).ok().and_then(Pid::from_raw).context("a process has a number")?;
        let space =
            |bytes: Option<u64>| prlimit(Some(pid), Resource::As, Rlimit { current: bytes, maximum: None });
        let id = program.request("complete", &lab.long(if i % 2 == 0 { 200 } else { 2 }, 20))?;
        std::thread::sleep(lab.moment(Duration::from_millis(300)));
        space(Some(program.virtual_bytes()?)).context("cannot limit the process")?;
        let answer = program.answer(id);
        // Fails if the process has ended.
        let _ = space(None);
        match answer {
            Ok(answer) if answer.get("error").is_some() => {
                ensure!(answer["error"]["data"]["kind"] == "generation_failed", "the answer is {answer}");
                n_failed += 1;
            }
            Ok(answer) => {
                text(&answer)?;
                n_answered += 1;
            }
            Err(error) => {
                ensure!(has_aborted(&mut program)?, "{error}");
                n_aborted += 1;
                program = start()?;
            }
        }
        lab.check(&mut program).with_context(|| format!("after request {i}"))?;
    }
    end(program)?;
    Ok(Outcome::Handled(format!(
        "{n_failed} requests ended with `generation_failed`, {n_answered} needed none, {n_aborted} times not even a message could be made; the next was answered as ever"
    )))
}

/// Whether a process has ended as the protocol says for want of the memory for a few bytes.
fn has_aborted(program: &mut Program) -> Result<bool> {
    let status = program.end()?;
    Ok(status.signal() == Some(Signal::ABORT.as_raw()))
}

/// Little memory from the start.
pub(super) fn no_memory_in_loading(lab: &Lab) -> Result<Outcome> {
    let (mut n_refused, mut n_served, mut n_aborted) = (0, 0, 0);
    for space in SPACES {
        let home = lab.home()?;
        let mut program = lab.serve(lab.after(&format!("ulimit -v {}", space << 10), home.path()))?;
        match program.call("complete", &lab.long(1, 2)) {
            Ok(answer) => {
                let kind = &answer["error"]["data"]["kind"];
                let is_refused = kind == "model_load_failed" || kind == "out_of_memory";
                ensure!(is_refused || answer.get("result").is_some(), "with {space} MiB: {answer}");
                n_refused += usize::from(is_refused);
                n_served += usize::from(!is_refused);
                end(program)?;
            }
            Err(error) => {
                ensure!(has_aborted(&mut program)?, "with {space} MiB: {error}");
                n_aborted += 1;
            }
        }
    }
    Ok(Outcome::Handled(format!(
        "{} sizes of the address space: {n_refused} times the model was refused, {n_served} times it served, {n_aborted} times not even a message could be made",
        SPACES.len()
    )))
}

/// The process is in a control group with less memory than the model has.
pub(super) fn control_group(lab: &Lab) -> Result<Outcome> {
    let weights = fs::metadata(lab.model.join("model.safetensors"))?.len();
    if weights < MIN_GROUP {
        return Ok(Outcome::NotTried("the model takes less memory than the process without it".to_owned()));
    }
    let Some(group) = Group::make(weights) else {
        return Ok(Outcome::NotTried("this user cannot make a control group".to_owned()));
    };
    let home = lab.home()?;
    let mut program = lab.serve(lab.after(&group.enter(), home.path()))?;
    let answer = program.call("complete", &lab.long(1, 2))?;
    let error = &answer["error"]["data"];
    ensure!(error["kind"] == "out_of_memory", "the answer is {answer}");
    ensure!(error["available_bytes"].as_u64().is_some_and(|it| it < weights), "the answer is {answer}");
    end(program)?;
    Ok(Outcome::Handled(format!(
        "weights of {} MB in a group with as much: refused before it was read",
        weights / 1_000_000
    )))
}

/// A control group of version 1 or 2, removed when it is dropped.
struct Group(PathBuf);

impl Group {
    fn make(limit: u64) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let place = |line: &str| line.rsplit_once(':').map(|it| it.1.trim_start_matches('/').to_owned());
        let first = own.lines().find(|it| it.contains(":memory:")).and_then(place);
        let (parent, file) = if let Some(own) = first {
            (Path::new("/sys/fs/cgroup/memory").join(own), "memory.limit_in_bytes")
        } else {
            let own = own.lines().find(|it| it.starts_with("0::")).and_then(place)?;
            (Path::new("/sys/fs/cgroup").join(own), "memory.max")
        };
        let group = Self(parent.join(format!("runabout-faults-{}", std::process::id())));
        fs::create_dir(&group.0).ok()?;
        fs::write(group.0.join(file), limit.to_string()).ok()?;
        // Some may make groups and not enter them.
        let mut enter = Command::new("sh");
        enter.args(["-c", &group.enter()]);
        enter.status().is_ok_and(|it| it.success()).then_some(group)
    }
}

impl Group {
    /// What a shell does to be in the group.
    fn enter(&self) -> String {
        format!("echo $$ > {}", self.0.join("cgroup.procs").display())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// The clock jumps by decades while everything is done.
pub(super) fn clock(lab: &Lab) -> Result<Outcome> {
    let home = lab.home()?;
    let library = home.path().join("clock.so");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(lab.root.join("src/xtask/faults/clock.c"));
    match lab.run(compile) {
        Ok(it) if it.status.success() => {}
        Ok(it) => bail!("cannot compile the clock: {}", it.said),
        Err(_) => return Ok(Outcome::NotTried("there is no C compiler".to_owned())),
    }
    let command = || {
        let mut command = lab.command(home.path());
        command.env("LD_PRELOAD", &library);
        command
    };
    let mut program = lab.serve(command())?;
    for _ in 0..N_JUMPS {
        lab.check(&mut program)?;
        let mut limited = lab.long(3, 8000);
        limited["time_budget_ms"] = 1100.into();
        let answer = program.call("complete", &limited)?;
        // A small model on a fast machine is done before.
        let reason = answer["result"]["finish_reason"].as_str().unwrap_or_default();
        ensure!(matches!(reason, "budget" | "length"), "not ended by its budget: {reason}");
        let spent = answer["result"]["timing"]["total_ms"].as_f64();
        ensure!(
            spent.is_some_and(|it| (0.0..60_000.0).contains(&it)),
            "the times are {}",
            answer["result"]["timing"]
        );
    }
    end(program)?;
    for name in ["pull", "verify", "show"] {
        let mut models = command();
        models.args(["models", name]).arg(&lab.gguf);
        lab.succeed(models)?;
    }
    let mut models = command();
    models.args(["models", "list"]);
    lab.succeed(models)?;
    Ok(Outcome::Handled(
        "every second by forty years: answered as ever, times and budgets are right, models are kept"
            .to_owned(),
    ))
}
