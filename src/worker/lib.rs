//! The program `runabout`: a local language model for everyday coding errands.
//!
//! [`serve`] is the worker: it serves clients over JSON-RPC. [`terminal`] and [`models`] are for people at a terminal.
//! This crate connects the other crates; it does not work with tensors.
//!
//! It is a library so that the fuzzer can have a whole process in memory ([`scripted`]); `main.rs` only calls [`main`].

#![deny(clippy::print_stderr, reason = "it panics if stderr cannot be written to; see `output::tell`")]

mod app;
mod bench;
mod calls;
mod cli;
mod client;
mod config;
mod connection;
mod descriptors;
mod dialects;
mod doctor;
mod ending;
mod front_end;
mod hang_up;
mod loading;
mod log;
mod memory;
mod models;
mod output;
mod place;
mod presence;
mod progress_line;
mod rank;
#[doc(hidden)]
pub mod scripted;
mod serve;
mod settings;
mod share;
mod shell_files;
mod state;
mod stats;
mod suggestion_counts;
mod terminal;

use clap::ArgMatches;

use crate::cli::{Command, FrontArgs};
use crate::front_end::{FrontEnd, Service};
use crate::settings::Parsed;
use crate::share::SharedOptions;

/// Runs the program and ends the process.
pub fn main() -> ! {
    runabout_mlx::share_heaps();
    let code = run();
    // A normal exit would destroy MLX's statics, which the engine's thread may still use in the middle of a step.
    runabout_mlx::exit(code);
}

fn run() -> i32 {
    match settings::parse().and_then(execute) {
        Ok(code) => code,
        Err(error) => {
            // The chain of causes in one line; the remedy, if there is one, on a line of its own.
            output::tell(format_args!("runabout: {error:#}"));
            1
        }
    }
}

fn execute(parsed: Parsed) -> anyhow::Result<i32> {
    let Parsed { cli, matches, file } = parsed;
    log::init(&cli.command);
    let serves = cli.command.serves();
    descriptors::check()?;
    match &cli.command {
        Command::Rank(args) => return rank::run(args),
        Command::RankPart(args) => return rank::run_part(args),
        _ => {}
    }
    // A single thread, so that requests start in the order in which they were read; heavy work runs on other threads.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let of_command = matches.subcommand().map_or(&matches, |it| it.1);
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve(front) => {
                serve_client(front, FrontEnd::of_process(Service::Serve), of_command).await
            }
            Command::Lsp(args) => {
                serve_client(args.front, FrontEnd::of_process(Service::Lsp), of_command).await
            }
            Command::Mcp(args) => {
                let calls = if args.no_stats { None } else { state::calls() };
                let front = FrontEnd { is_lazy: !args.preload, calls, ..FrontEnd::of_process(Service::Mcp) };
                serve_client(args.front, front.with_roots(&args.root), of_command).await
            }
            Command::Acp(args) => {
                let conversations = if args.no_history { None } else { state::conversations() };
                let front = FrontEnd { conversations, ..FrontEnd::of_process(Service::Acp) };
                serve_client(args.front, front, of_command).await
            }
            Command::Rank(_) | Command::RankPart(_) => unreachable!("they need no runtime"),
            Command::Share(args) => share::run_broker(args, &SharedOptions::of(of_command)).await,
            Command::Generate(args) => terminal::generate(args).await.map(|()| 0),
            Command::Chat(args) => terminal::chat(args).await.map(|()| 0),
            Command::Complete(args) => terminal::complete(args).await.map(|()| 0),
            Command::Doctor(args) => doctor::run(args, &file).await,
            Command::Bench(args) => bench::run(args).await.map(|()| 0),
            Command::Models(command) => models::run(command).map(|()| 0),
            Command::Stats(args) => stats::run(&args).map(|()| 0),
            Command::Config(args) => config::run(args.json, of_command, &file).map(|()| 0),
            Command::Completions { shell } => shell_files::completions(shell).map(|()| 0),
            Command::Man { out } => shell_files::man(out.as_deref()).map(|()| 0),
        }
    });
    // Dropping the runtime would wait for the thread that reads stdin, which may never get any more input.
    runtime.shutdown_background();
    match result {
        // Whoever reads the output, such as `head`, has seen enough.
        Err(error) if !serves && is_broken_pipe(&error) => Ok(0),
        other => other,
    }
}

/// Serves the client that started this process.
async fn serve_client(args: FrontArgs, front: FrontEnd, of_command: &ArgMatches) -> anyhow::Result<i32> {
    let shared = (!args.alone).then(|| SharedOptions::of(of_command));
    serve::serve(args.serve, front, shared.as_ref()).await
}

/// Whether this is the failure of a write to stdout. Failures of the network are wrapped in errors of their own.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|it| it.kind() == std::io::ErrorKind::BrokenPipe)
}
