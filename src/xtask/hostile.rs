//! `cargo xtask hostile`: generated hostile messages through the worker. Each gets its answers, and the next request is
//! answered.
//!
//! The messages are those of the protocol's transcripts, with values changed and bytes damaged. They are sent in groups;
//! after each group, everything that still runs is cancelled, and the answers are counted.

mod expectation;
pub(crate) mod mutation;

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use self::expectation::Expected;
use self::mutation::Mutator;
use crate::worker::given_or_built;

/// A worker that sends nothing for this long has lost an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time between two looks at what is still open.
const PAUSE: Duration = Duration::from_millis(5);
/// Within this time, a request that has been cancelled is answered.
const GRACE: Duration = Duration::from_secs(3);
/// An answer too many would come in this time.
const AFTERMATH: Duration = Duration::from_millis(20);

/// Arguments of `cargo xtask hostile`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The number of messages.
    #[arg(long, value_name = "N", default_value = "10000")]
    messages: usize,
    /// The number of messages that are sent before their answers are counted. With 1, a fault is that of the message.
    #[arg(long, value_name = "N", default_value = "40")]
    group: usize,
    /// Other messages than those of the default.
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// A named model, or anything else that `runabout serve --model` accepts.
    #[arg(long, default_value = "smollm2-135m")]
    model: String,
    /// An existing worker to use instead of building one.
    #[arg(long, value_name = "PATH")]
    runabout: Option<PathBuf>,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let worker = given_or_built(root, args.runabout.as_deref())?;
    let mut mutator = Mutator::new(seeds(&root.join("protocol/transcripts"))?, args.seed);
    let mut target = Target::start(&worker, &args.model)?;
    let (mut n_sent, mut n_answers) = (0, 0);
    while n_sent < args.messages {
        let (mut expected, mut lines) = (Expected::default(), Vec::new());
        while lines.len() < args.group.max(1) {
            let line = mutator.line();
            if expected.add(&line) {
                target.send(&line)?;
                lines.push(line);
            }
        }
        n_sent += lines.len();
        n_answers += target
            .settle(&expected)
            .with_context(|| format!("after {n_sent} messages, of which the last were\n{}", shown(&lines)))?;
    }
    target.stop()?;
    println!("{n_sent} hostile messages, {n_answers} answers, each as it should be");
    Ok(())
}

/// What clients send in the transcripts.
fn seeds(folder: &Path) -> Result<Vec<Value>> {
    let mut seeds = Vec::new();
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?.map(|it| Ok(it?.path())).collect::<Result<_>>()?;
    paths.sort();
    for path in paths {
        for line in fs::read_to_string(&path)?.lines() {
            let mut line: Value = serde_json::from_str(line)?;
            seeds.extend(line.get_mut("to").map(Value::take));
        }
    }
    ensure!(!seeds.is_empty(), "no messages in `{}`", folder.display());
    Ok(seeds)
}

fn shown(lines: &[Vec<u8>]) -> String {
    lines.iter().map(|it| String::from_utf8_lossy(it).chars().take(300).collect::<String>() + "\n").collect()
}

/// The worker that gets the messages.
struct Target {
    process: Child,
    stdin: ChildStdin,
    received: Receiver<Value>,
    n_probes: u64,
}

impl Target {
    fn start(worker: &Path, model: &str) -> Result<Self> {
        let mut process = Command::new(worker)
            .args(["serve", "--offline", "--model", model])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start `{}`", worker.display()))?;
        let stdin = process.stdin.take().context("stdin is piped")?;
        let stdout = BufReader::new(process.stdout.take().context("stdout is piped")?);
        let (hear, received) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // What is no JSON is found by the count.
                if hear.send(serde_json::from_str(&line).unwrap_or_default()).is_err() {
                    break;
                }
            }
        });
        let mut target = Self { process, stdin, received, n_probes: 0 };
        // The first message decides the protocol.
        target.probe(&mut HashMap::new())?;
        Ok(target)
    }

    fn send(&mut self, line: &[u8]) -> Result<()> {
        self.stdin.write_all(line).and_then(|()| self.stdin.write_all(b"\n")).context("the worker has ended")
    }

    /// Waits for the answers to all that was sent, and counts them.
    fn settle(&mut self, expected: &Expected) -> Result<usize> {
        let mut of_ids = HashMap::new();
        // The next request is answered, whatever came before.
        self.probe(&mut of_ids)?;
        let started = Instant::now();
        // Each is cancelled once: that must do.
        for id in expected.unanswered(&of_ids) {
            self.send(format!(r#"{{"jsonrpc":"2.0","method":"cancel","params":{{"id":{id}}}}}"#).as_bytes())?;
        }
        let total = |of_ids: &HashMap<String, usize>| of_ids.values().sum::<usize>();
        // An answer that may come can stand for one that must, so what has no answer yet is waited for a little longer.
        let lacks = |of_ids: &HashMap<String, usize>| {
            let is_early = started.elapsed() < GRACE && total(of_ids) < expected.most();
            total(of_ids) < expected.least() || (is_early && !expected.unanswered(of_ids).is_empty())
        };
        while lacks(&of_ids) {
            ensure!(
                started.elapsed() < PATIENCE,
                "expected {} answers or more, got {}: those without an answer are {:?}",
                expected.least(),
                total(&of_ids),
                expected.unanswered(&of_ids)
            );
            thread::sleep(PAUSE);
            self.probe(&mut of_ids)?;
        }
        while self.hear(AFTERMATH, &mut of_ids)?.is_some() {}
        match expected.fault(total(&of_ids), &of_ids) {
            Some(fault) => bail!(fault),
            None => Ok(total(&of_ids)),
        }
    }

    /// Asks for something and waits for the answer, while others are counted.
    fn probe(&mut self, of_ids: &mut HashMap<String, usize>) -> Result<()> {
        self.n_probes += 1;
        let id = json!(format!("probe {}", self.n_probes));
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": "status"}).to_string().as_bytes())?;
        let id = id.to_string();
        loop {
            let heard = self.hear(PATIENCE, of_ids)?.context("the worker does not answer any more")?;
            if heard.contains(&id) {
                of_ids.remove(&id);
                return Ok(());
            }
        }
    }

    /// The ids of the next message's answers, which are counted; `None` if nothing comes in this time.
    fn hear(&mut self, time: Duration, of_ids: &mut HashMap<String, usize>) -> Result<Option<Vec<String>>> {
        let message = match self.received.recv_timeout(time) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the worker ended: {}", self.process.wait()?),
        };
        let entries = match &message {
            Value::Array(entries) => entries.as_slice(),
            other => std::slice::from_ref(other),
        };
        let answers = entries.iter().filter(|it| it.get("method").is_none());
        let ids: Vec<String> = answers.map(|it| it["id"].to_string()).collect();
        for id in &ids {
            *of_ids.entry(id.clone()).or_default() += 1;
        }
        Ok(Some(ids))
    }

    /// Ends the worker, which it should do without an error.
    fn stop(mut self) -> Result<()> {
        drop(self.stdin);
        let status = self.process.wait()?;
        ensure!(status.success(), "the worker ended with {status}");
        Ok(())
    }
}
