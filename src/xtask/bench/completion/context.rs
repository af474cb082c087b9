//! Compares what the worker is given besides the text around a hole: what it adds to the quality, and what it costs
//! until the first token.
//!
//! A hole's file is open as in an editor, without the text that was cut out, and what it imports is read from a folder
//! with the files of its package. The last characters before the hole are typed one by one, with a completion of one
//! token each, as if the person had come to this line from elsewhere. So the first of them is computed with a cold
//! cache, and the others with one that is warm as long as the prompt does not change at its beginning.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use runabout_context::{Cursor, Kinds, Project};
use serde_json::{Value, json};

use super::corpus::SourceFile;
use super::holes::Hole;
use super::score::{self, Answer, Scores};
use crate::bench::peers::program::{Launch, Worker};

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
            "project" => Some(Kinds::default()),
            _ => {
                let mut kinds = Kinds::NONE;
                for kind in name.split('+') {
                    match kind {
                        "imported" => kinds.imported = true,
                        "around" => kinds.around = true,
                        "similar" => kinds.similar = true,
                        "edits" => kinds.edits = true,
                        "views" => kinds.views = true,
                        _ => bail!("expected `none`, `project` or kinds of context, got `{kind}`"),
                    }
                }
                Some(kinds)
            }
        };
        Ok(Self { name: name.to_owned(), kinds })
    }
}

/// Arguments of the comparison.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Compare what the worker is given besides the text around the hole, instead of programs: a list of `none`, `project`
    /// (the kinds of context that are on by default), or kinds joined by `+`, such as `imported+around`.
    #[arg(long, value_delimiter = ',', value_name = "MODES")]
    context: Vec<Mode>,
    /// The most bytes of context for a hole.
    #[arg(long, value_name = "BYTES", default_value = "4000")]
    context_bytes: usize,
    /// With `--context`, the number of characters that are typed before the hole, to measure what each costs. None are
    /// needed to measure the quality alone.
    #[arg(long, value_name = "N", default_value = "8")]
    typed: usize,
    /// With `--context`, leave out what comes after the hole, as if the file were written from top to bottom.
    #[arg(long)]
    top_down: bool,
}

impl Options {
    pub(super) fn is_given(&self) -> bool {
        !self.context.is_empty()
    }
}

/// What a mode costs, over all holes.
#[derive(Default)]
struct Costs {
    /// Until the first token, with the choice of the context, in milliseconds: with a cold cache, and for each character typed after that.
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
    /// The names in the hole's first line that the text around it does not have, and those of them that the context has.
    n_missing: usize,
    n_found: usize,
    /// How often the excerpts changed with a typed character.
    n_changes: usize,
}

impl Costs {
    fn count_bytes(&mut self, files: &Value) {
        let n_bytes = |it: &Value| it["text"].as_str().map_or(0, str::len);
        self.context_bytes.push(files.as_array().map_or(0, |it| it.iter().map(n_bytes).sum()) as f64);
    }

    fn count_names(&mut self, hole: &Hole, suffix: &str, files: &Value) {
        let shown = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        let is_part = |it: char| it == '_' || it.is_alphanumeric();
        let names =
            |text: &str| -> BTreeSet<String> { text.split(|it| !is_part(it)).map(str::to_owned).collect() };
        let around = names(&format!("{}\n{suffix}", hole.prefix));
        let files = files.as_array().into_iter().flatten().map(|it| shown(&it["text"]));
        let context = names(&files.collect::<Vec<_>>().join("\n"));
        let line = hole.prefix.rsplit('\n').next().unwrap_or_default();
        let begun = line.rsplit(|it| !is_part(it)).next().unwrap_or_default();
        let first = begun.to_owned() + hole.truth.split('\n').next().unwrap_or_default();
        for name in names(&first).iter().filter(|it| it.len() > 2 && !around.contains(*it)) {
            self.n_missing += 1;
            self.n_found += usize::from(context.contains(name));
        }
    }
}

/// Writes the files of each package, to be read as workspace folders.
pub(super) fn write_projects(folder: &Path, sources: &[SourceFile]) -> Result<()> {
    for source in sources {
        let path = projects(folder).join(source.package).join(&source.path);
        fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
        fs::write(path, &source.text)?;
    }
    Ok(())
}

fn projects(folder: &Path) -> PathBuf {
    folder.join("projects")
}

