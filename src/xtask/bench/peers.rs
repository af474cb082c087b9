//! `cargo xtask bench peers`: compares the worker with llama.cpp and mlx_lm, or with another worker.
//!
//! Each round starts every program anew and gives all of them the same tasks, one task after the other, so that other
//! load on the machine affects all alike; every second round takes the programs in the opposite order. The figures are
//! medians over rounds, and so are the ratios, each of two figures of the same round. All programs run on the same CPUs.
//! The prompt of a task is new in each round, so no program has it in its cache.

pub(super) mod child;
pub(super) mod fetch;
mod machine;
pub(super) mod program;
mod prompt;
mod results;
mod task;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use runabout_store::{NamedModel, named_models};

use self::machine::Machine;
use self::program::{Launch, MLX_LM_PREFILL_TOKENS, Program};
use self::prompt::PromptMaker;
use self::results::{ModelResults, Results};
use self::task::{Prompt, Task};
use crate::cargo::{build_release, build_worker};
use crate::setup;

/// The pause between two programs' turns, after which threads that spin for a while after work are asleep.
const SETTLE: Duration = Duration::from_millis(100);
/// What each program does before it is measured, so that pages are loaded and buffers allocated.
const WARM_UP: Task = Task::Decode { context: 32, n_tokens: 4 };
/// The largest model that mlx_lm is measured with.
const MLX_LM_MAX_BYTES: u64 = 200_000_000;

/// Arguments of `cargo xtask bench peers`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Named models.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES",
        default_value = "smollm2-135m,qwen2.5-coder-0.5b"
    )]
    models: Vec<String>,
    #[arg(long, value_name = "N", default_value = "5")]
    rounds: NonZeroUsize,
    /// The number of CPUs for the programs, each on its own core.
    #[arg(long, value_name = "N", default_value = "2")]
    threads: NonZeroUsize,
    /// The tokens in the cache before decoding.
    #[arg(long, value_delimiter = ',', value_name = "LENGTHS", default_value = "128,1024")]
    contexts: Vec<NonZeroUsize>,
    /// The number of tokens decoded after each context.
    #[arg(long, value_name = "N", default_value = "64")]
    decode: NonZeroUsize,
    /// The numbers of texts that are decoded together, after the first of the contexts.
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS", default_value = "4,8")]
    together: Vec<NonZeroUsize>,
    /// The lengths of the prompts with which prefill is measured.
    #[arg(long, value_delimiter = ',', value_name = "LENGTHS", default_value = "128,512,2048")]
    prompts: Vec<NonZeroUsize>,
    /// An existing worker to use instead of building one.
    #[arg(long, value_name = "PATH")]
    runabout: Option<PathBuf>,
    /// The precisions in which the worker is measured, besides its default.
    #[arg(long, value_delimiter = ',', value_name = "PRECISIONS", default_value = "int8")]
    precisions: Vec<String>,
    /// Do not measure mlx_lm.
    #[arg(long)]
    without_mlx_lm: bool,
    /// Compare with this other worker, such as one of an earlier commit, instead of with llama.cpp and mlx_lm.
    #[arg(long, value_name = "PATH")]
    against: Option<PathBuf>,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let models = args.models.iter().map(|it| named(it)).collect::<Result<Vec<_>>>()?;
    setup::run(root, &setup::Args::default())?;
    let existing =
        |path: &PathBuf| path.canonicalize().with_context(|| format!("no worker at `{}`", path.display()));
    let worker = args.runabout.as_ref().map_or_else(|| build_worker(root), existing)?;
    let against = args.against.as_ref().map(existing).transpose()?;
    let limits =
        build_release(root, &["--package", "runabout-kernels", "--example", "bench"], "examples/bench")?;

    let folder = root.join("target/bench");
    let peers = match against {
        Some(worker) => Peers::Worker(worker),
        None => Peers::Others { node: fetch::node(&folder)?, python: fetch::python(&folder)? },
    };
    // Building and fetching may use all CPUs; every process started from here on inherits the restriction.
    let machine = Machine::confine(args.threads)?;
    let mut results = Results::new(machine, machine::heading(&limits, args.threads)?, args.rounds.get());
    let bench = Bench { folder: &folder, worker: &worker, limits: &limits, peers };
    for model in models {
        let measured = bench.measure(model, args, results.machine())?;
        print!("{}", measured.table());
        results.push(measured);
        results.write(&folder.join("peers.json"))?;
    }
    println!("\n{}", results.closing());
    Ok(())
}

