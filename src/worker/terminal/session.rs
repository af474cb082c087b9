//! A model for the one person at the terminal: [`start`] begins to load it, [`show_loading`] shows how far that is.

use std::sync::{Arc, OnceLock};

use anyhow::Result;
use runabout_assist::{Assistant, HeldTexts, Limits, ModelHandle};
use runabout_engine::EngineOptions;

use crate::cli::ModelArgs;
use crate::loading;
use crate::memory;
use crate::progress_line;

/// Begins to load the model, and returns without waiting for it.
pub(super) fn start(args: &ModelArgs) -> Result<Assistant> {
    let options = EngineOptions {
        n_draft_tokens: args.n_draft_tokens(),
        memory_limit_bytes: args.memory_limit_bytes().or_else(memory::default_limit_bytes),
        ..EngineOptions::default()
    };
    let model = loading::start(args, options, Arc::new(OnceLock::from(())))?;
    // The person at the terminal is the only client, and may ask for any amount of text.
    let limits = Limits { max_tokens: u32::MAX, ..Limits::default() };
    Ok(Assistant::new(model, Arc::new(HeldTexts::new(u64::MAX)), limits))
}

/// Shows the progress of loading until the model is ready or has failed.
pub(super) async fn show_loading(model: &ModelHandle) {
    progress_line::show_loading(model.engine()).await;
}
