//! The commands that print texts for a person at a terminal, or for a script: `generate`, `chat` and
//! `complete`.
//!
//! Texts go to stdout and everything else to stderr. The figures after a text are mlx_lm's, so that the scripts that read
//! those read these.

mod chat;
mod complete;
mod figures;
mod generate;
mod input;
mod markdown;
mod session;
mod show;

pub(crate) use chat::chat;
pub(crate) use complete::complete;
pub(crate) use generate::generate;
