//! `cargo xtask bench errands`: how many of an agent's small tasks come out right.
//!
//! Sixty tasks on real files, ten of each kind, are handed to the worker through its MCP tools, as an agent does; and
//! also to the same model as plain chat, without formats, checked edits and retries. A program checks each result: it
//! runs tests, parses, and compares with what is right. A third of the tasks was held out while the tools were built,
//! and their share is told apart. The results do not depend on the machine's load.

mod agent;
mod check;
mod kept;
mod set;
mod table;
mod together;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use self::agent::Agent;
use self::check::Checker;
use self::kept::{Kept, Outcome};
use self::set::{Errand, Kind, Way};
use crate::cargo::build_worker;
use crate::setup;

/// Arguments of `cargo xtask bench errands`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Named models, or anything else that `runabout mcp --model` accepts.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES",
        default_value = "qwen2.5-coder-0.5b,qwen2.5-coder-1.5b"
    )]
    models: Vec<String>,
    /// Which tasks: all, those that were held out while the tools were built, or the others.
    #[arg(long, value_enum, default_value = "all")]
    part: Part,
    /// Only tasks of these kinds.
    #[arg(long, value_enum, value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// Only one of the two ways to ask.
    #[arg(long, value_enum)]
    only: Option<Way>,
    /// The file that answers are kept in, below target/bench.
    #[arg(long, value_name = "FILE", default_value = "errands.jsonl")]
    kept_in: PathBuf,
    /// An existing worker to use instead of building one.
    #[arg(long, value_name = "PATH")]
    runabout: Option<PathBuf>,
    /// Measure nothing but the time that eight files take in one call, against one call after the other. The figure is
    /// only meaningful on an idle machine.
    #[arg(long)]
    together: bool,
    /// Ask no model: see that each check accepts a right answer and refuses the file as it was.
    #[arg(long)]
    check_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    All,
    HeldOut,
    Building,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let folder = root.join("target/bench");
    fs::create_dir_all(&folder)?;
    let errands = set::errands(&folder)?;
    let checker = Checker::new(&folder)?;
    if args.check_only {
        return check::check_checks(&checker, &errands);
    }
    let chosen: Vec<&Errand> = errands.iter().filter(|it| args.wants(it)).collect();
    let worker = if let Some(path) = &args.runabout {
        path.canonicalize().with_context(|| format!("no worker at `{}`", path.display()))?
    } else {
        setup::run(root, &setup::Args::default())?;
        build_worker(root)?
    };
    if args.together {
        let work = folder.join("errands");
        for model in &args.models {
            let mut agent = Agent::start(&worker, model, &work, &folder.join("errands.log"))?;
            together::compare(&mut agent, model, &errands, &work)?;
            agent.stop()?;
        }
        return Ok(());
    }
    let mut kept = Kept::open(&folder.join(&args.kept_in))?;
    for model in &args.models {
        for way in Way::ALL.into_iter().filter(|way| args.only.is_none_or(|only| only == *way)) {
            let missing: Vec<&Errand> =
                chosen.iter().copied().filter(|it| kept.outcome(model, way, it).is_none()).collect();
            if missing.is_empty() {
                continue;
            }
            let work = folder.join("errands").join(way.name());
            fs::create_dir_all(&work)?;
            let mut agent = Agent::start(&worker, model, &work, &folder.join("errands.log"))?;
            for (i, errand) in missing.iter().enumerate() {
                let outcome = one(&mut agent, way, errand, &work, &checker)
                    .with_context(|| format!("`{}` by {} failed", errand.id, way.name()))?;
                let verdict = outcome.why_wrong.as_deref().unwrap_or("right");
                eprintln!(
                    "bench: {model}, {}, {} ({} of {}): {verdict}",
                    way.name(),
                    errand.id,
                    i + 1,
                    missing.len()
                );
                kept.keep(model, way, errand, outcome)?;
            }
            agent.stop()?;
        }
    }
    print!("{}", table::table(&args.models, &chosen, &kept));
    println!("\nall answers: {}", folder.join(&args.kept_in).display());
    Ok(())
}

impl Args {
    fn wants(&self, errand: &Errand) -> bool {
        let in_part = match self.part {
            Part::All => true,
            Part::HeldOut => errand.held_out,
            Part::Building => !errand.held_out,
        };
        in_part && (self.kinds.is_empty() || self.kinds.contains(&errand.kind))
    }
}

/// Has one task done and checked.
fn one(agent: &mut Agent, way: Way, errand: &Errand, work: &Path, checker: &Checker) -> Result<Outcome> {
    let (answer, told) = match way {
        Way::Tools => agent.by_tools(errand, work)?,
        Way::Chat => agent.by_chat(errand)?,
    };
    let why_wrong = match &answer {
        Ok(answer) => checker.why_wrong(errand, answer)?,
        Err(why) => Some(format!("no answer: {why}")),
    };
    Ok(Outcome { answer: answer.ok(), is_owned_up: told.is_owned_up, why_wrong, told: told.evidence })
}
