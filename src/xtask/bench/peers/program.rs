//! A common interface for the programs of a comparison: start, measure, stop.
//!
//! The worker speaks JSON-RPC, and its times are wall-clock times at the client, so they include the pipe, the
//! tokenizer and the server. llama.cpp and mlx_lm have drivers, which time only the evaluation.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::child::Child;
use super::task::{Prompt, Sample, Task};

/// With a new prompt, the worker may still have the tokens in its cache with which every text begins.
const MAX_CACHED: u64 = 4;

/// The longest prefill that mlx_lm takes part in: on a CPU it takes minutes for what the others do in a second.
pub(super) const MLX_LM_PREFILL_TOKENS: usize = 32;
/// The name of mlx_lm's column, which that of a data type may follow.
pub(super) const MLX_LM: &str = "mlx_lm";
/// The most tokens that mlx_lm decodes.
const MLX_LM_DECODE_TOKENS: usize = 8;

/// How to start a program.
pub(in crate::bench) struct Launch {
    name: String,
    kind: Kind,
    /// Of a worker; `None` is its default, or another program.
    precision: Option<String>,
    is_peer: bool,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Worker,
    Driver,
    SlowDriver,
}

impl Launch {
    /// Without a `precision`, the worker uses its default.
    pub(in crate::bench) fn runabout(
        worker: &Path,
        name: &str,
        model: &Path,
        precision: Option<&str>,
        log: PathBuf,
    ) -> Self {
        let arguments = ["serve", "--offline", "--model"].map(str::to_owned).into_iter();
        let precision_option = precision.into_iter().flat_map(|it| ["--precision".to_owned(), it.to_owned()]);
        let arguments = arguments.chain([model.display().to_string()]).chain(precision_option).collect();
        let precision = precision.map(str::to_owned);
        let name = precision.as_ref().map_or_else(|| name.to_owned(), |it| format!("{name}, {it}"));
        Self {
            name,
            kind: Kind::Worker,
            precision,
            is_peer: false,
            program: worker.to_owned(),
            arguments,
            log,
        }
    }

    /// A worker that another one is compared with.
    pub(super) fn into_peer(self) -> Self {
        Self { is_peer: true, ..self }
    }

    pub(super) fn llama(
        driver: &Path,
        gguf: &Path,
        n_threads: usize,
        n_context: usize,
        name: &str,
        log: PathBuf,
    ) -> Self {
        let paths = [driver, gguf].map(|it| it.display().to_string());
        let arguments = paths.into_iter().chain([n_threads, n_context].map(|it| it.to_string())).collect();
        Self {
            name: name.to_owned(),
            kind: Kind::Driver,
            precision: None,
            is_peer: true,
            program: "node".into(),
            arguments,
            log,
        }
    }

