//! Compares what the worker is given besides the text around a hole: what it adds to the quality, and what it costs
//! until the first token.
//!
//! A hole's file is open as in an editor, without the text that was cut out, and what it imports is read from a folder
//! with the files of its package. The last characters before the hole are typed one by one, with a completion of one
//! token each, as if the person had come to this line from elsewhere. So the first of them is computed with a cold
//! cache, and the others with one that is warm as long as the prompt does not change at its beginning.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use runabout_context::{Kinds, Project};
use serde_json::{Value, json};

use super::Args;
use super::corpus::SourceFile;
use super::holes::Hole;
use super::score::{self, Answer, Scores};
use crate::bench::peers::program::{Launch, Worker};
use crate::bench::peers::{converted, fetch, named};

/// The most characters typed before the hole.
const MAX_TYPED: usize = 8;

/// What the worker is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mode {
    name: String,
    /// `None` for the lines around the hole alone.
    kinds: Option<Kinds>,
}

impl FromStr for Mode {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let kinds = match name {
            "none" => None,
            "file" => Some(Kinds::NONE),
            "project" => Some(Kinds::default()),
            _ => {
                let mut kinds = Kinds::NONE;
                for kind in name.split('+') {
                    match kind {
                        "imported" => kinds.imported = true,
                        "around" => kinds.around = true,
                        "line" => kinds.line = true,
                        "similar" => kinds.similar = true,
                        "edits" => kinds.edits = true,
                        "views" => kinds.views = true,
                        _ => bail!("expected `none`, `file`, `project` or kinds of context, got `{kind}`"),
                    }
                }
                Some(kinds)
            }
        };
        Ok(Self { name: name.to_owned(), kinds })
    }
}

/// What a mode costs, over all holes.
#[derive(Default)]
struct Costs {
    /// Until the first token, in milliseconds: with a cold cache, and for each character typed after that.
    cold_ms: Vec<f64>,
    typed_ms: Vec<f64>,
    /// The choice of the context, in milliseconds, likewise.
    choice_cold_ms: Vec<f64>,
    choice_ms: Vec<f64>,
    /// Reading the imported files.
    reading_ms: Vec<f64>,
    /// The tokens of the prompt at the hole.
    n_tokens: Vec<f64>,
    context_bytes: Vec<f64>,
    /// How often the excerpts changed with a typed character.
    n_changes: usize,
}

pub(super) fn run(
    folder: &Path,
    worker: &Path,
    sources: &[SourceFile],
    holes: &[Hole],
    args: &Args,
) -> Result<()> {
    let projects = folder.join("projects");
    write(&projects, sources)?;
    let mut report = Vec::new();
    for name in &args.models {
        let model = converted(worker, &fetch::model(folder, named(name)?)?, folder)?;
        let launch = Launch::runabout(worker, &model, None, folder.join("runabout.log"));
        let mut columns = Vec::new();
        let mut all_costs = Vec::new();
        for mode in &args.context {
            // Each mode begins with an empty cache.
            let mut program = launch.start_worker()?;
            let mut costs = Costs::default();
            let mut answers = Vec::new();
            for (i, hole) in holes.iter().enumerate() {
                if i % 20 == 0 {
                    eprintln!("bench: {}, hole {} of {}", mode.name, i + 1, holes.len());
                }
                let answer = complete(&mut program, hole, mode, &projects, args, &mut costs);
                answers.push(answer.with_context(|| format!("failed in `{}`", hole.path))?);
            }
            program.stop()?;
            columns.push(Scores::new(mode.name.clone(), holes, answers));
            all_costs.push(costs);
        }
        print!("{}", score::table(name, &columns, holes));
        print!("{}", table(&all_costs));
        report.push(json!({
            "model": name,
            "modes": columns.iter().map(|it| it.json(holes)).collect::<Vec<_>>(),
        }));
    }
    let json = json!({"split": args.split.name(), "bytes": args.context_bytes, "models": report});
    fs::write(folder.join("context.json"), serde_json::to_string_pretty(&json)? + "\n")?;
    println!("\n{} holes, greedy, at most {} tokens.", holes.len(), args.max_tokens);
    Ok(())
}

/// Writes the files of each package, to be read as a workspace folder.
fn write(projects: &Path, sources: &[SourceFile]) -> Result<()> {
    for source in sources {
        let path = projects.join(source.package).join(&source.path);
        fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
        fs::write(path, &source.text)?;
    }
    Ok(())
}

/// A hole's file in its project, as far as it is typed.
enum State {
    /// Only the lines around the hole.
    Lines { prefix: String, suffix: String },
    Open { project: Box<Project>, path: PathBuf, at: usize, text: String },
}

impl State {
    /// `n_less` bytes before the hole are still to be typed.
    fn new(hole: &Hole, n_less: usize, mode: &Mode, projects: &Path, costs: &mut Costs) -> Result<Self> {
        let Some(kinds) = mode.kinds else {
            let prefix = hole.prefix[..hole.prefix.len() - n_less].to_owned();
            return Ok(Self::Lines { prefix, suffix: hole.suffix.clone() });
        };
        let root = projects.join(hole.package);
        let path = root.join(&hole.path);
        let [before, behind] = &hole.file;
        let at = before.len() - n_less;
        let text = before[..at].to_owned() + behind;
        // Not even the file on disk has the text that was cut out.
        let whole = fs::read_to_string(&path)?;
        fs::write(&path, &text)?;
        let mut project = Box::new(Project::new(vec![root], kinds));
        project.open(&path, Some(hole.language), text.clone());
        let start = Instant::now();
        if let Some(reading) = project.reading(&path) {
            project.read(reading.run());
        }
        costs.reading_ms.push(milliseconds(start));
        fs::write(&path, whole)?;
        Ok(Self::Open { project, path, at, text })
    }

