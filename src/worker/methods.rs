//! The methods that the worker answers: params in, checked into jobs, results out.
//!
//! A file for each method that does work, the small ones here. [`work`] is what they share: it runs jobs for a
//! request and turns their events into `delta`s.

mod chat;
mod complete;
mod registry;
mod tokenize;
mod warm;
mod work;

use std::sync::Arc;

use runabout_api::methods::Cancel;
use runabout_api::notifications::{self, Exit};
use runabout_api::{
    CancelOutcome, CancelParams, CancelResult, Capabilities, InitializeParams, InitializeResult, Method,
    NoParams, Notification, OpenRpc, PROTOCOL_VERSION, Sender, StatusResult,
};
use runabout_engine::{JobError, ModelDescription, State};
use runabout_rpc::{
    CancelledBy, ErrorObjectOwned, Handle, Lookup, Notifications, Params, RequestContext, RequestId, params,
};
use serde::de::DeserializeOwned;

pub(crate) use self::registry::registry;
use self::work::Ended;
use crate::convert;
use crate::session::Session;

type MethodResult<T> = std::result::Result<T, ErrorObjectOwned>;

/// What clients say without waiting for an answer.
pub(crate) fn notifications(session: Arc<Session>) -> Notifications {
    Notifications::new()
        .on(notifications::Cancel::NAME, |params, connection| {
            if let Some(id) =
                params::parse::<CancelParams>(params).ok().and_then(|it| RequestId::from_raw(&it.id.0))
            {
                connection.in_flight().cancel(&id, CancelledBy::Program);
            }
        })
        .on(Exit::NAME, move |_, connection| {
            session.exit();
            connection.stop();
        })
}

/// A call's parameters, and how many bytes they were. As they were written they are not kept.
fn read<T: DeserializeOwned>(params: Params<'static>) -> MethodResult<(T, usize)> {
    let n_bytes = n_bytes(&params);
    let read = params::parse(&params)?;
    drop(params);
    Ok((read, n_bytes))
}

/// Refuses a prompt that has too many tokens, told by the least number that it can have.
fn check_size(n_least: usize, max_tokens: u32, description: &ModelDescription) -> MethodResult<()> {
    let limit = description.context_length.saturating_sub(max_tokens.min(1) as usize);
    if n_least <= limit {
        return Ok(());
    }
    Err(convert::job_error(&JobError::PromptTooLong { n_tokens: n_least, limit }))
}

fn n_bytes(params: &Params<'_>) -> usize {
    params.as_str().map_or(0, str::len)
}

fn initialize(params: &Params<'_>, session: &Session) -> MethodResult<InitializeResult> {
    let params: InitializeParams = params::parse(params)?;
    if let Some(client) = &params.client {
        tracing::info!(client = client.name, version = client.version, "initialize");
    }
    Ok(InitializeResult {
        protocol_version: PROTOCOL_VERSION,
        server: Session::server_info(),
        state: convert::worker_state(&session.host.engine.state()),
        capabilities: Capabilities {
            methods: owned(runabout_api::method_names()),
            notifications: owned(runabout_api::notification_names(Sender::Worker)),
            response_formats: vec!["text".to_owned()],
            choices: true,
            speculation: true,
        },
        limits: session.limits(),
        model: session.model_summary(),
    })
}

fn owned(names: Vec<&str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

fn status(params: &Params<'_>, session: &Session) -> MethodResult<StatusResult> {
    let NoParams {} = params::parse(params)?;
    let (state, status) = (session.host.engine.state(), session.host.engine.status());
    Ok(StatusResult {
        state: convert::worker_state(&state),
        server: Session::server_info(),
        uptime_ms: session.uptime_ms(),
        model: session.model_summary(),
        memory: session.memory(),
        queue: runabout_api::QueueStatus {
            running: status.n_running as u64,
            waiting: status.n_waiting as u64,
        },
        cache: runabout_api::CacheStatus {
            slots: status.cache.n_slots as u64,
            tokens: status.cache.n_tokens as u64,
            bytes: status.cache.bytes,
            lookups: status.cache.n_lookups,
            hits: status.cache.n_hits,
            prompt_tokens: status.cache.n_tokens_asked,
            cached_tokens: status.cache.n_tokens_found,
        },
        speed: runabout_api::SpeedStatus {
            prompt_tokens_per_second: status.speed.prefill_tokens_per_second,
            generation_tokens_per_second: status.speed.decode_tokens_per_second,
        },
        error: match &state {
            State::Failed(error) => Some(convert::error_data(error)),
            State::Loading(_) | State::Ready(_) => None,
        },
        device: match state {
            State::Ready(description) => Some(description.device),
            State::Loading(_) | State::Failed(_) => None,
        },
    })
}

fn shutdown(params: &Params<'_>, session: &Session, request: &RequestContext) -> MethodResult<()> {
    let NoParams {} = params::parse(params)?;
    session.shut_down();
    request.connection().refuse_requests(convert::shutting_down());
    Ok(())
}

fn discover(params: &Params<'_>) -> MethodResult<OpenRpc> {
    let NoParams {} = params::parse(params)?;
    Ok(OpenRpc(runabout_api::openrpc()))
}

async fn cancel(params: &Params<'_>, request: &RequestContext) -> MethodResult<CancelResult> {
    let params: CancelParams = params::parse(params)?;
    let Some(id) = RequestId::from_raw(&params.id.0) else {
        return Err(convert::invalid("id", "`id` must be a string or a number"));
    };
    Ok(cancel_and_wait(&id, request.connection()).await)
}

async fn cancel_and_wait(id: &RequestId, connection: &Handle) -> CancelResult {
    let unknown = CancelResult { outcome: CancelOutcome::Unknown, completion_tokens: 0 };
    let (record, was_running) = match connection.in_flight().cancel(id, CancelledBy::Program) {
        // It cannot be stopped, and may itself be waiting for this one.
        Lookup::Running(record) | Lookup::Finished(record) if record.method() == Cancel::NAME => {
            return unknown;
        }
        Lookup::Running(record) => (record, true),
        Lookup::Finished(record) => (record, false),
        Lookup::Unknown => return unknown,
    };
    record.ended().await;
    let ended = record.note::<Ended>().unwrap_or_default();
    // A request that was about to end of itself when the cancel came has finished, not been cancelled.
    let outcome =
        if was_running && ended.by_cancel { CancelOutcome::Cancelled } else { CancelOutcome::Finished };
    CancelResult { outcome, completion_tokens: ended.completion_tokens }
}
