//! What several messages contain about the worker: its version, its model and its memory.

use runabout_api::{MemoryStatus, ModelSummary, ServerInfo};
use runabout_assist::{NextEditForm, State};
use runabout_text::FimFormat;

use crate::app::App;

pub(super) fn server_info() -> ServerInfo {
    ServerInfo { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// What is known about the model so far; more once it is loaded.
pub(super) fn model_summary(app: &App) -> ModelSummary {
    let facts = app.model().facts();
    let mut summary = ModelSummary {
        name: app.model_name(),
        fill_in_the_middle: facts.map(|it| it.fim.is_some()),
        completion_format: facts.map(|it| it.fim.as_ref().map_or("continuation", FimFormat::name).to_owned()),
        next_edit_format: facts.and_then(NextEditForm::of).map(|it| it.name().to_owned()),
        chat: facts.map(|it| it.tokenizer.has_chat_template()),
        ..ModelSummary::default()
    };
    if let State::Ready(description) = app.model().engine().state() {
        summary.context_length = Some(description.context_length as u64);
        summary.weights_bytes = Some(description.weights_bytes);
        summary.quantization_bits = description.quantization_bits;
        summary.architecture = Some(description.architecture);
        summary.precision = description.precision;
    }
    summary
}

/// The memory in use, and its limit.
pub(super) fn memory(app: &App) -> MemoryStatus {
    let engine = app.model().engine();
    let status = engine.status();
    let weights_bytes = match engine.state() {
        State::Ready(description) => Some(description.weights_bytes),
        State::Loading(_) | State::Failed(_) => None,
    };
    MemoryStatus {
        active_bytes: status.memory.active_bytes,
        peak_bytes: status.memory.peak_bytes,
        cache_bytes: status.memory.cache_bytes,
        weights_bytes,
        kv_bytes: status.cache.bytes,
        limit_bytes: app.limits.memory_bytes,
    }
}
