//! `cancel`: cancels another request, waits for its end and returns how it ended.

use runabout_api::methods::Cancel;
use runabout_api::{CancelOutcome, CancelParams, CancelResult, Method};
use runabout_rpc::{CancelledBy, Handle, Lookup, Params, RequestId, params};

use super::errors;
use super::method::{Answer, Call, MethodResult};
use super::stream::Ended;

impl Answer for Cancel {
    async fn answer(mut call: Call) -> MethodResult<CancelResult> {
        let params: CancelParams = call.read()?;
        let Some(id) = RequestId::from_raw(&params.id.0) else {
            return Err(errors::invalid("id", "`id` must be a string or a number"));
        };
        Ok(cancel_and_wait(&id, call.request.connection()).await)
    }
}

/// Handles `cancel` sent as a notification. It gets no response, so an invalid id is ignored.
pub(super) fn cancel_unanswered(params: &Params<'_>, connection: &Handle) {
    let id = params::parse::<CancelParams>(params).ok().and_then(|it| RequestId::from_raw(&it.id.0));
    if let Some(id) = id {
        connection.in_flight().cancel(&id, CancelledBy::Program);
    }
}

async fn cancel_and_wait(id: &RequestId, connection: &Handle) -> CancelResult {
    let unknown = CancelResult { outcome: CancelOutcome::Unknown, completion_tokens: 0 };
    let (record, was_running) = match connection.in_flight().cancel(id, CancelledBy::Program) {
        // A cancel cannot be cancelled, and may itself be waiting for this one.
        Lookup::Running(record) | Lookup::Finished(record) if record.method() == Cancel::NAME => {
            return unknown;
        }
        Lookup::Running(record) => (record, true),
        Lookup::Finished(record) => (record, false),
        Lookup::Unknown => return unknown,
    };
    record.ended().await;
    let ended = record.note::<Ended>().unwrap_or_default();
    // A request that was about to end by itself when the cancel came counts as finished.
    let outcome =
        if was_running && ended.by_cancel { CancelOutcome::Cancelled } else { CancelOutcome::Finished };
    CancelResult { outcome, completion_tokens: ended.completion_tokens }
}
