//! The built worker, seen from outside: over pipes, as clients see it.
//!
//! One binary; a module for each thing that is promised. Most of them serve the tiny random model of
//! `support/tiny_model.rs`, which is the real code path in milliseconds; `parity` loads the real ones.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod clients;
mod command_line;
mod completion;
mod ending;
mod engine;
mod examples;
mod fetching;
mod folders;
mod generation;
mod hostile_load;
mod parity;
mod recording;
mod support;
mod transcripts;
mod wire;
