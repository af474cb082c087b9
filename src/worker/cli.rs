//! The command line.

mod bench;
mod chat;
mod complete;
mod config;
mod doctor;
mod generate;
mod model;
mod sampling;
mod serve;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use bench::BenchArgs;
pub(crate) use chat::ChatArgs;
pub(crate) use complete::CompleteArgs;
pub(crate) use config::ConfigArgs;
pub(crate) use doctor::DoctorArgs;
pub(crate) use generate::GenerateArgs;
pub(crate) use model::ModelArgs;
pub(crate) use sampling::SamplingArgs;
pub(crate) use serve::ServeArgs;

/// A local language model for everyday coding errands.
#[derive(Parser, Debug)]
#[command(name = "runabout", version, about, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Serve one model over JSON-RPC 2.0 on stdin and stdout
    Serve(ServeArgs),
    /// Serve one model to an editor as a language server on stdin and stdout
    Lsp(LspArgs),
    /// Serve one model to an agent as an MCP server on stdin and stdout
    Mcp(McpArgs),
    /// Be an agent in an editor's chat window, over the agent client protocol on stdin and stdout
    Acp(AcpArgs),
    /// Answer one prompt and print the text, as mlx_lm.generate does
    Generate(GenerateArgs),
    /// Answer one message, or hold a conversation
    Chat(ChatArgs),
    /// Complete code at a place in a file, as an editor would have it done
    Complete(CompleteArgs),
    /// Download, list, verify and remove models
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Look for what could keep the program from working well
    Doctor(DoctorArgs),
    /// Measure how fast a model is on this machine
    Bench(BenchArgs),
    /// Sum up what agents have handed to the model
    Stats(StatsArgs),
    /// Show what the settings come to, and where each value came from
    Config(ConfigArgs),
    /// Print completions for a shell, for example `source <(runabout completions bash)`
    Completions { shell: Shell },
    /// Print the manual page
    Man {
        /// Write the pages of all commands to this folder instead
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
pub(crate) struct LspArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Accepted because many clients pass it to every language server: stdin and stdout are used in any case
    #[arg(long, hide = true)]
    stdio: bool,
}

#[derive(Args, Debug)]
pub(crate) struct McpArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// A folder that the tools may read and edit files in; can be repeated. By default the project that the agent works
    /// in, if it can be told
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Vec<PathBuf>,
    /// Load the model at once, not when a tool needs it first
    #[arg(long)]
    pub(crate) preload: bool,
    /// Do not count calls for `runabout stats`. Texts and paths are not kept in any case
    #[arg(long, env = "RUNABOUT_NO_STATS", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) no_stats: bool,
}

#[derive(Args, Debug)]
pub(crate) struct StatsArgs {
    /// Print the numbers as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct AcpArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Do not keep conversations on disk, so that they cannot be continued after the process has ended
    #[arg(long, env = "RUNABOUT_NO_HISTORY", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) no_history: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ModelsCommand {
    /// Download a model, and convert it if needed
    Pull {
        model: String,
        /// Use only files that are already on this machine
        #[arg(long)]
        offline: bool,
    },
    /// List the models on this machine, and the named ones that can be downloaded
    List,
    /// Print the folder of a model on this machine
    Path { model: String },
    /// Compare a model's files with the hashes that were recorded when it was stored
    Verify { model: String },
    /// Remove a model from this machine
    Remove { model: String },
}
