//! A program that serves, under test: [`Program`], with its [`Ledger`] and what it holds of the system.

mod ledger;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use self::ledger::{Check, Ledger};

/// A program that does not answer, or does not end, for this long has lost something.
const PATIENCE: Duration = Duration::from_mins(3);
/// What a process wrote before it ended has been read after this time.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(5);

pub(crate) struct Program {
    pub(crate) name: &'static str,
    process: Child,
    stdin: Option<ChildStdin>,
    ledger: Arc<Mutex<Ledger>>,
    n_requests: u64,
    log: PathBuf,
    /// Its output is read once this is gone.
    held_back: Option<Sender<()>>,
    /// The time between two bytes that are written to it.
    pub(crate) pace: Duration,
}

/// What a process holds of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Resident memory, mapped files included.
    pub(crate) bytes: u64,
    pub(crate) n_descriptors: usize,
    pub(crate) n_threads: u64,
}

impl Program {
    /// Starts a program that writes its log to a file.
    pub(crate) fn start(name: &'static str, command: Command, log: &Path) -> Result<Self> {
        let mut program = Self::start_unread(name, command, log)?;
        program.read();
        Ok(program)
    }

    /// The same for one whose output nobody reads before [`Self::read`].
    pub(crate) fn start_unread(name: &'static str, mut command: Command, log: &Path) -> Result<Self> {
        let stderr = fs::File::create(log).with_context(|| format!("cannot create `{}`", log.display()))?;
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot start `{}`", command.get_program().display()))?;
        let stdin = process.stdin.take();
        let stdout = BufReader::new(process.stdout.take().context("stdout is piped")?);
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let hears = Arc::clone(&ledger);
        let (held_back, begin) = channel();
        thread::spawn(move || {
            // Nothing is ever sent.
            let _ = begin.recv();
            for line in stdout.lines().map_while(Result::ok) {
                lock(&hears).hear(&line);
            }
        });
        Ok(Self {
            name,
            process,
            stdin,
            ledger,
            n_requests: 0,
            log: log.to_owned(),
            held_back: Some(held_back),
            pace: Duration::ZERO,
        })
    }

    /// Begins to read its output.
    pub(crate) fn read(&mut self) {
        self.held_back = None;
    }

    /// Sends a request and waits for the whole message that answers it.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Result<Value> {
        let id = self.request(method, params)?;
        self.answer(id)
    }

    /// Sends a request of which [`Self::answer`] gives the answer, and returns its id.
    pub(crate) fn request(&mut self, method: &str, params: &Value) -> Result<u64> {
        self.ledger().keep(self.n_requests + 1);
        self.ask(method, params, |_| Ok(()))
    }

    /// Waits for the whole message that answers a request.
    pub(crate) fn answer(&mut self, id: u64) -> Result<Value> {
        self.wait("an answer", |ledger| ledger.take(id))
    }

    /// Waits until a part of the text of a request has come, or its answer.
    pub(crate) fn wait_for_text(&mut self, id: u64) -> Result<()> {
        self.wait("a text", |it| it.has_begun(id).then_some(()))
    }

    /// Sends a request and returns its id.
    pub(crate) fn ask(&mut self, method: &str, params: &Value, check: Check) -> Result<u64> {
        self.n_requests += 1;
        let id = self.n_requests;
        self.ledger().ask(id, check);
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        Ok(id)
    }

    pub(crate) fn notify(&mut self, method: &str, params: &Value) -> Result<()> {
        self.write(&json!({"jsonrpc": "2.0", "method": method, "params": params}))
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// Waits until everything has been answered.
    pub(crate) fn settle(&mut self) -> Result<()> {
        self.wait("all answers", |it| (it.n_open() == 0).then_some(()))
    }

    /// Waits until `found` finds something in the ledger.
    fn wait<T>(&mut self, what: &str, mut found: impl FnMut(&mut Ledger) -> Option<T>) -> Result<T> {
        let started = Instant::now();
        loop {
            // Read first: what it wrote before it ended counts.
            let ended = self.process.try_wait()?;
            if let Some(it) = found(&mut self.ledger()) {
                return Ok(it);
            }
            let n_open = self.ledger().n_open();
            if let Some(status) = ended.filter(|_| started.elapsed() > LAST_WORDS) {
                bail!("{} ended with {status}, and {n_open} requests have no answer", self.name);
            }
            ensure!(started.elapsed() < PATIENCE, "{}: {what} never came, of {n_open} open", self.name);
            thread::sleep(PAUSE);
        }
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has written to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    pub(crate) fn held(&self) -> Result<Held> {
        let [kibibytes, n_threads] = self.numbers(["VmRSS:", "Threads:"])?;
        let n_descriptors = fs::read_dir(format!("/proc/{}/fd", self.process.id()))?.count();
        Ok(Held { bytes: 1024 * kibibytes, n_descriptors, n_threads })
    }

    /// What the system says about the process, by these names.
    fn numbers<const N: usize>(&self, names: [&str; N]) -> Result<[u64; N]> {
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(&path)?;
        let mut numbers = [0; N];
        for (number, name) in numbers.iter_mut().zip(names) {
            let value = status.lines().find_map(|it| it.strip_prefix(name)?.split_whitespace().next());
            *number =
                value.and_then(|it| it.parse().ok()).with_context(|| format!("no `{name}` in `{path}`"))?;
        }
        Ok(numbers)
    }

    /// The size of its address space.
    pub(crate) fn virtual_bytes(&self) -> Result<u64> {
        Ok(1024 * self.numbers(["VmSize:"])?[0])
    }

    /// Closes the input and waits for the process to end, which it should without an error.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let status = self.end()?;
        ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(())
    }

    /// Closes the input and waits for the process to end.
    pub(crate) fn end(&mut self) -> Result<ExitStatus> {
        drop(self.stdin.take());
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            ensure!(started.elapsed() < PATIENCE, "{} does not end after its input has ended", self.name);
            thread::sleep(PAUSE);
        }
    }

    fn write(&mut self, message: &Value) -> Result<()> {
        let stdin = self.stdin.as_mut().context("the program has been stopped")?;
        let line = format!("{message}\n");
        let pieces = if self.pace.is_zero() { line.len() } else { 1 };
        for piece in line.as_bytes().chunks(pieces) {
            stdin.write_all(piece).with_context(|| format!("{} has ended", self.name))?;
            thread::sleep(self.pace);
        }
        Ok(())
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
