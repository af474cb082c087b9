//! The options of `runabout chat`.

use clap::Args;

use super::{KvArgs, ModelArgs, SamplingArgs};

#[derive(Args, Debug)]
pub(crate) struct ChatArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// The message; `-` reads it from stdin, as does a pipe without a message. Without either, a conversation begins
    pub(crate) message: Option<String>,
    /// The system prompt
    #[arg(long, visible_alias = "system-prompt", value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// The maximum number of tokens of an answer
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_tokens: u32,
    #[command(flatten)]
    pub(crate) kv: KvArgs,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    /// Do not keep what is entered for the next conversations
    #[arg(long, env = "RUNABOUT_NO_HISTORY", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) no_history: bool,
    /// Print the text without the figures
    #[arg(long, short)]
    pub(crate) quiet: bool,
}
