//! The options of the commands that serve clients: `serve`, `lsp`, `mcp`, `acp`, and `share` behind them.

use clap::Args;

use super::ModelArgs;

/// How the model is run for clients.
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// The size of the largest message that is accepted
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    pub(crate) max_frame_bytes: usize,
    /// How many requests may wait before more are refused
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) max_queued: usize,
    /// How long one step should take, since cancels and more urgent requests wait for its end
    #[arg(long, value_name = "MS", default_value_t = 50)]
    pub(crate) step_target_ms: u64,
    /// How many jobs of each priority may run at a time; further ones wait
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) max_running: usize,
    /// Memory for the keys and values of past requests, so that prompts that begin like theirs are not computed again;
    /// by default an eighth of the memory limit
    #[arg(long, value_name = "MIB")]
    pub(crate) cache_limit_mib: Option<u64>,
    /// After an edit, move unchanged parts of the prompt with at least N tokens to their new positions in the cache
    /// instead of computing them again; 0 disables this. The first token comes sooner, but the text may differ slightly
    /// from that of a fresh prompt, since the moved parts were computed after the text as it was before the edit
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) cache_reuse: usize,
}

/// What the commands have that a client starts.
#[derive(Args, Debug)]
pub(crate) struct FrontArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Load a model for this client alone. By default all clients with the same model and options share one process, which
    /// the first of them starts
    #[arg(long, env = "RUNABOUT_ALONE", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) alone: bool,
    #[command(flatten)]
    linger: LingerArgs,
}

/// The options of `share`.
#[derive(Args, Debug)]
pub(crate) struct ShareArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    #[command(flatten)]
    pub(crate) linger: LingerArgs,
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct LingerArgs {
    /// How long a shared process keeps its model after the last client has left
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(crate) linger: u64,
}

impl LingerArgs {
    /// The name of its option.
    pub(crate) const NAME: &str = "linger";
}