/// Asks a worker for each mode. They take turns with each hole, so that the load of the machine is the same for all.
pub(super) fn compare(
    folder: &Path,
    model: &str,
    launch: &Launch,
    holes: &[Hole],
    max_tokens: usize,
    options: &Options,
) -> Result<()> {
    let projects = projects(folder);
    let mut workers =
        options.context.iter().map(|_| launch.start_worker()).collect::<Result<Vec<Worker>>>()?;
    let mut costs: Vec<Costs> = options.context.iter().map(|_| Costs::default()).collect();
    let mut answers: Vec<Vec<Answer>> = vec![Vec::new(); workers.len()];
    for (i, hole) in holes.iter().enumerate() {
        if i % 20 == 0 {
            eprintln!("bench: hole {} of {}", i + 1, holes.len());
        }
        for (n, mode) in options.context.iter().enumerate() {
            let answer = complete(&mut workers[n], hole, mode, &projects, max_tokens, options, &mut costs[n]);
            answers[n].push(answer.with_context(|| format!("failed in `{}`", hole.path))?);
        }
    }
    for worker in workers {
        worker.stop()?;
    }
    let columns = options.context.iter().zip(answers);
    let columns: Vec<Scores> =
        columns.map(|(mode, answers)| Scores::new(mode.name.clone(), holes, answers)).collect();
    print!("{}\n{}", score::table(model, &columns, holes), table(&costs));
    println!("\n{} holes, greedy, at most {max_tokens} tokens.", holes.len());
    let modes: Vec<Value> = columns.iter().map(|it| it.json(holes)).collect();
    let json = json!({"model": model, "bytes": options.context_bytes, "modes": modes});
    fs::write(folder.join("context.json"), serde_json::to_string_pretty(&json)? + "\n")?;
    Ok(())
}

/// A hole's file as far as it is typed.
struct State {
    /// The lines around the hole.
    prefix: String,
    suffix: String,
    /// The project with the whole file, and the cursor in it.
    open: Option<(Project, PathBuf, usize)>,
}

impl State {
    /// `n_less` bytes before the hole are still to be typed.
    fn new(
        hole: &Hole,
        n_less: usize,
        mode: &Mode,
        projects: &Path,
        top_down: bool,
        costs: &mut Costs,
    ) -> Result<Self> {
        let prefix = hole.prefix[..hole.prefix.len() - n_less].to_owned();
        let suffix = if top_down { String::new() } else { hole.suffix.clone() };
        let mut state = Self { prefix, suffix, open: None };
        let Some(kinds) = mode.kinds else { return Ok(state) };
        let root = projects.join(hole.package);
        let path = root.join(&hole.path);
        let [before, behind] = &hole.file;
        let at = before.len() - n_less;
        let text = before[..at].to_owned() + if top_down { "" } else { behind };
        // Not even the file on disk has the text that was cut out.
        let whole = fs::read_to_string(&path)?;
        fs::write(&path, &text)?;
        let mut project = Project::new(vec![root], kinds);
        project.open(&path, Some(hole.language), &text);
        let start = Instant::now();
        if let Some(reading) = project.reading(&path) {
            project.read(reading.run());
        }
        costs.reading_ms.push(milliseconds(start));
        fs::write(&path, whole)?;
        state.open = Some((project, path, at));
        Ok(state)
    }

    fn type_in(&mut self, typed: &str) {
        self.prefix.push_str(typed);
        if let Some((project, path, at)) = &mut self.open {
            project.edit(path, *at..*at, typed);
            *at += typed.len();
        }
    }

