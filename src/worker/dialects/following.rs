//! [`Following`]: the run of a client's request, which is cancelled when the request is.

use runabout_assist::{Error, JobError, Run, Update};
use runabout_rpc::RequestContext;

/// A run and its request. A cancelled run ends like any other, with the text so far.
pub(super) struct Following<'a> {
    run: Run,
    request: &'a RequestContext,
    is_cancelled: bool,
}

impl<'a> Following<'a> {
    pub(super) fn new(run: Run, request: &'a RequestContext) -> Self {
        Self { run, request, is_cancelled: false }
    }

    /// Waits for the next update, and cancels the run if the request is cancelled. [`Update::Done`] or an error is the
    /// last update.
    pub(super) async fn next(&mut self) -> Result<Update, Error> {
        loop {
            tokio::select! {
                update = self.run.next() => return update.unwrap_or(Err(JobError::ShuttingDown.into())),
                _ = self.request.cancelled(), if !self.is_cancelled => self.cancel(),
            }
        }
    }

    /// Cancels the run. It still ends with [`Update::Done`], which has the text so far.
    pub(super) fn cancel(&mut self) {
        self.is_cancelled = true;
        self.run.cancel();
    }
}