    /// With a `dtype`, what is not quantized is converted to it first.
    pub(super) fn mlx_lm(python: &Path, model: &Path, folder: &Path, dtype: Option<&str>) -> Result<Self> {
        let driver = folder.join("mlx_driver.py");
        fs::write(&driver, include_str!("mlx_driver.py"))?;
        let paths = [&driver, model].map(|it| it.display().to_string());
        let arguments = paths.into_iter().chain(dtype.map(str::to_owned)).collect();
        let name = dtype.map_or_else(|| MLX_LM.to_owned(), |it| format!("{MLX_LM}, {it}"));
        let log = folder.join("mlx_lm.log");
        Ok(Self {
            name,
            kind: Kind::SlowDriver,
            precision: None,
            is_peer: true,
            program: python.to_owned(),
            arguments,
            log,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether its figures are compared with those of `own`, which is one of the workers under test: one worker is
    /// compared with the other in the same precision only.
    pub(super) fn is_peer_of(&self, own: &Launch) -> bool {
        let is_comparable = self.kind != Kind::Worker || self.precision == own.precision;
        self.is_peer && !own.is_peer && is_comparable
    }

    pub(super) fn is_slow(&self) -> bool {
        self.kind == Kind::SlowDriver
    }

    /// What this program does of a task: a slow one gets a smaller task, or none.
    pub(super) fn share_of(&self, task: Task) -> Option<Task> {
        match task {
            Task::DecodeTogether { .. } => (self.kind == Kind::Worker).then_some(task),
            _ if !self.is_slow() => Some(task),
            Task::Decode { context, n_tokens } if context <= 128 => {
                Some(Task::Decode { context, n_tokens: n_tokens.min(MLX_LM_DECODE_TOKENS) })
            }
            Task::Prefill { n_tokens } if n_tokens <= MLX_LM_PREFILL_TOKENS => Some(task),
            _ => None,
        }
    }

    /// Returns when the program is ready for work.
    pub(super) fn start(&self) -> Result<Program> {
        let start = Instant::now();
        let (interface, about) = if self.kind == Kind::Worker {
            let mut worker = self.start_worker()?;
            let about = json!({"server": worker.about.take(), "precision": worker.precision()?});
            (Interface::Worker(worker), about)
        } else {
            let mut child = self.child()?;
            let about = child.receive().with_context(|| format!("{} does not start", self.name))?;
            (Interface::Driver(child), about)
        };
        Ok(Program { interface, ready_in: start.elapsed(), about })
    }

    /// Starts the worker and waits until it is ready.
    pub(in crate::bench) fn start_worker(&self) -> Result<Worker> {
        Worker::open(self.child()?).with_context(|| format!("{} does not start", self.name))
    }

    fn child(&self) -> Result<Child> {
        Child::start(Command::new(&self.program).args(&self.arguments), &self.log)
    }
}

/// A program that is ready for work.
pub(super) struct Program {
    interface: Interface,
    pub(super) ready_in: Duration,
    /// What the program reports about itself.
    pub(super) about: Value,
}

enum Interface {
    Worker(Worker),
    Driver(Child),
}

impl Program {
    pub(super) fn measure(&mut self, task: Task, prompt: &Prompt) -> Result<Sample> {
        match &mut self.interface {
            Interface::Worker(worker) => worker.measure(task, prompt),
            Interface::Driver(child) => drive(child, task, prompt),
        }
    }

    pub(super) fn peak_bytes(&self) -> Result<u64> {
        self.child().peak_bytes()
    }

    /// The time that it has had on CPUs.
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        self.child().cpu_time()
    }

    fn child(&self) -> &Child {
        match &self.interface {
            Interface::Worker(worker) => &worker.child,
            Interface::Driver(child) => child,
        }
    }

    pub(super) fn stop(self) -> Result<()> {
        match self.interface {
            Interface::Worker(worker) => worker.child.stop(),
            Interface::Driver(child) => child.stop(),
        }
    }
}

fn drive(child: &mut Child, task: Task, prompt: &Prompt) -> Result<Sample> {
    let (op, n_tokens) = match task {
        Task::Decode { n_tokens, .. } | Task::DecodeTogether { n_tokens, .. } => ("decode", n_tokens),
        Task::Prefill { n_tokens } => ("prefill", n_tokens),
    };
    child.send(&json!({"op": op, "text": prompt.text, "n_tokens": n_tokens}))?;
    let answer = child.receive()?;
    let count = |key: &str| answer[key].as_u64().and_then(|it| usize::try_from(it).ok());
    ensure!(
        count("n_prompt_tokens") == Some(prompt.n_tokens),
        "expected a prompt of {} tokens, got {answer}",
        prompt.n_tokens
    );
    let seconds = answer["seconds"].as_f64().context("a driver answers with seconds")?;
    Ok(Sample { n_tokens: count("n_tokens").unwrap_or_default(), seconds, own_seconds: None })
}

/// The worker, as a JSON-RPC server.
pub(in crate::bench) struct Worker {
    child: Child,
    n_requests: u64,
    /// Its name and version.
    about: Value,
}

impl Worker {
    /// Waits until the model is loaded. The worker reports that only after it knows the client's framing, hence the
    /// request.
    fn open(mut child: Child) -> Result<Self> {
        child.send(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}}))?;
        let (mut about, mut is_ready) = (None, false);
        loop {
            let mut message = child.receive()?;
            match message["params"]["state"].as_str() {
                Some("ready") => is_ready = true,
                Some("failed") => bail!("the model does not load: {}", message["params"]),
                _ if message["id"] == 0 => about = Some(message["result"]["server"].take()),
                _ => {}
            }
            if is_ready && let Some(about) = about.take() {
                return Ok(Self { child, n_requests: 0, about });
            }
        }
    }

    pub(in crate::bench) fn call(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.n_requests += 1;
        let id = self.n_requests;
        self.child.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        loop {
            let mut message = self.child.receive()?;
            if message["id"] == id {
                ensure!(message.get("error").is_none(), "`{method}` failed: {}", message["error"]);
                return Ok(message["result"].take());
            }
        }
    }

    /// Closes the input and waits for the process to end.
    pub(in crate::bench) fn stop(self) -> Result<()> {
        self.child.stop()
    }

    /// The precision that it has chosen, or was given.
    fn precision(&mut self) -> Result<Value> {
        Ok(self.call("status", &json!({}))?["model"]["precision"].take())
    }

    fn measure(&mut self, task: Task, prompt: &Prompt) -> Result<Sample> {
        let max_tokens = task.n_tokens_in_all() - prompt.n_tokens;
        let n = if let Task::DecodeTogether { n_texts, .. } = task { n_texts } else { 1 };
        let params = json!({
            "prefix": prompt.text, "mode": "raw", "max_tokens": max_tokens, "temperature": 0, "n": n,
            "stream": false, "speculation": "off",
        });
        let start = Instant::now();
        let result = self.call("complete", &params)?;
        let seconds = start.elapsed().as_secs_f64();
        sample(task, prompt, seconds, &result)
    }
}

