//! Which waiting job gets a slot.
//!
//! Each class has places of its own, so neither keeps the other out. Within a class it goes by order of
//! arrival: nobody is overtaken by a smaller job, and so nobody waits for ever. Room for the whole of a job,
//! its longest text included, is set aside before it begins: what runs never runs out of memory.

use crate::job::{JobId, Priority};

/// A job without a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Applicant {
    pub(crate) id: JobId,
    pub(crate) priority: Priority,
    /// Tokens that it may come to hold.
    pub(crate) n_reserved: usize,
    /// Whether a prompt that begins alike is being computed right now. It then waits for that, and does not
    /// hold up those behind it.
    pub(crate) follows: bool,
}

/// A job with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occupant {
    pub(crate) priority: Priority,
    pub(crate) n_reserved: usize,
}

/// What there is to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Sequences of each class that may run at a time.
    pub(crate) n_places: usize,
    /// Tokens that all of them together may come to hold.
    pub(crate) n_tokens: usize,
}

impl Room {
    /// A quarter is kept free for interactive jobs, unless a background job would not fit in the rest even
    /// alone; it then runs when there is nothing else.
    fn n_tokens_for(self, priority: Priority) -> usize {
        match priority {
            Priority::Interactive => self.n_tokens,
            Priority::Background => self.n_tokens - self.n_tokens / 4,
        }
    }
}

/// The next to get a slot, if there is one and it fits.
pub(crate) fn admit(applicants: &[Applicant], occupants: &[Occupant], room: Room) -> Option<JobId> {
    let n_held: usize = occupants.iter().map(|it| it.n_reserved).sum();
    [Priority::Interactive, Priority::Background].into_iter().find_map(|priority| {
        let next =
            applicants.iter().filter(|it| it.priority == priority && !it.follows).min_by_key(|it| it.id)?;
        let has_place = occupants.iter().filter(|it| it.priority == priority).count() < room.n_places.max(1);
        let fits = occupants.is_empty() || n_held + next.n_reserved <= room.n_tokens_for(priority);
        (has_place && fits).then_some(next.id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{Background, Interactive};

    const ROOM: Room = Room { n_places: 2, n_tokens: 100 };

    const fn waiting(id: u64, priority: Priority, n_reserved: usize) -> Applicant {
        Applicant { id: JobId(id), priority, n_reserved, follows: false }
    }

    const fn running(priority: Priority, n_reserved: usize) -> Occupant {
        Occupant { priority, n_reserved }
    }

    fn check(applicants: &[Applicant], occupants: &[Occupant], expected: Option<u64>) {
        assert_eq!(admit(applicants, occupants, ROOM), expected.map(JobId), "{applicants:?} {occupants:?}");
    }

    #[test]
    fn interactive_goes_before_background_and_the_older_before_the_newer() {
        check(&[], &[], None);
        check(&[waiting(2, Background, 5), waiting(1, Background, 5)], &[], Some(1));
        check(&[waiting(1, Background, 5), waiting(2, Interactive, 5)], &[], Some(2));
        check(&[waiting(3, Interactive, 5), waiting(2, Interactive, 5)], &[], Some(2));
    }

    #[test]
    fn neither_class_takes_the_others_places() {
        let background = [running(Background, 5), running(Background, 5)];
        check(&[waiting(1, Background, 5)], &background, None);
        check(&[waiting(1, Background, 5), waiting(2, Interactive, 5)], &background, Some(2));
        let interactive = [running(Interactive, 5), running(Interactive, 5)];
        check(&[waiting(1, Background, 5), waiting(2, Interactive, 5)], &interactive, Some(1));
    }

    #[test]
    fn a_job_waits_for_memory_and_is_not_overtaken_by_a_smaller_one() {
        let occupants = [running(Background, 50)];
        check(&[waiting(1, Background, 30), waiting(2, Background, 1)], &occupants, None);
        check(&[waiting(1, Background, 25)], &occupants, Some(1));
        // The last quarter is for interactive jobs.
        check(&[waiting(1, Background, 30), waiting(2, Interactive, 50)], &occupants, Some(2));
        check(&[waiting(2, Interactive, 51)], &occupants, None);
        // Too large for three quarters, and alone.
        check(&[waiting(1, Background, 90)], &[], Some(1));
    }

    #[test]
    fn one_that_waits_for_a_prompt_like_its_own_holds_nobody_up() {
        let follower = Applicant { follows: true, ..waiting(1, Background, 5) };
        check(&[follower], &[], None);
        check(&[follower, waiting(2, Background, 5)], &[], Some(2));
    }
}
