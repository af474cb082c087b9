//! The command line.

mod bench;
mod chat;
mod complete;
mod config;
mod doctor;
mod generate;
mod kv;
mod model;
mod rank;
mod sampling;
mod serve;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use bench::BenchArgs;
pub(crate) use chat::ChatArgs;
pub(crate) use complete::CompleteArgs;
pub(crate) use config::ConfigArgs;
pub(crate) use doctor::DoctorArgs;
pub(crate) use generate::GenerateArgs;
pub(crate) use kv::KvArgs;
pub(crate) use model::{ModelArgs, whole_reference};
pub(crate) use rank::{RankArgs, RankPartArgs};
pub(crate) use sampling::SamplingArgs;
pub(crate) use serve::{FrontArgs, LingerArgs, ServeArgs, ShareArgs};

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
    Serve(FrontArgs),
    /// Serve one model to an editor as a language server on stdin and stdout
    Lsp(LspArgs),
    /// Serve one model to an agent as an MCP server on stdin and stdout
    Mcp(McpArgs),
    /// Be an agent in an editor's chat window, over the agent client protocol on stdin and stdout
    Acp(AcpArgs),
    /// Keep one model for several clients. `serve`, `lsp`, `mcp` and `acp` start this by themselves
    Share(ShareArgs),
    /// Be one of the processes that have a model together. `--hosts` starts them by itself, unless that is left to you
    Rank(RankArgs),
    /// What `rank` becomes when it knows the others
    #[command(hide = true)]
    RankPart(RankPartArgs),
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

impl Command {
    /// Whether a program is at the other end of stdin and stdout, and not a person.
    pub(crate) fn serves(&self) -> bool {
        matches!(
            self,
            Self::Serve(_)
                | Self::Lsp(_)
                | Self::Mcp(_)
                | Self::Acp(_)
                | Self::Share(_)
                | Self::Rank(_)
                | Self::RankPart(_)
        )
    }
}

#[derive(Args, Debug)]
pub(crate) struct LspArgs {
    #[command(flatten)]
    pub(crate) front: FrontArgs,
    /// Accepted because many clients pass it to every language server: stdin and stdout are used in any case
    #[arg(long, hide = true)]
    stdio: bool,
}

#[derive(Args, Debug)]
pub(crate) struct McpArgs {
    #[command(flatten)]
    pub(crate) front: FrontArgs,
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
    pub(crate) front: FrontArgs,
    /// Do not keep conversations on disk, so that they cannot be continued after the process has ended
    #[arg(long, env = "RUNABOUT_NO_HISTORY", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) no_history: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ModelsCommand {
    /// Download a model, and convert it if needed. A model of the hub that is here is brought up to date
    Pull(PullArgs),
    /// List the models on this machine, in the hub's cache too, and the named ones that can be downloaded
    List(ListArgs),
    /// Show all that is known about a model on this machine, and the memory it takes
    Show(NamedArgs),
    /// Print the folder of a model on this machine
    Path { model: String },
    /// Compare a model's files with the hashes that they must have
    Verify(NamedArgs),
    /// Remove models from this machine. Says what it frees, and asks before
    #[command(visible_alias = "remove")]
    Rm(RmArgs),
    /// Remove unfinished downloads, files that no model needs any more, and names without a model; in the hub's cache also
    /// revisions that neither a branch nor a tag nor a model of runabout names. Asks before
    Prune(RemovalArgs),
    /// Convert a model to an MLX folder, which mlx_lm reads too: a GGUF file as it is, or plain weights to quantized ones
    Convert(ConvertArgs),
    /// Recommend a model that suits this machine's memory, with the arithmetic. It chooses from a list that comes with the
    /// program, and reckons sizes from the models' shapes; the hub is not asked
    Recommend(RecommendArgs),
}

#[derive(Args, Debug)]
pub(crate) struct PullArgs {
    pub(crate) model: String,
    /// Use only files that are already on this machine
    #[arg(long)]
    pub(crate) offline: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Also show where each model came from
    #[arg(long)]
    pub(crate) verbose: bool,
    /// Print the list as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct NamedArgs {
    pub(crate) model: String,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct RmArgs {
    #[arg(required = true)]
    pub(crate) models: Vec<String>,
    #[command(flatten)]
    pub(crate) removal: RemovalArgs,
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct RemovalArgs {
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ConvertArgs {
    /// A folder with plain weights, a `.gguf` file, or any other model as for `--model`
    pub(crate) model: String,
    /// The folder to make, which must not exist
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Quantize the weights; so does each of the next four options
    #[arg(long, short)]
    pub(crate) quantize: bool,
    /// How weights are quantized
    #[arg(long, value_enum)]
    pub(crate) mode: Option<QuantizationMode>,
    /// The bits of a weight: 2, 3, 4, 5, 6 or 8. By default 4, and what the mode has
    #[arg(long, value_name = "N")]
    pub(crate) bits: Option<i32>,
    /// The number of weights that share a scale: 32, 64 or 128. By default 64, and what the mode has
    #[arg(long, value_name = "N")]
    pub(crate) group_size: Option<i32>,
    /// More bits for the weights that need them most
    #[arg(long, value_enum)]
    pub(crate) recipe: Option<Recipe>,
    /// The type of weights that are not quantized; by default the one that config.json names, or their own
    #[arg(long, value_enum)]
    pub(crate) dtype: Option<FloatType>,
    /// Use only files that are already on this machine
    #[arg(long)]
    pub(crate) offline: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum QuantizationMode {
    Affine,
    Mxfp4,
    Nvfp4,
    Mxfp8,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Recipe {
    #[value(name = "mixed_2_6")]
    Mixed2_6,
    #[value(name = "mixed_3_4")]
    Mixed3_4,
    #[value(name = "mixed_3_6")]
    Mixed3_6,
    #[value(name = "mixed_4_6")]
    Mixed4_6,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FloatType {
    Float16,
    Bfloat16,
    Float32,
}

#[derive(Args, Debug)]
pub(crate) struct RecommendArgs {
    /// What the model is for
    #[arg(long, value_enum, default_value_t)]
    pub(crate) task: Task,
    /// The number of tokens of a text that the model must have memory for
    #[arg(long, value_name = "N", default_value_t = 8192)]
    pub(crate) context: u64,
    /// The memory to fill instead of what this machine allows
    #[arg(long, value_name = "MIB")]
    pub(crate) memory: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Task {
    /// Completing code in an editor
    #[default]
    Complete,
    /// Conversations, and errands for agents
    Chat,
}
