//! `status`: the state of the model, its queue, its cache and its memory.

use runabout_api::methods::Status;
use runabout_api::{
    CacheStatus, MemoryStatus, ModelSummary, NoParams, QueueStatus, SpeedStatus, StatusResult,
};
use runabout_assist::State;
use runabout_text::FimFormat;

use super::{Answer, Call, MethodResult, initialize, to_wire};
use crate::app::App;

impl Answer for Status {
    async fn answer(mut call: Call) -> MethodResult<StatusResult> {
        let NoParams {} = call.read()?;
        let app = &call.client.app;
        let engine = app.model().engine();
        let (state, status) = (engine.state(), engine.status());
        Ok(StatusResult {
            state: to_wire::worker_state(&state),
            server: initialize::server_info(),
            uptime_ms: u64::try_from(app.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            model: model_summary(app),
            memory: memory(app),
            queue: QueueStatus { running: status.n_running as u64, waiting: status.n_waiting as u64 },
            cache: CacheStatus {
                slots: status.cache.n_slots as u64,
                tokens: status.cache.n_tokens as u64,
                bytes: status.cache.bytes,
                lookups: status.cache.n_lookups,
                hits: status.cache.n_hits,
                prompt_tokens: status.cache.n_tokens_asked,
                cached_tokens: status.cache.n_tokens_found,
            },
            speed: SpeedStatus {
                prompt_tokens_per_second: status.speed.prefill_tokens_per_second,
                generation_tokens_per_second: status.speed.decode_tokens_per_second,
            },
            error: match &state {
                State::Failed(error) => Some(to_wire::error_data(error)),
                State::Loading(_) | State::Ready(_) => None,
            },
            device: match state {
                State::Ready(description) => Some(description.device),
                State::Loading(_) | State::Failed(_) => None,
            },
        })
    }
}

/// What is known of the model so far.
pub(super) fn model_summary(app: &App) -> ModelSummary {
    let facts = app.model().facts();
    let mut summary = ModelSummary {
        name: facts.map_or_else(|| app.reference.clone(), |it| it.name.clone()),
        fill_in_the_middle: facts.map(|it| it.fim.is_some()),
        completion_format: facts.map(|it| it.fim.as_ref().map_or("continuation", FimFormat::name).to_owned()),
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