/// The sample of `task` from a `complete` that took `seconds`.
fn sample(task: Task, prompt: &Prompt, seconds: f64, result: &Value) -> Result<Sample> {
    let count = |key: &str| result["usage"][key].as_u64().with_context(|| format!("no `usage.{key}`"));
    let timing = |key: &str| {
        let milliseconds = result["timing"][key].as_f64().with_context(|| format!("no `timing.{key}`"))?;
        Ok::<f64, anyhow::Error>(milliseconds / 1e3)
    };
    let (n_prompt, n_cached) = (count("prompt_tokens")?, count("cached_tokens")?);
    ensure!(
        n_prompt == prompt.n_tokens as u64,
        "expected a prompt of {} tokens, got {n_prompt}",
        prompt.n_tokens
    );
    ensure!(
        n_cached <= MAX_CACHED,
        "expected a prompt that is not in the cache, got {n_cached} tokens of it"
    );
    Ok(match task {
        Task::Prefill { .. } => Sample {
            n_tokens: usize::try_from(n_prompt - n_cached)?,
            seconds,
            own_seconds: Some(timing("prefill_ms")?),
        },
        Task::Decode { n_tokens, .. } | Task::DecodeTogether { n_tokens, .. } => {
            let n_texts = if let Task::DecodeTogether { n_texts, .. } = task { n_texts } else { 1 };
            let n_drawn = usize::try_from(count("completion_tokens")?)?;
            // With few rounds, a text that ended early counts too, with the tokens that it has.
            ensure!(
                n_drawn > n_texts * (n_tokens / 4 + 1),
                "expected {n_tokens} tokens, got {n_drawn}: the model ended the text"
            );
            Sample {
                n_tokens: n_drawn - n_texts,
                seconds: seconds - timing("first_token_ms")?,
                own_seconds: Some(timing("decode_ms")?),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn result(n_cached: u64, n_drawn: u64) -> Value {
        json!({
            "usage": {"prompt_tokens": 128, "cached_tokens": n_cached, "completion_tokens": n_drawn},
            "timing": {"prefill_ms": 400.0, "first_token_ms": 500.0, "decode_ms": 950.0},
        })
    }

    fn prompt() -> Prompt {
        Prompt { text: String::new(), n_tokens: 128 }
    }

    #[test]
    fn decoding_is_timed_from_the_first_token_to_the_answer() {
        let task = Task::Decode { context: 128, n_tokens: 64 };
        let sample = sample(task, &prompt(), 1.5, &result(0, 65)).unwrap();
        assert_eq!((sample.n_tokens, sample.seconds, sample.own_seconds), (64, 1.0, Some(0.95)));
        assert!((sample.tokens_per_second() - 64.0).abs() < 1e-9);
    }

    #[test]
    fn prefill_is_timed_from_the_request_to_the_answer_and_leaves_out_what_was_cached() {
        let task = Task::Prefill { n_tokens: 128 };
        let sample = sample(task, &prompt(), 0.5, &result(3, 1)).unwrap();
        assert_eq!((sample.n_tokens, sample.seconds, sample.own_seconds), (125, 0.5, Some(0.4)));
    }

    #[test]
    fn a_cached_prompt_another_length_and_a_short_text_are_refused() {
        let task = Task::Decode { context: 128, n_tokens: 64 };
        let refusal =
            |prompt: &Prompt, result: &Value| sample(task, prompt, 1.5, result).unwrap_err().to_string();
        assert!(refusal(&prompt(), &result(100, 65)).contains("got 100 tokens of it"));
        assert!(refusal(&prompt(), &result(0, 3)).contains("the model ended the text"));
        let longer = Prompt { n_tokens: 129, ..prompt() };
        assert_eq!(refusal(&longer, &result(0, 65)), "expected a prompt of 129 tokens, got 128");
    }

    #[test]
    fn workers_are_compared_in_the_same_precision_and_others_with_all() {
        let path = Path::new("x");
        let worker = |precision| Launch::runabout(path, "runabout", path, precision, path.into());
        let (own, own_int8) = (worker(None), worker(Some("int8")));
        let (before, before_int8) = (worker(None).into_peer(), worker(Some("int8")).into_peer());
        assert!(before.is_peer_of(&own) && before_int8.is_peer_of(&own_int8));
        assert!(!before.is_peer_of(&own_int8) && !own_int8.is_peer_of(&own));
        let llama = Launch::llama(path, path, 2, 512, "llama.cpp", path.into());
        assert!(llama.is_peer_of(&own) && llama.is_peer_of(&own_int8) && !llama.is_peer_of(&before));
    }

    #[test]
    fn the_slow_program_gets_small_tasks_only() {
        let folder = tempfile::tempdir().unwrap();
        let slow = Launch::mlx_lm(Path::new("python"), Path::new("model"), folder.path(), None).unwrap();
        let decode = |context, n_tokens| Task::Decode { context, n_tokens };
        assert_eq!(slow.share_of(decode(128, 64)), Some(decode(128, 8)));
        assert_eq!(slow.share_of(decode(1_024, 64)), None);
        assert_eq!(slow.share_of(Task::Prefill { n_tokens: 512 }), None);
        let small = Task::Prefill { n_tokens: 32 };
        assert_eq!(slow.share_of(small), Some(small));
    }
}
