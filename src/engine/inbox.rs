//! What callers leave for the engine's thread: jobs, cancels, and the wish to shut down.
//!
//! A queue under a lock rather than a channel, because a job may be taken back before the thread has looked
//! at it. While the model loads, or a long step runs, a cancel of a job still in here is answered at once, on
//! the caller's thread; so are refusals. The lock is never held while anything runs. Who waits is bounded,
//! here and inside the engine together.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::{
    clock::Clock,
    job::{CancelReason, Job, JobError, JobId},
    sequence::Waiting,
};

#[derive(Debug)]
pub(crate) struct Inbox {
    left: Mutex<Left>,
    something_came: Condvar,
    max_waiting: usize,
}

#[derive(Debug, Default)]
struct Left {
    jobs: Vec<Waiting>,
    cancels: Vec<(JobId, CancelReason)>,
    /// Jobs taken in by the engine that have no slot yet.
    n_waiting_inside: usize,
    n_submitted: u64,
    /// The answer to every job from now on.
    closed: Option<JobError>,
}

/// All that came since the last look, in order.
#[derive(Debug)]
pub(crate) struct Arrivals {
    pub(crate) jobs: Vec<Waiting>,
    pub(crate) cancels: Vec<(JobId, CancelReason)>,
}

impl Inbox {
    pub(crate) fn new(max_waiting: usize) -> Self {
        Self { left: Mutex::default(), something_came: Condvar::new(), max_waiting }
    }

    pub(crate) fn submit(&self, job: Job, clock: &dyn Clock) -> JobId {
        let mut left = self.lock();
        let id = JobId(left.n_submitted);
        left.n_submitted += 1;
        let waiting = Waiting::new(id, job, clock.now());
        let n_queued = left.n_waiting();
        let refusal = match &left.closed {
            Some(error) => Some(error.clone()),
            None => (n_queued >= self.max_waiting).then_some(JobError::Overloaded { n_queued }),
        };
        if let Some(error) = refusal {
            // It would have ended an older job, which is of no use any more.
            let older = waiting.job.supersedes.as_ref().filter(|_| left.closed.is_none());
            left.cancels.extend(older.map(|it| (it.job, CancelReason::Superseded)));
            waiting.fail(error).tell();
            self.something_came.notify_one();
        } else {
            left.jobs.push(waiting);
            self.something_came.notify_one();
        }
        id
    }

    pub(crate) fn cancel(&self, id: JobId, reason: CancelReason, clock: &dyn Clock) {
        let mut left = self.lock();
        if let Some(idx) = left.jobs.iter().position(|waiting| waiting.id == id) {
            left.jobs.remove(idx).finish(reason.into(), clock.now()).tell();
        } else if left.closed.is_none() {
            left.cancels.push((id, reason));
            self.something_came.notify_one();
        }
    }

    /// Answers with `error` what is in here and all that will come. The first reason stays.
    pub(crate) fn close(&self, error: JobError) {
        let mut left = self.lock();
        let error = left.closed.get_or_insert(error).clone();
        for waiting in left.jobs.drain(..) {
            waiting.fail(error.clone()).tell();
        }
        left.cancels.clear();
        self.something_came.notify_one();
    }

    /// All that came. `None` once the inbox is closed. With `wait`, blocks until there is something.
    pub(crate) fn drain(&self, wait: bool) -> Option<Arrivals> {
        let mut left = self.lock();
        if wait {
            let idle =
                |left: &mut Left| left.jobs.is_empty() && left.cancels.is_empty() && left.closed.is_none();
            left = self.something_came.wait_while(left, idle).unwrap_or_else(PoisonError::into_inner);
        }
        if left.closed.is_some() {
            return None;
        }
        left.n_waiting_inside += left.jobs.len();
        Some(Arrivals { jobs: std::mem::take(&mut left.jobs), cancels: std::mem::take(&mut left.cancels) })
    }

    pub(crate) fn n_waiting(&self) -> usize {
        self.lock().n_waiting()
    }

    pub(crate) fn set_n_waiting_inside(&self, n_waiting: usize) {
        self.lock().n_waiting_inside = n_waiting;
    }

    /// A panic under the lock leaves nothing half done, so that a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Left {
    fn n_waiting(&self) -> usize {
        self.n_waiting_inside + self.jobs.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use runabout_text::SamplingParams;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::{
        clock::ManualClock,
        job::{Event, Priority, TextStart},
    };

    fn submit(inbox: &Inbox) -> UnboundedReceiver<Event> {
        let (sender, events) = unbounded_channel();
        let job = Job {
            prompt: vec![1],
            params: SamplingParams::default(),
            end_tokens: Vec::new(),
            stop: Vec::new(),
            rules: None,
            healing: None,
            text_start: TextStart::Fresh,
            line_end: None,
            max_tokens: 1,
            time_budget: None,
            priority: Priority::Background,
            top_logprobs: None,
            speculate: false,
            document: None,
            supersedes: None,
            events: sender,
        };
        inbox.submit(job, &ManualClock::new());
        events
    }

    #[test]
    fn a_job_on_its_way_into_the_engine_still_counts_as_waiting() {
        let inbox = Inbox::new(1);
        let _first = submit(&inbox);
        let arrivals = inbox.drain(true).unwrap();
        assert_eq!((arrivals.jobs.len(), inbox.n_waiting()), (1, 1));
        let mut second = submit(&inbox);
        let refusal = second.try_recv().unwrap();
        assert!(matches!(refusal, Event::Failed(JobError::Overloaded { n_queued: 1 })));
        inbox.set_n_waiting_inside(0);
        let mut third = submit(&inbox);
        assert!(third.try_recv().is_err());
    }

    #[test]
    fn the_first_reason_for_closing_stays() {
        let inbox = Inbox::new(1);
        inbox.close(JobError::LoadFailed { message: "no such folder".to_owned() });
        inbox.close(JobError::ShuttingDown);
        assert!(inbox.drain(true).is_none());
        assert!(matches!(submit(&inbox).try_recv().unwrap(), Event::Failed(JobError::LoadFailed { .. })));
    }
}
