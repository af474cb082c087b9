//! What callers send to the engine's thread: jobs, cancels, and the request to shut down. See [`Inbox`].
//!
//! It is a queue under a lock and not a channel, because a job may be cancelled before the thread has taken it. While
//! the model loads or a long step runs, refusals, and cancels of jobs that are still here, are answered immediately on
//! the caller's thread. The lock is never held while the model runs. The number of a client's waiting jobs is limited,
//! counting those here and inside the engine together.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::{
    clock::Clock,
    job::{CancelReason, ClientId, Job, JobError, JobId},
    sequence::WaitingJob,
};

/// Jobs and cancels on their way to the engine's thread.
#[derive(Debug)]
pub(crate) struct Inbox {
    contents: Mutex<Contents>,
    /// Signalled when something new arrives or the inbox is closed.
    changed: Condvar,
    /// For each client.
    max_waiting: usize,
}

#[derive(Debug, Default)]
struct Contents {
    jobs: Vec<WaitingJob>,
    cancels: Vec<(JobId, CancelReason)>,
    /// The clients of the jobs that the engine has taken and that have no slot yet.
    waiting_inside: Vec<ClientId>,
    n_submitted: u64,
    /// If set, the answer to every job from now on.
    closed: Option<JobError>,
}

/// What has arrived since the last call, in order.
#[derive(Debug)]
pub(crate) struct Arrivals {
    pub(crate) jobs: Vec<WaitingJob>,
    pub(crate) cancels: Vec<(JobId, CancelReason)>,
}

impl Inbox {
    pub(crate) fn new(max_waiting: usize) -> Self {
        Self { contents: Mutex::default(), changed: Condvar::new(), max_waiting }
    }

    /// Adds a job, or refuses it.
    pub(crate) fn submit(&self, job: Job, clock: &dyn Clock) -> JobId {
        let mut contents = self.lock();
        let id = JobId(contents.n_submitted);
        contents.n_submitted += 1;
        let waiting = WaitingJob::new(id, job, clock.now());
        let n_queued = contents.n_waiting_of(waiting.job.client);
        let refusal = match &contents.closed {
            Some(error) => Some(error.clone()),
            None => (n_queued >= self.max_waiting).then_some(JobError::Overloaded { n_queued }),
        };
        if let Some(error) = refusal {
            // The older job would have been superseded, so it is no longer needed.
            let older = waiting.job.supersedes.as_ref().filter(|_| contents.closed.is_none());
            contents.cancels.extend(older.map(|it| (it.job, CancelReason::Superseded)));
            waiting.fail(error).send();
            self.changed.notify_one();
        } else {
            contents.jobs.push(waiting);
            self.changed.notify_one();
        }
        id
    }

    /// Ends a job that is still here, or leaves the cancel for the thread.
    pub(crate) fn cancel(&self, id: JobId, reason: CancelReason, clock: &dyn Clock) {
        let mut contents = self.lock();
        if let Some(idx) = contents.jobs.iter().position(|waiting| waiting.id == id) {
            contents.jobs.remove(idx).finish(reason.into(), clock.now()).send();
        } else if contents.closed.is_none() {
            contents.cancels.push((id, reason));
            self.changed.notify_one();
        }
    }

    /// Answers the jobs here and all later ones with `error`, or with the error of the first call.
    pub(crate) fn close(&self, error: JobError) {
        let mut contents = self.lock();
        let error = contents.closed.get_or_insert(error).clone();
        for waiting in contents.jobs.drain(..) {
            waiting.fail(error.clone()).send();
        }
        contents.cancels.clear();
        self.changed.notify_one();
    }

    /// Takes what has arrived; `None` once the inbox is closed. With `wait`, blocks until something arrives.
    pub(crate) fn drain(&self, wait: bool) -> Option<Arrivals> {
        let mut contents = self.lock();
        if wait {
            let idle = |contents: &mut Contents| {
                contents.jobs.is_empty() && contents.cancels.is_empty() && contents.closed.is_none()
            };
            contents = self.changed.wait_while(contents, idle).unwrap_or_else(PoisonError::into_inner);
        }
        if contents.closed.is_some() {
            return None;
        }
        let jobs = std::mem::take(&mut contents.jobs);
        contents.waiting_inside.extend(jobs.iter().map(|it| it.job.client));
        Some(Arrivals { jobs, cancels: std::mem::take(&mut contents.cancels) })
    }

