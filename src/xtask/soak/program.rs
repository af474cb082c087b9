//! A program under soak: [`Program`], with its [`Ledger`] and what it holds of the system.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::ledger::{Check, Ledger};

/// A program that does not answer, or does not end, for this long has lost something.
const PATIENCE: Duration = Duration::from_mins(3);

pub(super) struct Program {
    pub(super) name: &'static str,
    process: Child,
    stdin: Option<ChildStdin>,
    ledger: Arc<Mutex<Ledger>>,
    n_requests: u64,
}

/// What a process holds of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Resident memory, mapped files included.
    pub(super) bytes: u64,
    pub(super) n_descriptors: usize,
    pub(super) n_threads: u64,
}

impl Program {
    pub(super) fn start(name: &'static str, worker: &Path, args: &[&str], log: &Path) -> Result<Self> {
        let stderr = fs::File::create(log).with_context(|| format!("cannot create `{}`", log.display()))?;
        let mut process = Command::new(worker)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot start `{}`", worker.display()))?;
        let stdin = process.stdin.take();
        let stdout = BufReader::new(process.stdout.take().context("stdout is piped")?);
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let hears = Arc::clone(&ledger);
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                lock(&hears).hear(&line);
            }
        });
        Ok(Self { name, process, stdin, ledger, n_requests: 0 })
    }

    /// Sends a request and returns its id.
    pub(super) fn ask(&mut self, method: &str, params: &Value, check: Check) -> Result<u64> {
        self.n_requests += 1;
        let id = self.n_requests;
        self.ledger().ask(id, check);
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        Ok(id)
    }

    pub(super) fn notify(&mut self, method: &str, params: &Value) -> Result<()> {
        self.write(&json!({"jsonrpc": "2.0", "method": method, "params": params}))
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// Waits until everything has been answered.
    pub(super) fn settle(&mut self) -> Result<()> {
        let started = Instant::now();
        while self.ledger().n_open() > 0 {
            let n_open = self.ledger().n_open();
            ensure!(started.elapsed() < PATIENCE, "{}: {n_open} requests were never answered", self.name);
            if let Some(status) = self.process.try_wait()? {
                bail!("{} ended with {status} before it had answered {n_open} requests", self.name);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub(super) fn held(&self) -> Result<Held> {
        let folder = format!("/proc/{}", self.process.id());
        let status = fs::read_to_string(format!("{folder}/status"))?;
        let n_descriptors = fs::read_dir(format!("{folder}/fd"))?.count();
        let number = |key: &str| {
            let value = status.lines().find_map(|it| it.strip_prefix(key))?;
            value.split_whitespace().next()?.parse::<u64>().ok()
        };
        let (Some(kibibytes), Some(n_threads)) = (number("VmRSS:"), number("Threads:")) else {
            bail!("no `VmRSS` or `Threads` in `{folder}/status`");
        };
        Ok(Held { bytes: 1024 * kibibytes, n_descriptors, n_threads })
    }

    /// Closes the input and waits for the process to end, which it should without an error.
    pub(super) fn stop(&mut self) -> Result<()> {
        drop(self.stdin.take());
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                ensure!(status.success(), "{} ended with {status}", self.name);
                return Ok(());
            }
            ensure!(started.elapsed() < PATIENCE, "{} does not end after its input has ended", self.name);
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn write(&mut self, message: &Value) -> Result<()> {
        let stdin = self.stdin.as_mut().context("the program has been stopped")?;
        writeln!(stdin, "{message}").with_context(|| format!("{} has ended", self.name))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only if the process has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
