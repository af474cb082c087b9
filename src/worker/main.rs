//! The program `runabout`: a local language model for everyday coding errands.
//!
//! [`serve`] is the worker: JSON-RPC in, text out. [`one_shot`] and [`models`] are for people at a terminal. This crate
//! joins the others; it knows no tensors.

mod cli;
mod convert;
mod defaults;
mod documents;
mod encoders;
mod hang_up;
mod held;
mod host;
mod log;
mod memory;
mod methods;
mod models;
mod one_shot;
mod output;
mod progress_line;
mod serve;
mod session;

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
            Command::Serve(args) => serve::run(args).await,
            Command::Generate(args) => one_shot::generate(args).await.map(|()| 0),
            Command::Chat(args) => one_shot::chat(args).await.map(|()| 0),
            Command::Models(command) => models::run(command).map(|()| 0),
        }
    });
    // Dropping it would wait for the thread that reads stdin, which may never hear anything again.
    runtime.shutdown_background();
    result
}
