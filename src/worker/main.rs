//! The program `runabout`: a local language model for everyday coding errands.
//!
//! [`serve`] is the worker: it serves clients over JSON-RPC. [`terminal`] and [`models`] are for people at a terminal.
//! This crate connects the other crates; it does not work with tensors.

mod app;
mod calls;
mod cli;
mod client;
mod connection;
mod dialects;
mod hang_up;
mod loading;
mod log;
mod memory;
mod models;
mod output;
mod progress_line;
mod serve;
mod state;
mod stats;
mod terminal;

use clap::Parser;

use crate::app::AgentOptions;
use crate::calls::CallLog;
use crate::cli::{Cli, Command};

fn main() {
    let code = run();
    // A normal exit would destroy MLX's statics, which the engine's thread may still use in the middle of a step.
    runabout_mlx::exit(code);
}

fn run() -> i32 {
    let cli = Cli::parse();
    log::init();
    match execute(cli.command) {
        Ok(code) => code,
        Err(error) => {
            // The chain of causes in one line; the remedy, if there is one, on a line of its own.
            eprintln!("runabout: {error:#}");
            1
        }
    }
}

fn execute(command: Command) -> anyhow::Result<i32> {
    // A single thread, so that requests start in the order in which they were read; heavy work runs on other threads.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        match command {
            Command::Serve(args) => serve::serve(args, AgentOptions::default(), dialects::ALL).await,
            Command::Lsp(args) => serve::serve(args.serve, AgentOptions::default(), dialects::LSP).await,
            Command::Mcp(args) => {
                let calls = if args.no_stats { None } else { state::calls().map(CallLog::new) };
                let agent = AgentOptions {
                    roots: args.root,
                    is_lazy: !args.preload,
                    calls,
                    ..AgentOptions::default()
                };
                serve::serve(args.serve, agent, dialects::MCP).await
            }
            Command::Acp(args) => {
                let conversations = if args.no_history { None } else { state::conversations() };
                let agent = AgentOptions { conversations, ..AgentOptions::default() };
                serve::serve(args.serve, agent, dialects::ACP).await
            }
            Command::Generate(args) => terminal::generate(args).await.map(|()| 0),
            Command::Chat(args) => terminal::chat(args).await.map(|()| 0),
            Command::Models(command) => models::run(command).map(|()| 0),
            Command::Stats(args) => stats::run(&args).map(|()| 0),
        }
    });
    // Dropping the runtime would wait for the thread that reads stdin, which may never get any more input.
    runtime.shutdown_background();
    result
}