pub(super) fn named(name: &str) -> Result<&'static NamedModel> {
    let known = || named_models().iter().map(|it| format!("`{}`", it.name)).collect::<Vec<_>>().join(", ");
    named_models()
        .iter()
        .find(|it| it.name == name)
        .with_context(|| format!("expected the name of a model ({}), got `{name}`", known()))
}

/// The folder into which the worker converts a GGUF file.
pub(super) fn converted(worker: &Path, gguf: &Path, folder: &Path) -> Result<PathBuf> {
    let output = Command::new(worker)
        .args(["models", "pull"])
        .arg(gguf)
        .env("RUNABOUT_HOME", folder.join("home"))
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", worker.display()))?;
    ensure!(output.status.success(), "the worker cannot convert `{}`", gguf.display());
    // It prints the folder.
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// The programs and folders of a comparison.
struct Bench<'a> {
    folder: &'a Path,
    worker: &'a Path,
    limits: &'a Path,
    peers: Peers,
}

/// What the worker is compared with.
enum Peers {
    /// Another worker.
    Worker(PathBuf),
    /// llama.cpp, driven by the script `node`, and mlx_lm, in the environment of `python`.
    Others { node: PathBuf, python: PathBuf },
}

impl Bench<'_> {
    fn measure(&self, model: &'static NamedModel, args: &Args, machine: &Machine) -> Result<ModelResults> {
        let gguf = fetch::model(self.folder, model)?;
        let with_mlx_lm = matches!(self.peers, Peers::Others { .. })
            && !args.without_mlx_lm
            && model.n_bytes <= MLX_LM_MAX_BYTES;
        let tasks = tasks(args, with_mlx_lm);
        let launches = self.launches(&gguf, &tasks, args, with_mlx_lm)?;

        // A separate worker counts the tokens, so that the measured ones do nothing else.
        let worker = launches.first().context("the worker is the first of the programs")?;
        let mut prompts = PromptMaker::new(worker.start_worker()?);
        let mut results = ModelResults::new(model, &gguf, tasks.clone(), &launches)?;
        // mlx_lm takes long to fill a context, so it runs through all rounds.
        let mut programs: Vec<Option<Program>> = launches.iter().map(|_| None).collect();
        for round in 1..=args.rounds.get() {
            eprintln!("bench: {}, round {round} of {}", model.name, args.rounds);
            results.push_bandwidth(machine::bandwidth(self.limits, args.threads)?);
            let order = order(launches.len(), round);
            for &i in &order {
                let launch = &launches[i];
                if programs[i].is_none() {
                    thread::sleep(SETTLE);
                    let started = launch.start()?;
                    results.push_start(i, &started);
                    programs[i] = Some(started);
                }
            }
            let mut measuring =
                Round { programs: &mut programs, launches: &launches, order: &order, machine };
            measuring.run(&tasks, &mut prompts, &mut results)?;
            for (i, (launch, slot)) in launches.iter().zip(&mut programs).enumerate() {
                if round == args.rounds.get() || !launch.is_slow() {
                    let program = slot.take().context("every program was started in this round")?;
                    results.push_peak_bytes(i, program.peak_bytes()?);
                    program.stop()?;
                }
            }
        }
        Ok(results)
    }

    /// The programs: the worker in each precision, then its peers.
    fn launches(&self, gguf: &Path, tasks: &[Task], args: &Args, with_mlx_lm: bool) -> Result<Vec<Launch>> {
        let converted = converted(self.worker, gguf, self.folder)?;
        let precisions = || std::iter::once(None).chain(args.precisions.iter().map(|it| Some(it.as_str())));
        let workers = |program: &Path, name: &str| -> Vec<Launch> {
            let log = || self.folder.join("runabout.log");
            precisions().map(|it| Launch::runabout(program, name, &converted, it, log())).collect()
        };
        let mut launches = workers(self.worker, "runabout");
        match &self.peers {
            Peers::Worker(program) => {
                launches.extend(workers(program, "the other").into_iter().map(Launch::into_peer));
            }
            Peers::Others { node, python } => {
                let n_context = tasks.iter().map(|it| it.n_tokens_in_all()).max().unwrap_or_default();
                let llama = |gguf: &Path, name| {
                    let log = self.folder.join("llama.log");
                    Launch::llama(node, gguf, args.threads.get(), n_context, name, log)
                };
                launches.push(llama(gguf, "llama.cpp"));
                if let Some(requantized) = fetch::requantized(self.folder, python, gguf)? {
                    launches.push(llama(&requantized, "llama.cpp, Q4_0"));
                }
                if with_mlx_lm {
                    launches.push(Launch::mlx_lm(python, &converted, self.folder, None)?);
                    // Half precision takes mlx_lm several times longer on a CPU.
                    launches.push(Launch::mlx_lm(python, &converted, self.folder, Some("float32"))?);
                }
            }
        }
        Ok(launches)
    }
}

