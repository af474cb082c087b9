//! The options of a process that has a part of a model.

use std::path::PathBuf;

use clap::Args;
use runabout_ranks::Transport;

use super::ModelArgs;

#[derive(Args, Debug)]
pub(crate) struct RankArgs {
    /// The file with the hosts, the same as where the model is used. Without it, stdin says everything
    #[arg(id = "rank_hosts", long = "hosts", value_name = "FILE", requires = "rank")]
    pub(crate) hosts: Option<PathBuf>,
    /// Which of the hosts this one is, counted from 0. Rank 0 is started where the model is used
    #[arg(long, value_name = "N", requires = "rank_hosts", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rank: Option<u16>,
}

#[derive(Args, Debug)]
pub(crate) struct RankPartArgs {
    /// How the processes are connected
    #[arg(long, value_parser = transport)]
    pub(crate) transport: Transport,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

fn transport(text: &str) -> Result<Transport, String> {
    [Transport::Ring, Transport::Jaccl, Transport::Nccl]
        .into_iter()
        .find(|it| it.name() == text)
        .ok_or_else(|| "expected ring, jaccl or nccl".to_owned())
}
