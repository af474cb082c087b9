//! The options of `runabout complete`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use runabout_assist::Goal;

use super::{ModelArgs, SamplingArgs};
use crate::place::Place;

#[derive(Args, Debug)]
pub(crate) struct CompleteArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Where to complete: line and character, counted from 1; without a column, at the end of the line
    #[arg(value_name = "FILE:LINE[:COLUMN]")]
    pub(crate) place: Place,
    /// How much to write
    #[arg(long, value_enum, default_value_t)]
    pub(crate) mode: Mode,
    /// Another file that the model should see; can be repeated, the most relevant one last
    #[arg(long, value_name = "FILE")]
    pub(crate) context: Vec<PathBuf>,
    /// The programming language, such as `rust`; by default it follows from the file's name
    #[arg(long, value_name = "NAME")]
    pub(crate) language: Option<String>,
    /// Take the file's text from stdin, as an editor does for a file that is not saved
    #[arg(long)]
    pub(crate) stdin: bool,
    /// The maximum number of tokens to generate
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_tokens: u32,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    /// Print the change as a diff that `git apply` takes, instead of the text
    #[arg(long)]
    pub(crate) diff: bool,
    /// Print one JSON object with the text and its figures
    #[arg(long, conflicts_with = "diff")]
    pub(crate) json: bool,
}

/// How much a completion writes; the modes of the protocol.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Mode {
    /// What the place asks for
    #[default]
    Auto,
    /// To the end of the line
    Line,
    /// To the end of the block
    Block,
}

impl From<Mode> for Goal {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Auto => Self::Auto,
            Mode::Line => Self::Line,
            Mode::Block => Self::Block,
        }
    }
}