    /// The excerpts, and the time that their choice took in milliseconds.
    fn files(&mut self, bytes: usize) -> (Value, f64) {
        let Some((project, path, at)) = &mut self.open else { return (json!([]), 0.0) };
        let start = Instant::now();
        let window = *at - self.prefix.len()..*at + self.suffix.len();
        let excerpts = project.context(&Cursor { path, at: *at, window }, bytes);
        let ms = milliseconds(start);
        (excerpts.iter().map(|it| json!({"path": it.path, "text": it.text})).collect(), ms)
    }
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// Writes the context of each hole to target/bench, and asks no worker.
pub(super) fn choose_only(folder: &Path, holes: &[Hole], options: &Options) -> Result<()> {
    let projects = projects(folder);
    let mut all = Vec::new();
    let mut listed = Vec::new();
    for mode in &options.context {
        let mut costs = Costs::default();
        for hole in holes {
            let typed = last_typed(hole, options);
            let n_less = typed.iter().map(|it| it.len_utf8()).sum();
            let mut state = State::new(hole, n_less, mode, &projects, options.top_down, &mut costs)?;
            let (mut files, ms) = state.files(options.context_bytes);
            costs.choice_cold_ms.push(ms);
            for next in typed {
                state.type_in(&next.to_string());
                let (now, ms) = state.files(options.context_bytes);
                costs.choice_ms.push(ms);
                costs.n_changes += usize::from(now != files);
                files = now;
            }
            costs.count_names(hole, &state.suffix, &files);
            costs.count_bytes(&files);
            listed.push(json!({"mode": mode.name, "path": hole.path, "truth": hole.truth, "context": files}));
        }
        all.push(costs);
    }
    fs::write(folder.join("contexts.json"), serde_json::to_string_pretty(&listed)? + "\n")?;
    print!("{}", table(&all));
    Ok(())
}

/// The characters that are typed before a hole.
fn last_typed(hole: &Hole, options: &Options) -> Vec<char> {
    let line = hole.prefix.rsplit('\n').next().unwrap_or_default().trim_start();
    let mut typed: Vec<char> = line.chars().rev().take(options.typed).collect();
    typed.reverse();
    typed
}

fn complete(
    worker: &mut Worker,
    hole: &Hole,
    mode: &Mode,
    projects: &Path,
    max_tokens: usize,
    options: &Options,
    costs: &mut Costs,
) -> Result<Answer> {
    let typed = last_typed(hole, options);
    let n_less = typed.iter().map(|it| it.len_utf8()).sum();
    let mut state = State::new(hole, n_less, mode, projects, options.top_down, costs)?;
    let mut previous: Option<Value> = None;
    for i in 0..=typed.len() {
        if let Some(next) = i.checked_sub(1).and_then(|it| typed.get(it)) {
            state.type_in(&next.to_string());
        }
        let is_last = i == typed.len();
        let (files, choice_ms) = state.files(options.context_bytes);
        if is_last {
            costs.count_names(hole, &state.suffix, &files);
        }
        let params = json!({
            "prefix": state.prefix, "suffix": state.suffix, "path": hole.path, "context": files,
            "max_tokens": if is_last { max_tokens } else { 1 }, "stream": false,
        });
        let result = worker.call("complete", &params)?;
        // A completion without tokens has no first one.
        let timing = |key: &str| result["timing"][key].as_f64();
        let first_ms = timing("first_token_ms").or(timing("total_ms")).context("a result has its times")?;
        let first_ms = choice_ms + first_ms;
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
            costs.count_bytes(&files);
            let reason = result["rule"].as_str().or(result["finish_reason"].as_str());
            return Ok(Answer {
                text: result["text"].as_str().context("a result has a text")?.to_owned(),
                block: None,
                in_crlf: None,
                n_tokens: count("completion_tokens")?,
                reason: reason.unwrap_or_default().to_owned(),
                confidence: result["confidence"].as_f64(),
            });
        }
        previous = Some(files);
    }
    bail!("there is a last character")
}

/// The name of a cost, and the cost of a mode.
type CostRow<'a> = (&'a str, &'a dyn Fn(&Costs) -> f64);

/// A row for each cost, with a column for each mode.
fn table(all: &[Costs]) -> String {
    let mean = |it: &[f64]| it.iter().sum::<f64>() / it.len() as f64;
    let at = |it: &[f64], share: f64| {
        let mut sorted = it.to_vec();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index is small and not negative"
        )]
        sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN)
    };
    let rows: [CostRow<'_>; 15] = [
        ("names that the lines around lack", &|it| it.n_missing as f64),
        ("  and the context has", &|it| it.n_found as f64),
        ("first token while typing, mean ms", &|it| mean(&it.typed_ms)),
        ("  median", &|it| at(&it.typed_ms, 0.5)),
        ("  95th percentile", &|it| at(&it.typed_ms, 0.95)),
        ("first token in a new place, mean ms", &|it| mean(&it.cold_ms)),
        ("  median", &|it| at(&it.cold_ms, 0.5)),
        ("changes per typed character", &|it| it.n_changes as f64 / it.choice_ms.len() as f64),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_mode_is_a_name_or_kinds_joined_by_plus() {
        let kinds = |name: &str| name.parse::<Mode>().map(|it| it.kinds);
        assert_eq!(kinds("none").unwrap(), None);
        assert_eq!(kinds("project").unwrap(), Some(Kinds::default()));
        assert_eq!(
            kinds("around+similar").unwrap(),
            Some(Kinds { around: true, similar: true, ..Kinds::NONE })
        );
        assert!(kinds("around,similar").is_err());
    }

    #[test]
    fn only_names_that_the_text_around_the_hole_lacks_are_counted() {
        let hole = Hole {
            package: "p",
            language: "python",
            path: "a.py".to_owned(),
            kind: super::super::holes::Kind::Line,
            in_word: true,
            prefix: "x = fir".to_owned(),
            suffix: "\ny = second\n".to_owned(),
            truth: "st(second, third)\nfourth".to_owned(),
            file: [String::new(), String::new()],
        };
        let mut costs = Costs::default();
        let files = json!([{"path": "b.py", "text": "def first(): ..."}]);
        costs.count_names(&hole, &hole.suffix, &files);
        assert_eq!((costs.n_missing, costs.n_found), (2, 1), "`first` and `third`");
    }
}
