//! [`Following`]: a run on behalf of a client's request, which ends when the client cancels that.

use runabout_assist::{Error, JobError, Run, Update};
use runabout_rpc::RequestContext;

/// A run that is followed to its end. A cancelled one ends like any other, with the text so far.
pub(super) struct Following<'a> {
    run: Run,
    request: &'a RequestContext,
    is_cancelled: bool,
}

impl<'a> Following<'a> {
    pub(super) fn new(run: Run, request: &'a RequestContext) -> Self {
        Self { run, request, is_cancelled: false }
    }

    /// The next update. [`Update::Done`] or an error is the last one.
    pub(super) async fn next(&mut self) -> Result<Update, Error> {
        loop {
            tokio::select! {
                update = self.run.next() => return update.unwrap_or(Err(JobError::ShuttingDown.into())),
                _ = self.request.cancelled(), if !self.is_cancelled => self.cancel(),
            }
        }
    }

    /// Ends the run early.
    pub(super) fn cancel(&mut self) {
        self.is_cancelled = true;
        self.run.cancel();
    }
}
