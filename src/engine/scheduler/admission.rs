//! Which waiting job gets a slot.
//!
//! Each priority has its own number of slots, so neither blocks the other. Within a priority, the client with the fewest
//! slots comes first, and then the order is that of arrival: a smaller job does not overtake a larger one, which might
//! otherwise wait forever. A client that has no slot may get one beyond the usual number, so it need not wait until
//! another one's long text ends. Memory for the longest text of a job is reserved before it starts, so a running job
//! never runs out of memory.

use crate::job::{ClientId, JobId, Priority};

/// A job that waits for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotRequest {
    pub(crate) id: JobId,
    pub(crate) client: ClientId,
    pub(crate) priority: Priority,
    /// The memory that it may need.
    pub(crate) reserved_bytes: u64,
    /// Whether it waits for another job that is computing a prompt with the same beginning. Jobs behind it need not
    /// wait.
    pub(crate) waits_for_prefix: bool,
}

/// A job that has a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotUse {
    pub(crate) client: ClientId,
    pub(crate) priority: Priority,
    /// The memory that is reserved for it.
    pub(crate) reserved_bytes: u64,
}

/// How much may run at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AdmissionLimits {
    /// The number of jobs of each priority; at least 1 is admitted.
    pub(crate) n_running: usize,
    /// The number of further jobs of each priority, of clients that have none running.
    pub(crate) n_for_others: usize,
    /// The memory that all jobs together may take.
    pub(crate) bytes: u64,
}

impl AdmissionLimits {
    /// A quarter is kept free for interactive jobs. A background job that does not fit in the rest runs only if nothing
    /// else does.
    fn bytes_for(self, priority: Priority) -> u64 {
        match priority {
            Priority::Interactive => self.bytes,
            Priority::Background => self.bytes - self.bytes / 4,
        }
    }
}

/// The index of the applicant that gets the next slot; `None` if none fits.
pub(crate) fn admit(requests: &[SlotRequest], uses: &[SlotUse], limits: AdmissionLimits) -> Option<usize> {
    let held_bytes: u64 = uses.iter().map(|it| it.reserved_bytes).sum();
    [Priority::Interactive, Priority::Background].into_iter().find_map(|priority| {
        let is_next = |it: &SlotRequest| it.priority == priority && !it.waits_for_prefix;
        let running = || uses.iter().filter(|it| it.priority == priority);
        let n_of = |client| running().filter(|it| it.client == client).count();
        let waiting = requests.iter().enumerate().filter(|(_, it)| is_next(it));
        let (n_own, (idx, next)) =
            waiting.map(|it| (n_of(it.1.client), it)).min_by_key(|(n_own, (_, it))| (*n_own, it.id))?;
        let fits = uses.is_empty() || held_bytes + next.reserved_bytes <= limits.bytes_for(priority);
        let n_for_others = if n_own == 0 { limits.n_for_others } else { 0 };
        (running().count() < limits.n_running.max(1) + n_for_others && fits).then_some(idx)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{Background, Interactive};

    const LIMITS: AdmissionLimits = AdmissionLimits { n_running: 2, n_for_others: 1, bytes: 100 };

    const fn waiting(id: u64, priority: Priority, reserved_bytes: u64) -> SlotRequest {
        SlotRequest { id: JobId(id), client: ClientId(0), priority, reserved_bytes, waits_for_prefix: false }
    }

    const fn running(priority: Priority, reserved_bytes: u64) -> SlotUse {
        SlotUse { client: ClientId(0), priority, reserved_bytes }
    }

    fn check(requests: &[SlotRequest], uses: &[SlotUse], expected: Option<u64>) {
        let admitted = admit(requests, uses, LIMITS).map(|idx| requests[idx].id.0);
        assert_eq!(admitted, expected, "{requests:?} {uses:?}");
    }

    #[test]
    fn interactive_goes_before_background_and_older_before_newer() {
        check(&[], &[], None);
        check(&[waiting(2, Background, 5), waiting(1, Background, 5)], &[], Some(1));
        check(&[waiting(1, Background, 5), waiting(2, Interactive, 5)], &[], Some(2));
        check(&[waiting(3, Interactive, 5), waiting(2, Interactive, 5)], &[], Some(2));
    }

    #[test]
    fn neither_priority_takes_the_slots_of_the_other() {
        let background = [running(Background, 5), running(Background, 5)];
        check(&[waiting(1, Background, 5)], &background, None);
        check(&[waiting(1, Background, 5), waiting(2, Interactive, 5)], &background, Some(2));
        let interactive = [running(Interactive, 5), running(Interactive, 5)];
        check(&[waiting(1, Background, 5), waiting(2, Interactive, 5)], &interactive, Some(1));
    }

    #[test]
    fn a_job_waits_for_memory_and_is_not_overtaken_by_a_smaller_one() {
        let uses = [running(Background, 50)];
        check(&[waiting(1, Background, 30), waiting(2, Background, 1)], &uses, None);
        check(&[waiting(1, Background, 25)], &uses, Some(1));
        // The last quarter is for interactive jobs.
        check(&[waiting(1, Background, 30), waiting(2, Interactive, 50)], &uses, Some(2));
        check(&[waiting(2, Interactive, 51)], &uses, None);
        // Larger than three quarters, but alone.
        check(&[waiting(1, Background, 90)], &[], Some(1));
    }

    #[test]
    fn the_client_with_the_fewest_slots_comes_first_and_one_without_any_gets_one_more() {
        let of = |client, it| SlotRequest { client: ClientId(client), ..it };
        let requests = [waiting(1, Background, 5), of(9, waiting(2, Background, 5))];
        check(&requests, &[], Some(1));
        check(&requests, &[running(Background, 5)], Some(2));
        check(&requests, &[running(Background, 5), running(Background, 5)], Some(2));
        let other = SlotUse { client: ClientId(9), ..running(Background, 5) };
        check(&requests, &[other], Some(1));
        let full = [running(Background, 5), running(Background, 5), other];
        check(&requests, &full, None);
        check(&[of(8, waiting(3, Background, 5))], &full, None);
        // Not beyond the memory.
        check(&requests, &[running(Background, 40), running(Background, 35)], None);
    }

    #[test]
    fn a_job_that_waits_for_another_ones_prompt_does_not_delay_others() {
        let follower = SlotRequest { waits_for_prefix: true, ..waiting(1, Background, 5) };
        check(&[follower], &[], None);
        check(&[follower, waiting(2, Background, 5)], &[], Some(2));
    }
}
