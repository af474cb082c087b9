//! `cargo xtask bench completion`: the quality of completions, compared with llama.cpp's on the same weights.
//!
//! Both programs get the same holes, which are cut from real source files; both are greedy, with the same limit of
//! tokens. The worker is asked as an editor asks it, again in block mode if the hole is a block, and again as if the
//! file had CRLF line ends. llama.cpp, through node-llama-cpp, uses the model's fill-in-the-middle tokens, or continues
//! the prefix if there are none. The results do not depend on the machine's load.

mod context;
pub(super) mod corpus;
mod curve;
mod holes;
mod peer;
mod score;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use self::holes::{Hole, Kind, Split};
use self::peer::Peer;
use self::score::{Answer, Scores};
use super::peers::program::{Launch, Worker};
use super::peers::{converted, fetch, named};
use crate::cargo::build_worker;
use crate::setup;

/// Arguments of `cargo xtask bench completion`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Named models.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES",
        default_value = "qwen2.5-coder-0.5b,smollm2-135m"
    )]
    models: Vec<String>,
    /// The number of holes, for all languages together.
    #[arg(long, value_name = "N", default_value = "240")]
    holes: NonZeroUsize,
    /// Which holes: those to report on, or those for tuning rules.
    #[arg(long, value_enum, default_value = "report")]
    split: Split,
    /// The most tokens that a program may generate for a hole.
    #[arg(long, value_name = "N", default_value = "64")]
    max_tokens: NonZeroUsize,
    /// The number of CPUs that the programs use. On a busy machine, one may be faster than two that wait for each
    /// other.
    #[arg(long, value_name = "N", default_value = "2")]
    threads: NonZeroUsize,
    /// An existing worker to use instead of building one.
    #[arg(long, value_name = "PATH")]
    runabout: Option<PathBuf>,
    /// Ask only one program. Answers of llama.cpp are kept in any case.
    #[arg(long, value_enum)]
    only: Option<Program>,
    /// Additional parameters for each `complete`, such as `{"rules": {"off": ["suffix"]}}`.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    params: String,
    #[command(flatten)]
    context: context::Options,
    /// Only write the holes to target/bench, and ask no program.
    #[arg(long)]
    cut_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Program {
    Runabout,
    Llama,
}

impl Args {
    fn asks(&self, program: Program) -> bool {
        self.only.is_none_or(|only| only == program)
    }
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let folder = root.join("target/bench");
    fs::create_dir_all(&folder)?;
    let sources = corpus::sources(&folder)?;
    let holes = holes::cut(&sources, args.split, args.holes.get());
    let listed: Vec<Value> = holes.iter().map(hole_json).collect();
    // Each split has its own file, so that tuning does not reveal the holes of a report.
    let file = format!("holes-{}.json", args.split.name());
    fs::write(folder.join(&file), serde_json::to_string_pretty(&listed)? + "\n")?;
    if args.context.is_given() {
        context::write_projects(&folder, &sources)?;
        if args.cut_only {
            return context::choose_only(&folder, &holes, &args.context);
        }
        let worker = worker(root, args)?;
        for name in &args.models {
            let model = converted(&worker, &fetch::model(&folder, named(name)?)?, &folder)?;
            let launch = Launch::runabout(&worker, "runabout", &model, None, folder.join("runabout.log"));
            context::compare(&folder, name, &launch, &holes, args.max_tokens.get(), &args.context)?;
        }
        return Ok(());
    }
    if args.cut_only {
        println!("{} holes: target/bench/{file}", holes.len());
        return Ok(());
    }
    let params: Value = serde_json::from_str(&args.params).context("`--params` is not JSON")?;
    let worker = args.asks(Program::Runabout).then(|| worker(root, args)).transpose()?;
    let mut report = Vec::new();
    for name in &args.models {
        let named = named(name)?;
        let gguf = fetch::model(&folder, named)?;
        let mut columns = Vec::new();
        if let Some(worker) = &worker {
            let model = converted(worker, &gguf, &folder)?;
            let launch = Launch::runabout(worker, "runabout", &model, None, folder.join("runabout.log"));
            let mut program = launch.start_worker()?;
            let answers = ask(&holes, "runabout", |hole| complete(&mut program, hole, args, &params))?;
            columns.push(Scores::new("runabout".to_owned(), &holes, answers));
            program.stop()?;
        }
        if args.asks(Program::Llama) {
            let mut peer = Peer::open(&folder, named.sha256, &gguf, args.max_tokens, args.threads)?;
            let answers = ask(&holes, "llama.cpp", |hole| peer.answer(hole))?;
            columns.push(Scores::new("llama.cpp".to_owned(), &holes, answers));
            peer.stop()?;
        }
        print!("{}", score::table(name, &columns, &holes));
        report.push(json!({
            "model": name,
            "programs": columns.iter().map(|it| it.json(&holes)).collect::<Vec<_>>(),
        }));
        let json = json!({
            "date": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            "split": args.split.name(),
            "max_tokens": args.max_tokens,
            "params": params,
            "models": report,
        });
        fs::write(folder.join("completion.json"), serde_json::to_string_pretty(&json)? + "\n")?;
    }
    println!(
        "\n{} holes, greedy, at most {} tokens. \
        All answers: target/bench/completion.json",
        holes.len(),
        args.max_tokens
    );
    Ok(())
}

