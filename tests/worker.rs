//! The integration tests of the built worker, over pipes as clients see it.
//!
//! There is one binary with a module for each group of guarantees. Most modules serve the tiny random model of
//! `support/tiny_model.rs`, which uses the real code and takes milliseconds; `parity` loads the real models.
#![allow(clippy::unwrap_used)]

mod acp;
mod bad_input;
mod client_packages;
mod clients;
mod command_line;
mod completion;
mod confidence;
mod ending;
mod engine;
mod examples;
mod faults;
mod fetching;
mod folders;
mod generation;
mod hostile_load;
mod lsp;
mod mcp;
mod models;
mod next_edit;
mod parity;
mod ranks;
mod recording;
mod response_format;
mod sharing;
mod support;
mod terminal;
mod transcripts;
mod wire;
