//! `runabout models`: downloads, lists, describes, verifies and removes models.
//!
//! Results go to stdout, as text or with `--json` as one JSON value; everything else goes to stderr.

mod convert;
mod description;
mod list;
mod recommend;
mod removal;
mod report;
mod show;
mod sizes;
mod table;
mod verify;

use std::io::Write;

use anyhow::Result;
use runabout_store::{Progress, Store};
use serde::Serialize;

use crate::cli::{ModelsCommand, PullArgs};
use crate::loading::{open_store, store_options};
use crate::progress_line::ProgressLine;

use self::report::{not_here, print_json};

pub(crate) fn run(command: ModelsCommand) -> Result<()> {
    let store = open_store()?;
    match command {
        ModelsCommand::Pull(args) => pull(&store, &args),
        ModelsCommand::List(args) => list::run(&store, &args),
        ModelsCommand::Show(args) => show::run(&store, &args),
        ModelsCommand::Path { model } => Ok(writeln!(
            std::io::stdout(),
            "{}",
            store.installed(&model).map_err(|err| not_here(&model, err))?.path.display()
        )?),
        ModelsCommand::Verify(args) => verify::run(&store, &args),
        ModelsCommand::Rm(args) => removal::remove(&store, &args),
        ModelsCommand::Prune(args) => removal::prune(&store, args),
        ModelsCommand::Convert(args) => convert::run(&store, &args),
        ModelsCommand::Recommend(args) => recommend::run(&args),
    }
}

fn pull(store: &Store, args: &PullArgs) -> Result<()> {
    let mut line = ProgressLine::default();
    let mut options = store_options(args.offline);
    options.is_refresh = true;
    let mut show = |it: Progress| line.show(it.stage.name(), it.done, it.total.unwrap_or(0));
    let folder = store.resolve(&args.model.parse()?, &options, &mut show)?;
    line.clear();
    if args.json {
        return print_json(&Pulled {
            name: &folder.name,
            path: &folder.path,
            weight_bytes: folder.weight_bytes,
        });
    }
    Ok(writeln!(std::io::stdout(), "{}", folder.path.display())?)
}

#[derive(Serialize)]
struct Pulled<'a> {
    name: &'a str,
    path: &'a std::path::Path,
    weight_bytes: u64,
}
