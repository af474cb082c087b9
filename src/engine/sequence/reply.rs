//! Sends a job's events to its submitter: [`Reply`].
//!
//! A reply sends exactly one terminal event: [`Reply::end`] consumes it, and if a reply is dropped before that, because
//! of a panic or a bug, it sends an error.

use tokio::sync::mpsc::UnboundedSender;

use crate::job::{Event, Finish, JobError};

/// Sends a job's events in order, and its end once.
#[derive(Debug)]
pub(crate) struct Reply {
    /// `None` after the end was sent.
    events: Option<UnboundedSender<Event>>,
}

impl Reply {
    pub(crate) fn new(events: UnboundedSender<Event>) -> Self {
        Self { events: Some(events) }
    }

    /// Whether the receiver is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.events.as_ref().is_none_or(UnboundedSender::is_closed)
    }

    pub(crate) fn prefill(&self, done: usize, total: usize, cached: usize) {
        self.send(Event::Prefill { done, total, cached });
    }

    /// Sends final text, unless it is empty.
    pub(crate) fn delta(&self, text: String, confidence: Option<f64>) {
        if !text.is_empty() {
            self.send(Event::Delta { text, confidence });
        }
    }

    pub(crate) fn end(mut self, outcome: Result<Finish, JobError>) {
        self.send_end(outcome);
    }

    fn send(&self, event: Event) {
        if let Some(events) = &self.events {
            // A dropped receiver is noticed through `is_abandoned` before the next step.
            let _ = events.send(event);
        }
    }

    fn send_end(&mut self, outcome: Result<Finish, JobError>) {
        self.send(outcome.map_or_else(Event::Failed, |it| Event::Finished(Box::new(it))));
        self.events = None;
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.events.is_some() {
            self.send_end(Err(JobError::EngineDied {
                message: "the job was dropped without an answer".to_owned(),
            }));
        }
    }
}

/// The end of a job, decided but not sent yet.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) reply: Reply,
    pub(crate) outcome: Result<Finish, JobError>,
}

impl Ended {
    pub(crate) fn send(self) {
        self.reply.end(self.outcome);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[test]
    fn dropping_an_unanswered_reply_ends_its_job_with_an_error() {
        let (events, mut inbox) = unbounded_channel();
        drop(Reply::new(events));
        assert!(matches!(inbox.try_recv().unwrap(), Event::Failed(JobError::EngineDied { .. })));
        assert!(inbox.try_recv().is_err());
    }

    #[test]
    fn dropping_an_answered_reply_sends_nothing() {
        let (events, mut inbox) = unbounded_channel();
        Reply::new(events).end(Err(JobError::ShuttingDown));
        assert!(matches!(inbox.try_recv().unwrap(), Event::Failed(JobError::ShuttingDown)));
        assert!(inbox.try_recv().is_err());
    }
}
