//! Processes that are killed at random moments: what they leave is usable, and nothing of it is taken for whole.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::lab::Lab;
use super::outcome::Outcome;

/// The most kills of the same work, before it is left to end.
const MOST_IN_A_ROW: usize = 3;
/// The size of the file that is downloaded.
const N_BYTES: usize = 4 << 20;

/// Kills `work`, each time with a home of its own, and has it done and checked afterwards.
fn survive(lab: &Lab, work: impl Fn(&Path) -> Command, check: impl Fn(&Path) -> Command) -> Result<Outcome> {
    let home = lab.home()?;
    let started = Instant::now();
    lab.succeed(work(home.path()))?;
    let whole = started.elapsed();
    let (mut n_kills, mut n_ended) = (0, 0);
    while n_kills < lab.args.kills {
        let home = lab.home()?;
        let models = |args: &[&str]| {
            let mut command = lab.command(home.path());
            command.arg("models").args(args);
            command
        };
        let n = lab.random.borrow_mut().usize(1..=MOST_IN_A_ROW);
        for _ in 0..n {
            let has_ended = lab.kill(work(home.path()), whole)?;
            n_kills += usize::from(!has_ended);
            n_ended += usize::from(has_ended);
            lab.succeed(models(&["list"]))?;
        }
        let after = || format!("after {n_kills} kills");
        lab.succeed(work(home.path())).with_context(after)?;
        lab.succeed(check(home.path())).with_context(after)?;
        lab.succeed(models(&["prune", "--yes"])).with_context(after)?;
        lab.succeed(check(home.path())).with_context(after)?;
    }
    Ok(Outcome::Handled(format!(
        "{n_kills} kills of work that takes {} ms, and {n_ended} too late; it was done and right after each, and after a clean-up",
        whole.as_millis()
    )))
}

/// Downloads from a hub on this machine.
pub(super) fn download(lab: &Lab) -> Result<Outcome> {
    let files = lab.home()?;
    let header = json!({"w": {"dtype": "U8", "shape": [N_BYTES], "data_offsets": [0, N_BYTES]}}).to_string();
    let bytes = std::iter::repeat_with(|| lab.random.borrow_mut().u8(..)).take(N_BYTES);
    let weights = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat().into_iter().chain(bytes);
    std::fs::write(files.path().join("model.safetensors"), weights.collect::<Vec<u8>>())?;
    for (name, contents) in
        [("config.json", r#"{"model_type": "llama"}"#), ("tokenizer.json", r#"{"model": {}}"#)]
    {
        std::fs::write(files.path().join(name), contents)?;
    }
    let hub = Hub::start(lab, files.path())?;
    let models = |home: &Path, command: &str| {
        let mut it = lab.command(home);
        it.args(["models", command, "owner/name"]).env("HF_ENDPOINT", &hub.url);
        it
    };
    survive(lab, |home| models(home, "pull"), |home| models(home, "verify"))
}

/// Imports a GGUF file.
pub(super) fn import(lab: &Lab) -> Result<Outcome> {
    let models = |home: &Path, command: &str| {
        let mut it = lab.command(home);
        it.args(["models", command]).arg(&lab.gguf);
        it
    };
    survive(lab, |home| models(home, "pull"), |home| models(home, "verify"))
}

/// Converts a model's folder. A kill after the last moment leaves the output, which is then not made again.
pub(super) fn conversion(lab: &Lab) -> Result<Outcome> {
    let convert = |home: &Path| {
        let mut it = lab.after(&format!("rm -rf {}", home.join("made").display()), home);
        it.args(["models", "convert", "--bits", "8", "--group-size", "32", "-o"]);
        it.arg(home.join("made")).arg(&lab.imported);
        it
    };
    let check = |home: &Path| {
        let mut it = lab.after(&format!("! ls -A {} | grep runabout-convert", home.display()), home);
        it.args(["generate", "--prompt", "x", "--max-tokens", "1", "--model"]).arg(home.join("made"));
        it
    };
    survive(lab, convert, check)
}

/// Loads and serves the real model. All share a home, in which packed weights are kept.
pub(super) fn serving(lab: &Lab) -> Result<Outcome> {
    let home = lab.home()?;
    let run = |home: &Path| -> Result<()> {
        let mut program = lab.serve(lab.command(home))?;
        lab.check(&mut program)?;
        program.call("complete", &lab.long(100, 10))?;
        program.stop()
    };
    let started = Instant::now();
    run(home.path())?;
    let whole = started.elapsed();
    let home = lab.home()?;
    let n_kills = lab.args.kills.div_ceil(10);
    for i in 0..n_kills {
        let mut program = lab.serve(lab.command(home.path()))?;
        program.request("complete", &lab.long(100, 10))?;
        thread::sleep(lab.moment(whole));
        program.kill()?;
        if i % 4 == 0 {
            run(home.path()).with_context(|| format!("after {} kills", i + 1))?;
        }
    }
    run(home.path())?;
    Ok(Outcome::Handled(format!(
        "{n_kills} kills within {} ms; the next process answered as ever",
        whole.as_millis()
    )))
}

/// A hub on this machine.
struct Hub {
    process: Child,
    url: String,
}

impl Hub {
    fn start(lab: &Lab, files: &Path) -> Result<Self> {
        let mut process = Command::new("python3")
            .arg(lab.root.join("tests/hub/hub.py"))
            .arg(files)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a hub")?;
        let mut url = String::new();
        let stdout = process.stdout.take().context("stdout is piped")?;
        BufReader::new(stdout).read_line(&mut url)?;
        let url = url.trim().to_owned();
        ensure!(url.starts_with("http"), "the hub has not started");
        Ok(Self { process, url })
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
