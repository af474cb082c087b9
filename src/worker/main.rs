//! The program `runabout`: a local language model for everyday coding errands.
//!
//! [`serve`] is the worker: it serves clients over JSON-RPC. [`terminal`] and [`models`] are for people at a terminal. This
//! crate joins the others; it knows no tensors.

mod app;
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
mod terminal;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() {
    let code = run();
    // The engine's thread may be in the middle of a step, which must not see MLX's statics destroyed.
    runabout_mlx::exit(code);
}

fn run() -> i32 {
    let cli = Cli::parse();
    log::init();
    match execute(cli.command) {
        Ok(code) => code,
        Err(error) => {
            // The chain of causes in one line; the remedy, if there is one, on its own.
            eprintln!("runabout: {error:#}");
            1
        }
    }
}

fn execute(command: Command) -> anyhow::Result<i32> {
    // One thread: requests are begun in the order in which they were read, and all heavy work is done elsewhere.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        match command {
            Command::Serve(args) => serve::serve(args).await,
            Command::Generate(args) => terminal::generate(args).await.map(|()| 0),
            Command::Chat(args) => terminal::chat(args).await.map(|()| 0),
            Command::Models(command) => models::run(command).map(|()| 0),
        }
    });
    // Dropping it would wait for the thread that reads stdin, which may never hear anything again.
    runtime.shutdown_background();
    result
}
