//! A request whose text arrives piece by piece.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::protocol::{CancelOutcome, CancelResult, DeltaParams};
use crate::worker::Worker;

/// Whom to tell when a worker has a request, and with which id.
pub(crate) struct Sent {
    pub(crate) worker: watch::Sender<Option<Arc<Worker>>>,
    pub(crate) id: watch::Sender<Option<u64>>,
}

/// The deltas of a request, and then its result. Dropping it cancels the request.
pub struct Stream<T> {
    pub(crate) deltas: mpsc::UnboundedReceiver<DeltaParams>,
    pub(crate) answer: JoinHandle<Result<T, Error>>,
    pub(crate) id: watch::Receiver<Option<u64>>,
    pub(crate) worker: watch::Receiver<Option<Arc<Worker>>>,
}

impl<T> Stream<T> {
    /// The next piece of the text; `None` when the request has ended.
    pub async fn next(&mut self) -> Option<DeltaParams> {
        self.deltas.recv().await
    }

    /// Waits for the result, whether or not the deltas were read.
    pub async fn result(mut self) -> Result<T, Error> {
        (&mut self.answer).await.unwrap_or(Err(Error::Closed))
    }

    /// Waits until the worker has the request, or until it has ended without: others may be before it.
    pub async fn is_sent(&self) -> bool {
        self.sent().await.is_some()
    }

    async fn sent(&self) -> Option<(Arc<Worker>, u64)> {
        let (mut id, mut worker) = (self.id.clone(), self.worker.clone());
        let worker = worker.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
        let id = id.wait_for(Option::is_some).await.ok().and_then(|it| *it);
        worker.zip(id)
    }

    /// Stops the request at the worker; its result is then the text so far.
    pub async fn cancel(&self) -> Result<CancelResult, Error> {
        let Some((worker, id)) = self.sent().await else {
            return Ok(CancelResult { outcome: CancelOutcome::Finished, completion_tokens: 0 });
        };
        let result: Value = worker.request("cancel", &json!({"id": id}), None, None).await?;
        serde_json::from_value(result).map_err(|e| Error::Form(e.to_string()))
    }
}

impl<T> Drop for Stream<T> {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

impl<T> futures_core::Stream for Stream<T> {
    type Item = DeltaParams;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<DeltaParams>> {
        self.deltas.poll_recv(context)
    }
}
