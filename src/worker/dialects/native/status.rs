//! `status`: the state of the model, its queue, its cache and its memory.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use runabout_api::methods::Status;
use runabout_api::{
    CacheStatus, ClientStatus, NoParams, QueueStatus, SpeedStatus, StatusResult, SuggestionStatus,
};
use runabout_assist::State;

use super::method::{Answer, Call, MethodResult};
use super::{about, to_wire};
use crate::presence::Present;
use crate::suggestion_counts::SuggestionCounts;

impl Answer for Status {
    async fn answer(mut call: Call) -> MethodResult<StatusResult> {
        let NoParams {} = call.read()?;
        let app = &call.client.app;
        let engine = app.model().engine();
        let (state, status) = (engine.state(), engine.status());
        Ok(StatusResult {
            state: to_wire::worker_state(&state),
            server: about::server_info(),
            uptime_ms: milliseconds_since(app.started),
            model: about::model_summary(app),
            memory: about::memory(app),
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
            computed_tokens: status.n_computed,
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
            clients: app.presence.all().iter().map(client).collect(),
            suggestions: suggestions(&call.client.suggestions),
        })
    }
}

fn client(present: &Present) -> ClientStatus {
    ClientStatus {
        command: present.front.service.name().to_owned(),
        pid: present.front.pid,
        connected_ms: milliseconds_since(present.since),
    }
}

fn suggestions(counts: &Mutex<SuggestionCounts>) -> Option<SuggestionStatus> {
    let counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    (counts.n_offered > 0).then(|| SuggestionStatus {
        offered: counts.n_offered,
        shown: counts.n_shown,
        accepted: counts.n_accepted,
        partially_accepted: counts.n_partially_accepted,
        dismissed: counts.n_dismissed,
        accepted_characters: counts.n_accepted_chars,
        retained: counts.n_retained,
        retained_of: counts.n_looked_at,
        shown_to_accept_ms: counts.shown_to_accept_ms(),
    })
}

fn milliseconds_since(then: Instant) -> u64 {
    u64::try_from(then.elapsed().as_millis()).unwrap_or(u64::MAX)
}