    /// The number of jobs without a slot, here and inside the engine.
    pub(crate) fn n_waiting(&self) -> usize {
        self.lock().n_waiting()
    }

    /// Says whose jobs wait inside the engine.
    pub(crate) fn set_waiting_inside(&self, clients: impl Iterator<Item = ClientId>) {
        let mut contents = self.lock();
        contents.waiting_inside.clear();
        contents.waiting_inside.extend(clients);
    }

    /// A panic under the lock leaves the contents consistent, so a poisoned lock can be used.
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    fn n_waiting(&self) -> usize {
        self.waiting_inside.len() + self.jobs.len()
    }

    fn n_waiting_of(&self, client: ClientId) -> usize {
        let inside = self.waiting_inside.iter().copied();
        inside.chain(self.jobs.iter().map(|it| it.job.client)).filter(|it| *it == client).count()
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

    const CLIENT: ClientId = ClientId(7);

    fn submit(inbox: &Inbox) -> UnboundedReceiver<Event> {
        submit_for(CLIENT, inbox)
    }

    fn submit_for(client: ClientId, inbox: &Inbox) -> UnboundedReceiver<Event> {
        let (sender, events) = unbounded_channel();
        let job = Job {
            client,
            prompt: vec![1],
            near: None,
            borders: Vec::new(),
            params: SamplingParams::default(),
            end_tokens: Vec::new(),
            stop: Vec::new(),
            rules: None,
            healing: None,
            constraint: None,
            text_start: TextStart::Fresh,
            line_end: None,
            max_tokens: 1,
            max_kv_tokens: None,
            time_budget: None,
            priority: Priority::Background,
            top_logprobs: None,
            min_confidence: None,
            speculate: false,
            document: None,
            supersedes: None,
            events: sender,
        };
        inbox.submit(job, &ManualClock::new());
        events
    }

    #[test]
    fn a_job_that_the_engine_is_taking_still_counts_as_waiting() {
        let inbox = Inbox::new(1);
        let _first = submit(&inbox);
        let arrivals = inbox.drain(true).unwrap();
        assert_eq!((arrivals.jobs.len(), inbox.n_waiting()), (1, 1));
        let mut second = submit(&inbox);
        let refusal = second.try_recv().unwrap();
        assert!(matches!(refusal, Event::Failed(JobError::Overloaded { n_queued: 1 })));
        inbox.set_waiting_inside(std::iter::empty());
        let mut third = submit(&inbox);
        assert!(third.try_recv().is_err());
    }

    #[test]
    fn a_client_with_a_full_queue_takes_no_place_of_another() {
        let inbox = Inbox::new(1);
        let _first = submit(&inbox);
        inbox.drain(true).unwrap();
        let other = ClientId(8);
        let mut waiting = submit_for(other, &inbox);
        assert!(waiting.try_recv().is_err(), "it waits");
        let mut refused = [submit(&inbox), submit_for(other, &inbox)];
        for refused in &mut refused {
            let refusal = refused.try_recv().unwrap();
            assert!(matches!(refusal, Event::Failed(JobError::Overloaded { n_queued: 1 })));
        }
        assert_eq!(inbox.n_waiting(), 2);
    }

    #[test]
    fn the_first_reason_for_closing_is_kept() {
        let inbox = Inbox::new(1);
        inbox.close(JobError::LoadFailed { message: "no such folder".to_owned() });
        inbox.close(JobError::ShuttingDown);
        assert!(inbox.drain(true).is_none());
        assert!(matches!(submit(&inbox).try_recv().unwrap(), Event::Failed(JobError::LoadFailed { .. })));
    }
}
