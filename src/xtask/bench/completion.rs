//! `cargo xtask bench completion`: how good completions are, beside llama.cpp's on the same weights.
//!
//! Both programs get the same holes, cut from real source files; both are greedy and may draw as many tokens. The worker
//! is asked as editors ask it; llama.cpp, through node-llama-cpp, fills in with its own tokens where the model has them
//! and goes on after the prefix where not. Quality does not depend on what else the machine does.

mod corpus;
mod holes;
mod score;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::holes::{Hole, Split};
use self::score::{Answer, Scores};
use super::peers::child::Child;
use super::peers::program::{Launch, Worker};
use super::peers::{build, converted, fetch, named};
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
    /// Holes, of all languages together.
    #[arg(long, value_name = "N", default_value = "240")]
    holes: NonZeroUsize,
    /// The holes to report on, or those that rules are tuned on.
    #[arg(long, value_enum, default_value = "report")]
    split: Split,
    /// Tokens that a program may draw for a hole.
    #[arg(long, value_name = "N", default_value = "64")]
    max_tokens: NonZeroUsize,
    /// CPUs that the programs use. On a busy machine one may be faster than two that wait for each other.
    #[arg(long, value_name = "N", default_value = "2")]
    threads: NonZeroUsize,
    /// A worker that is built already, instead of building one.
    #[arg(long, value_name = "PATH")]
    runabout: Option<PathBuf>,
    /// Leave llama.cpp out.
    #[arg(long)]
    without_peer: bool,
    /// Further parameters of each `complete`, such as `{"rules": {"off": ["suffix"]}}`.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    params: String,
    /// Only write the holes to target/bench/holes.json.
    #[arg(long)]
    cut_only: bool,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let folder = root.join("target/bench");
    fs::create_dir_all(&folder)?;
    let holes = holes::cut(&corpus::sources(&folder)?, args.split, args.holes.get());
    let listed: Vec<Value> = holes.iter().map(hole_json).collect();
    fs::write(folder.join("holes.json"), serde_json::to_string_pretty(&listed)? + "\n")?;
    if args.cut_only {
        println!("{} holes: target/bench/holes.json", holes.len());
        return Ok(());
    }
    let params: Value = serde_json::from_str(&args.params).context("`--params` is not JSON")?;
    setup::run(root, &setup::Args::default())?;
    let worker = match &args.runabout {
        Some(path) => path.canonicalize().with_context(|| format!("no worker at `{}`", path.display()))?,
        None => build(root, &["--package", "runabout"], "runabout")?,
    };
    let mut report = Vec::new();
    for name in &args.models {
        let named = named(name)?;
        let gguf = fetch::model(&folder, named)?;
        let peer = (!args.without_peer).then(|| peer_answers(&folder, named.sha256, &gguf, &holes, args));
        let peer = peer.transpose()?;
        let mut columns = Vec::new();
        let model = converted(&worker, &gguf, &folder)?;
        let launch = Launch::runabout(&worker, &model, None, folder.join("runabout.log"));
        let mut program = launch.start_worker()?;
        let answers = ask(&holes, "runabout", |hole| complete(&mut program, hole, args, &params))?;
        columns.push(Scores::new("runabout", &holes, answers));
        program.stop()?;
        columns.extend(peer.map(|it| Scores::new("llama.cpp", &holes, it)));
        print!("{}", score::table(name, &columns, &holes));
        report.push(json!({
            "model": name,
            "programs": columns.iter().map(|it| it.json(&holes)).collect::<Vec<_>>(),
        }));
        let json = json!({
            "date": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            "split": format!("{:?}", args.split).to_lowercase(),
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

/// Asks the worker as an editor does.
fn complete(worker: &mut Worker, hole: &Hole, args: &Args, more: &Value) -> Result<Answer> {
    let mut params = json!({
        "prefix": hole.prefix, "suffix": hole.suffix, "path": hole.path,
        "max_tokens": args.max_tokens, "stream": false,
    });
    if let (Some(params), Some(more)) = (params.as_object_mut(), more.as_object()) {
        params.extend(more.clone());
    }
    let result = worker.call("complete", &params)?;
    let reason = result["rule"].as_str().or(result["finish_reason"].as_str());
    Ok(Answer {
        text: result["text"].as_str().context("a result has a text")?.to_owned(),
        n_tokens: result["usage"]["completion_tokens"].as_u64().context("a result has its usage")?,
        reason: reason.unwrap_or_default().to_owned(),
    })
}

/// What llama.cpp makes of the holes. It is always the same, so it is kept for the next run.
fn peer_answers(folder: &Path, model: &str, gguf: &Path, holes: &[Hole], args: &Args) -> Result<Vec<Answer>> {
    let listed: Vec<Value> = holes.iter().map(hole_json).collect();
    let asked = json!([model, DRIVER, args.max_tokens, listed]).to_string();
    let kept = folder.join(format!("llama-{:.16x}.json", Sha256::digest(asked)));
    if let Ok(kept) = fs::read_to_string(&kept)
        && let Some(answers) = Answer::list(&serde_json::from_str(&kept)?)
    {
        return Ok(answers);
    }
    let mut peer = llama(folder, gguf, args.threads)?;
    let answers = ask(holes, "llama.cpp", |hole| infill(&mut peer, hole, args))?;
    peer.stop()?;
    let json: Vec<Value> = answers.iter().map(Answer::json).collect();
    fs::write(&kept, json!(json).to_string())?;
    Ok(answers)
}

const DRIVER: &str = include_str!("completion/completion.mjs");

/// Starts llama.cpp.
fn llama(folder: &Path, gguf: &Path, n_threads: NonZeroUsize) -> Result<Child> {
    let driver = fetch::node(folder)?.with_file_name("completion.mjs");
    fs::write(&driver, DRIVER)?;
    let mut child = Child::start(
        Command::new("node").arg(&driver).arg(gguf).arg(n_threads.to_string()),
        &folder.join("llama.log"),
    )?;
    child.receive().context("llama.cpp does not start")?;
    Ok(child)
}

fn infill(child: &mut Child, hole: &Hole, args: &Args) -> Result<Answer> {
    child.send(&json!({"prefix": hole.prefix, "suffix": hole.suffix, "max_tokens": args.max_tokens}))?;
    let answer = child.receive()?;
    let (Some(text), Some(n_tokens)) = (answer["text"].as_str(), answer["n_tokens"].as_u64()) else {
        bail!("expected `text` and `n_tokens`, got {answer}");
    };
    Ok(Answer { text: text.to_owned(), n_tokens, reason: String::new() })
}
