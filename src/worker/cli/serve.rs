//! The options of the commands that serve clients.

use clap::Args;

use super::ModelArgs;

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