/// The order in which a round takes `n` programs.
fn order(n: usize, round: usize) -> Vec<usize> {
    if round.is_multiple_of(2) { (0..n).rev().collect() } else { (0..n).collect() }
}

/// One round of all tasks.
struct Round<'a> {
    programs: &'a mut [Option<Program>],
    launches: &'a [Launch],
    order: &'a [usize],
    machine: &'a Machine,
}

impl Round<'_> {
    /// Runs all tasks, each with every program in turn.
    fn run(&mut self, tasks: &[Task], prompts: &mut PromptMaker, results: &mut ModelResults) -> Result<()> {
        for (task_idx, task) in std::iter::once(&WARM_UP).chain(tasks).enumerate() {
            let prompt: Prompt = prompts.make(task.n_prompt_tokens())?;
            for &i in self.order {
                let launch = &self.launches[i];
                let (Some(program), Some(task)) = (&mut self.programs[i], launch.share_of(*task)) else {
                    continue;
                };
                thread::sleep(SETTLE);
                let before = self.machine.times(program)?;
                let sample = program
                    .measure(task, &prompt)
                    .with_context(|| format!("{} failed at {task}", launch.name()))?;
                let taken = self.machine.times(program)?.taken_since(before);
                if let Some(measured_idx) = task_idx.checked_sub(1) {
                    results.push_sample(i, measured_idx, sample, taken);
                }
            }
        }
        Ok(())
    }
}

/// The tasks, in the order of the table.
fn tasks(args: &Args, with_mlx_lm: bool) -> Vec<Task> {
    let decode =
        args.contexts.iter().map(|it| Task::Decode { context: it.get(), n_tokens: args.decode.get() });
    let small = with_mlx_lm.then_some(Task::Prefill { n_tokens: MLX_LM_PREFILL_TOKENS });
    let together = args.contexts.first().into_iter().flat_map(|context| {
        args.together.iter().map(|n_texts| Task::DecodeTogether {
            n_texts: n_texts.get(),
            context: context.get(),
            n_tokens: args.decode.get(),
        })
    });
    let prefill = args.prompts.iter().map(|it| Task::Prefill { n_tokens: it.get() });
    decode.chain(together).chain(small).chain(prefill).collect()
}
