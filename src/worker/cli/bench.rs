//! The options of `runabout bench`.

use std::num::NonZeroUsize;

use clap::Args;

use super::ModelArgs;

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Measure random weights in the shape of a model that is not on this machine: a name, or the path of a config.json.
    /// They are as large and as fast as the real ones. Names: `llama-3.1-8b-4bit`, `qwen2.5-coder-0.5b-4bit`,
    /// `qwen2.5-coder-1.5b-4bit`, `qwen2.5-coder-7b-4bit`, `qwen3-8b-4bit`, `qwen3-30b-a3b-4bit`
    #[arg(long, value_name = "NAME")]
    pub(crate) shape: Option<String>,
    /// The lengths of the prompts, in tokens
    #[arg(long, short, value_name = "N,...", value_delimiter = ',', default_value = "128,1024")]
    pub(crate) prompt_tokens: Vec<NonZeroUsize>,
    /// How many tokens to generate after each prompt
    #[arg(long, short, value_name = "N", default_value = "64")]
    pub(crate) generation_tokens: NonZeroUsize,
    /// How often each length is measured, after a run that does not count
    #[arg(long, value_name = "N", default_value = "3")]
    pub(crate) repeats: NonZeroUsize,
    /// Print the measurements as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
