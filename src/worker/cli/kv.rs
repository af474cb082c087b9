//! How much of a long text is kept while it is generated: the option that `generate` and `chat` share.

use clap::Args;
use runabout_engine::MIN_KV_TOKENS;

#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct KvArgs {
    /// Keep the keys and values of at most this many tokens, for texts of any length in bounded memory. When there are as
    /// many, the oldest quarter behind the first four tokens is dropped and the rest moves up, while mlx_lm drops one at a
    /// time and goes on counting positions. The model no longer sees what was dropped, of a system prompt too. Only for
    /// models without recurrent layers
    #[arg(long, value_name = "N", value_parser = kv_size(), conflicts_with = "draft_model")]
    pub(crate) max_kv_size: Option<u32>,
}

fn kv_size() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(i64::try_from(MIN_KV_TOKENS).unwrap_or(i64::MAX)..)
}
