//! The options of `runabout doctor`.

use clap::Args;

use super::ModelArgs;

#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Do not load the model, which takes most of the time and memory
    #[arg(long)]
    pub(crate) no_model: bool,
    /// Print what was found as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