    fn type_in(&mut self, typed: &str) {
        match self {
            Self::Lines { prefix, .. } => prefix.push_str(typed),
            Self::Open { project, path, at, text } => {
                project.edit(path, *at..*at, typed);
                text.insert_str(*at, typed);
                *at += typed.len();
            }
        }
    }

    /// The text around the cursor, the excerpts, and the time that the choice took in milliseconds.
    fn params(&mut self, bytes: usize) -> Result<(Value, Value, f64)> {
        match self {
            Self::Lines { prefix, suffix } => Ok((json!([prefix, suffix]), json!([]), 0.0)),
            Self::Open { project, path, at, text } => {
                let start = Instant::now();
                let context = project.context(path, *at, bytes).context("the file is open")?;
                let ms = milliseconds(start);
                let around = json!([text[context.window.start..*at], text[*at..context.window.end]]);
                let files = context.excerpts.iter().map(|it| json!({"path": it.path, "text": it.text}));
                Ok((around, files.collect(), ms))
            }
        }
    }
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

fn complete(
    worker: &mut Worker,
    hole: &Hole,
    mode: &Mode,
    projects: &Path,
    args: &Args,
    costs: &mut Costs,
) -> Result<Answer> {
    let line = hole.prefix.rsplit('\n').next().unwrap_or_default().trim_start();
    let typed: Vec<char> = line.chars().rev().take(MAX_TYPED).collect();
    let n_less = typed.iter().map(|it| it.len_utf8()).sum();
    let mut state = State::new(hole, n_less, mode, projects, costs)?;
    let mut previous: Option<Value> = None;
    for i in 0..=typed.len() {
        if let Some(next) = i.checked_sub(1).and_then(|it| typed.iter().rev().nth(it)) {
            state.type_in(&next.to_string());
        }
        let is_last = i == typed.len();
        let (around, files, choice_ms) = state.params(args.context_bytes)?;
        let params = json!({
            "prefix": around[0], "suffix": around[1], "path": hole.path, "context": files,
            "max_tokens": if is_last { args.max_tokens.get() } else { 1 }, "stream": false,
        });
        let result = worker.call("complete", &params)?;
        // A completion without tokens has no first one.
        let timing = |key: &str| result["timing"][key].as_f64();
        let first_ms = timing("first_token_ms").or(timing("total_ms")).context("a result has its times")?;
        if i == 0 {
            costs.cold_ms.push(first_ms);
            costs.choice_cold_ms.push(choice_ms);
        } else {
            costs.typed_ms.push(first_ms);
            costs.choice_ms.push(choice_ms);
        }
        costs.n_changes += usize::from(previous.as_ref().is_some_and(|it| *it != files));
        if is_last {
            let count = |key: &str| result["usage"][key].as_u64().context("a result has its usage");
            costs.n_tokens.push(count("prompt_tokens")? as f64);
            let n_bytes = |it: &Value| it["text"].as_str().map_or(0, str::len);
            costs.context_bytes.push(files.as_array().map_or(0, |it| it.iter().map(n_bytes).sum()) as f64);
            return Ok(Answer {
                text: result["text"].as_str().context("a result has a text")?.to_owned(),
                block: None,
                in_crlf: None,
                n_tokens: count("completion_tokens")?,
                reason: files.to_string(),
            });
        }
        previous = Some(files);
    }
    bail!("there is a last character")
}

/// A row for each cost, with a column for each mode.
fn table(all: &[Costs]) -> String {
    let mean = |it: &[f64]| it.iter().sum::<f64>() / it.len() as f64;
    let at = |it: &[f64], share: f64| {
        let mut sorted = it.to_vec();
        sorted.sort_by(f64::total_cmp);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index is small and not negative")]
        sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN)
    };
    let rows: [(&str, &dyn Fn(&Costs) -> f64); 13] = [
        ("first token while typing, mean ms", &|it| mean(&it.typed_ms)),
        ("  median", &|it| at(&it.typed_ms, 0.5)),
        ("  95th percentile", &|it| at(&it.typed_ms, 0.95)),
        ("first token in a new place, mean ms", &|it| mean(&it.cold_ms)),
        ("  median", &|it| at(&it.cold_ms, 0.5)),
        ("changes per typed character", &|it| it.n_changes as f64 / it.typed_ms.len() as f64),
        ("tokens of the prompt", &|it| mean(&it.n_tokens)),
        ("bytes of context", &|it| mean(&it.context_bytes)),
        ("choice while typing, mean ms", &|it| mean(&it.choice_ms)),
        ("  95th percentile", &|it| at(&it.choice_ms, 0.95)),
        ("choice in a new place, mean ms", &|it| mean(&it.choice_cold_ms)),
        ("reading the imports, mean ms", &|it| mean(&it.reading_ms)),
        ("  95th percentile", &|it| at(&it.reading_ms, 0.95)),
    ];
    rows.iter().map(|(name, of)| score::row(name, all.iter().map(of))).collect()
}
