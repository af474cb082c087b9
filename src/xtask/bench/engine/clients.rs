//! The scene of several clients of one model: what they take together, and how long one waits for the others.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{Client, Sent};
use super::figures::{Figures, percentile};
use super::prompts::quick;
use super::stage::Stage;

/// As many as a person has: an editor, two agents, a script.
const N_CLIENTS: usize = 4;

/// Four clients of one process, and one alone.
pub(super) fn clients(stage: &Stage<'_>) -> Result<Figures> {
    let mut figures = Figures::default();
    memory(stage, &mut figures)?;
    waiting(stage, &mut figures)?;
    Ok(figures)
}

/// Front ends that share a process, which ends with the last of them.
struct Shared<'a> {
    stage: &'a Stage<'a>,
    runtime: TempDir,
}

impl<'a> Shared<'a> {
    fn new(stage: &'a Stage<'a>) -> Result<Self> {
        Ok(Self { stage, runtime: tempfile::tempdir()? })
    }

    fn client(&self) -> Result<Client> {
        let mut command = Command::new(self.stage.worker);
        command.env_remove("RUNABOUT_ALONE").env("XDG_RUNTIME_DIR", self.runtime.path());
        Client::start_with(command, self.stage.model, &["--linger", "0"])
    }

    /// The process that has the model.
    fn process_id(&self) -> Result<u32> {
        let mut command = Command::new(self.stage.worker);
        command.args(["doctor", "--no-model", "--offline", "--json"]);
        let output = command.env("XDG_RUNTIME_DIR", self.runtime.path()).output()?;
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let checks = report["checks"].as_array().context("the doctor made checks")?;
        let shared = checks.iter().find(|it| it["name"] == "shared").context("no process shares a model")?;
        let words = shared["found"].as_str().unwrap_or_default().split(' ');
        words.flat_map(str::parse).next().context("the process has a number")
    }
}

/// The same requests by four clients that share a process, and by one that has it alone: so the cache holds the same.
/// Memory that several processes have is counted once.
fn memory(stage: &Stage<'_>, figures: &mut Figures) -> Result<()> {
    let work = |client: &mut Client, who: usize| -> Result<()> {
        for idx in 0..8 {
            client.call("complete", &quick(who * 100 + idx))?;
        }
        Ok(())
    };
    let mut alone = stage.worker(&[])?;
    for who in 0..N_CLIENTS {
        work(&mut alone, who)?;
    }
    let of_one = proportional_bytes(alone.process_id())?;
    drop(alone);

    let shared = Shared::new(stage)?;
    let mut clients = (0..N_CLIENTS).map(|_| shared.client()).collect::<Result<Vec<_>>>()?;
    for (who, client) in clients.iter_mut().enumerate() {
        work(client, who)?;
    }
    let of_process = proportional_bytes(shared.process_id()?)?;
    let of_fronts = clients.iter().map(|it| proportional_bytes(it.process_id())).sum::<Result<u64>>()?;
    figures.push("memory of one client alone", of_one as f64 / 1e6, "MB");
    figures.push("of the process that four share", of_process as f64 / 1e6, "MB");
    figures.push("of the four beside it", of_fronts as f64 / 1e6, "MB");
    figures.push("all, to one alone", (of_process + of_fronts) as f64 / of_one as f64, "x");
    Ok(())
}

/// Completions of one client while others generate long texts in the background: one of them, and three, by turns.
fn waiting(stage: &Stage<'_>, figures: &mut Figures) -> Result<()> {
    let shared = Shared::new(stage)?;
    let mut editor = shared.client()?;
    let mut others = (1..N_CLIENTS).map(|_| shared.client()).collect::<Result<Vec<_>>>()?;
    let busy = json!({"prefix": "1, 2, 3, 4, 5, 6, 7, 8, 9, 10,", "mode": "raw", "max_tokens": 4000,
        "priority": "background", "speculation": "off"});
    for idx in 0..stage.n(40).max(8) {
        editor.call("complete", &quick(idx))?;
    }
    let (mut idx, mut firsts, mut alls) = (1000, [const { Vec::new() }; 2], [const { Vec::new() }; 2]);
    for round in 0..6 {
        let is_many = usize::from(round % 4 == 1 || round % 4 == 2);
        let n_busy = if is_many == 1 { others.len() } else { 1 };
        let texts = others[..n_busy]
            .iter_mut()
            .map(|it| {
                let text = it.request("complete", &busy)?;
                it.wait_for_text(text)?;
                Ok(text)
            })
            .collect::<Result<Vec<Sent>>>()?;
        for _ in 0..stage.n(40).max(8) {
            let quick = editor.request("complete", &quick(idx))?;
            let answer = editor.answer(quick)?;
            firsts[is_many].push(answer.first);
            alls[is_many].push(answer.all);
            idx += 1;
        }
        for (other, text) in others.iter_mut().zip(texts) {
            ensure!(!other.is_answered(text), "a background text ended early");
            other.cancel(text)?;
            other.answer(text)?;
            other.forget_text();
        }
    }
    let median = |times: &[Duration]| {
        let times: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
        percentile(&times, 50).unwrap_or_default()
    };
    for (name, [one, three]) in [("first token", &firsts), ("whole completion", &alls)] {
        figures.push_times(&format!("{name} beside one busy client"), one);
        figures.push_times(&format!("{name} beside three"), three);
        figures.push(format!("{name}, three to one"), median(three) / median(one), "x");
    }
    Ok(())
}

/// The memory of a process; of what it shares with others, its part.
fn proportional_bytes(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/smaps_rollup");
    let maps = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    let kibibytes = maps.lines().find_map(|it| it.strip_prefix("Pss:")).context("it has a `Pss`")?;
    Ok(kibibytes.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
