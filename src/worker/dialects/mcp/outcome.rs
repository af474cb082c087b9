//! Follows the run of a tool call to its outcome, which keeps the call's progress up to date.

use runabout_assist::{Outcome, Run, Update};

use super::failure::Failure;
use super::tool::Call;
use crate::dialects::following::Following;

/// Follows the run to its end. If the request is cancelled, the run ends early with the text so far.
pub(super) async fn of(run: Run, call: &Call) -> Result<Outcome, Failure> {
    let mut run = Following::new(run, &call.request);
    loop {
        match run.next().await? {
            Update::Prefill { done, total } => call.progress.prompt(done, total),
            Update::Text { text, .. } | Update::Reasoning { text } => call.progress.text(&text),
            Update::Done(outcome) => return Ok(outcome),
        }
    }
}