fn worker(root: &Path, args: &Args) -> Result<PathBuf> {
    setup::run(root, &setup::Args::default())?;
    match &args.runabout {
        Some(path) => path.canonicalize().with_context(|| format!("no worker at `{}`", path.display())),
        None => build_worker(root),
    }
}

fn hole_json(hole: &Hole) -> Value {
    json!({
        "language": hole.language,
        "path": hole.path,
        "kind": hole.kind.name(),
        "in_word": hole.in_word,
        "prefix": hole.prefix,
        "suffix": hole.suffix,
        "truth": hole.truth,
    })
}

fn ask(holes: &[Hole], name: &str, mut ask: impl FnMut(&Hole) -> Result<Answer>) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for (i, hole) in holes.iter().enumerate() {
        if i % 20 == 0 {
            eprintln!("bench: {name}, hole {} of {}", i + 1, holes.len());
        }
        answers.push(ask(hole).with_context(|| format!("{name} failed in `{}`", hole.path))?);
    }
    Ok(answers)
}

/// Asks the worker as an editor does, and also in block mode if the hole is a block.
fn complete(worker: &mut Worker, hole: &Hole, args: &Args, more: &Value) -> Result<Answer> {
    let mut params = json!({
        "prefix": hole.prefix, "suffix": hole.suffix, "path": hole.path,
        "max_tokens": args.max_tokens, "stream": false,
    });
    if let (Some(params), Some(more)) = (params.as_object_mut(), more.as_object()) {
        params.extend(more.clone());
    }
    let result = worker.call("complete", &params)?;
    let text = |result: &Value| result["text"].as_str().map(str::to_owned).context("a result has a text");
    let block = if hole.kind == Kind::Block {
        params["mode"] = json!("block");
        Some(text(&worker.call("complete", &params)?)?)
    } else {
        None
    };
    for field in ["prefix", "suffix"] {
        params[field] = params[field].as_str().map(|it| it.replace('\n', "\r\n")).into();
    }
    params["mode"] = json!("auto");
    let in_crlf = Some(text(&worker.call("complete", &params)?)?);
    let reason = result["rule"].as_str().or(result["finish_reason"].as_str());
    Ok(Answer {
        text: text(&result)?,
        block,
        in_crlf,
        n_tokens: result["usage"]["completion_tokens"].as_u64().context("a result has its usage")?,
        reason: reason.unwrap_or_default().to_owned(),
        confidence: result["confidence"].as_f64(),
    })
}
