//! Follows a run: sends its text as `delta`s and the progress of a long prompt as `progress`, and cancels it when the
//! request is cancelled.
//!
//! Invariants: deltas are numbered from 0 and go out before the response; a request cancelled by `$/cancelRequest` is
//! answered with error -32800.

use runabout_api::notifications::{Delta, Progress};
use runabout_api::{self as api, DeltaParams, Notification, ProgressParams, ProgressStage, ProgressUnit};
use runabout_assist::{FinishReason, Outcome, Run, Update};
use runabout_rpc::{CancelledBy, NotifyError, RequestContext};

use super::errors;
use super::method::MethodResult;
use crate::dialects::following::Following;

/// How a request ended, kept for a `cancel` that names it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ended {
    pub(super) by_cancel: bool,
    pub(super) completion_tokens: u64,
}

/// Whether text is sent in `delta`s, and whether each names its choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Streaming {
    Off,
    /// One text; deltas do not name a choice.
    One,
    /// Several texts; each delta names its choice.
    Several,
}

/// Sends the updates of the run until its end and returns the outcome. Fails if the run fails or `$/cancelRequest`
/// ended it.
pub(super) async fn outcome(
    run: Run,
    request: &RequestContext,
    streaming: Streaming,
) -> MethodResult<Outcome> {
    let mut run = Following::new(run, request);
    let mut n_deltas = 0;
    let outcome = loop {
        let mut delta = None;
        match run.next().await.map_err(|error| errors::of_request(&error))? {
            Update::Prefill { done, total } => report_prefill(request, done, total),
            Update::Done(outcome) => break outcome,
            Update::Text { .. } | Update::Reasoning { .. } if streaming == Streaming::Off => {}
            Update::Text { choice, text, .. } => {
                let choice = (streaming == Streaming::Several).then_some(choice);
                delta = Some((text, choice, false));
            }
            Update::Reasoning { text } => delta = Some((text, None, true)),
        }
        let Some((text, choice, reasoning)) = delta else { continue };
        let params = DeltaParams { id: wire_id(request), seq: n_deltas, text, choice, reasoning };
        n_deltas += 1;
        if let Err(NotifyError::Closed(_)) = request.notify(Delta::NAME, &params).await {
            // The client is gone.
            run.cancel();
        }
    };
    let by_cancel = outcome.finishes.iter().any(|it| it.reason == FinishReason::Cancelled);
    let completion_tokens = outcome.finishes.iter().map(|it| it.usage.completion_tokens as u64).sum();
    request.note(Ended { by_cancel, completion_tokens });
    if by_cancel && request.cancelled_by() == Some(CancelledBy::CancelRequest) {
        return Err(errors::request_cancelled(outcome.finishes[0].text.clone()));
    }
    Ok(outcome)
}

fn report_prefill(request: &RequestContext, done: usize, total: usize) {
    let params = ProgressParams {
        id: Some(wire_id(request)),
        stage: ProgressStage::Prefill,
        done: done as u64,
        total: Some(total as u64),
        unit: ProgressUnit::Tokens,
    };
    // Dropped if the queue is full: only the latest matters.
    let _ = request.try_notify(Progress::NAME, &params);
}

fn wire_id(request: &RequestContext) -> api::RequestId {
    api::RequestId(request.id().as_raw().to_owned())
}
