//! The options of `runabout config`: all settings, to see what they come to.

use clap::Args;

use super::{FrontArgs, SamplingArgs};

#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    front: FrontArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// The maximum number of tokens of a text; by default each command's own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    /// Do not count calls for `runabout stats`
    #[arg(long)]
    no_stats: bool,
    /// Do not keep conversations and what is entered in them
    #[arg(long)]
    no_history: bool,
    /// Print the settings as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
