//! The order in which requests' texts are encoded: [`encode`].
//!
//! There are two lanes with one thread each: one for short interactive texts, one for everything else. In a lane,
//! interactive work comes before background work. Background work pauses between two pieces of its text to let
//! interactive work pass; the work of a request that has ended stops there. More threads would take cores from the
//! model, and each would have its own tables of up to half a megabyte.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runabout_engine::Priority;
use tokio::sync::oneshot;

/// Takes about 60 ms to encode.
const SHORT_BYTES: usize = 64 * 1024;

static SHORT: Lane = Lane::new();
static LONG: Lane = Lane::new();

/// Runs `work`, which encodes about `n_bytes` of text, on another thread when its turn comes. If the future is dropped,
/// the work does not start, or stops at the next piece of text.
pub(crate) async fn encode<T: Send + 'static>(
    priority: Priority,
    n_bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let is_short = priority == Priority::Interactive && n_bytes <= SHORT_BYTES;
    run(if is_short { &SHORT } else { &LONG }, priority, work).await
}

async fn run<T: Send + 'static>(
    lane: &'static Lane,
    priority: Priority,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let rank = lane.rank(priority);
    let turn = lane.enter(rank).await;
    let still_wanted = StillWanted::default();
    let is_wanted = Arc::clone(&still_wanted.0);
    let task = tokio::task::spawn_blocking(move || {
        let mut turn = Some(turn);
        let may_go_on = move || {
            if !is_wanted.load(Ordering::Relaxed) {
                return false;
            }
            turn = turn.take().map(|it| it.let_pass(rank));
            true
        };
        runabout_text::interruptible(may_go_on, work)
    });
    match task.await {
        Ok(result) => result,
        // The request's task reports the panic as an internal error.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// True while the request waits for the result; dropping this makes it false.
struct StillWanted(Arc<AtomicBool>);

impl Default for StillWanted {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Drop for StillWanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Runs one piece of work at a time; the others wait in order.
#[derive(Debug)]
struct Lane(Mutex<Queue>);

#[derive(Debug)]
struct Queue {
    is_taken: bool,
    n_came: u64,
    waiting: BTreeMap<Rank, oneshot::Sender<Turn>>,
}

/// Smaller ranks go first: interactive before background, then in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_background: bool,
    order: u64,
}

/// The right to work in a lane; dropping it passes it on to the next in the queue.
#[derive(Debug)]
struct Turn(Option<&'static Lane>);

impl Lane {
    const fn new() -> Self {
        Self(Mutex::new(Queue { is_taken: false, n_came: 0, waiting: BTreeMap::new() }))
    }

    fn rank(&self, priority: Priority) -> Rank {
        let mut queue = self.queue();
        queue.n_came += 1;
        Rank { is_background: priority == Priority::Background, order: queue.n_came }
    }

    async fn enter(&'static self, rank: Rank) -> Turn {
        let turn = {
            let mut queue = self.queue();
            if !queue.is_taken {
                queue.is_taken = true;
                return Turn(Some(self));
            }
            queue.wait(rank)
        };
        turn.await.expect("a lane passes its turn on and never drops a waiting sender")
    }

    fn pass_on(&'static self) {
        let mut queue = self.queue();
        while let Some((_, next)) = queue.waiting.pop_first() {
            match next.send(Turn(Some(self))) {
                Ok(()) => return,
                // The receiver was dropped. Dropping the turn here would lock the queue again.
                Err(mut turn) => turn.0 = None,
            }
        }
        queue.is_taken = false;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No code can panic in the middle of a change to the queue.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn wait(&mut self, rank: Rank) -> oneshot::Receiver<Turn> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(rank, sender);
        receiver
    }
}

impl Turn {
    /// If `rank` is background, lets waiting interactive work pass first. Blocks until the turn comes back.
    fn let_pass(self, rank: Rank) -> Self {
        let Some(lane) = self.0 else { return self };
        let back = {
            let mut queue = lane.queue();
            if queue
                .waiting
                .first_key_value()
                .is_none_or(|(first, _)| first.is_background >= rank.is_background)
            {
                drop(queue);
                return self;
            }
            queue.wait(rank)
        };
        drop(self);
        back.blocking_recv().expect("a lane passes its turn on and never drops a waiting sender")
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(lane) = self.0.take() {
            lane.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::task::JoinHandle;

    use super::*;

    type Log = Arc<Mutex<Vec<&'static str>>>;

    fn lane() -> &'static Lane {
        Box::leak(Box::new(Lane::new()))
    }

    /// Waits for a turn in the lane, in the order of the calls.
    async fn enter(lane: &'static Lane, priority: Priority, name: &'static str, log: &Log) -> JoinHandle<()> {
        let log = Arc::clone(log);
        let task = tokio::spawn(run(lane, priority, move || log.lock().unwrap().push(name)));
        tokio::task::yield_now().await;
        task
    }

    #[tokio::test]
    async fn interactive_work_goes_first_and_otherwise_the_order_is_that_of_arrival() {
        let (lane, log) = (lane(), Log::default());
        let first = lane.enter(lane.rank(Priority::Background)).await;
        let mut tasks = Vec::new();
        for (priority, name) in [
            (Priority::Background, "b1"),
            (Priority::Interactive, "i1"),
            (Priority::Background, "b2"),
            (Priority::Interactive, "i2"),
        ] {
            tasks.push(enter(lane, priority, name, &log).await);
        }
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*log.lock().unwrap(), ["i1", "i2", "b1", "b2"]);
        assert!(!lane.queue().is_taken);
    }

    #[tokio::test]
    async fn running_background_work_lets_only_interactive_work_pass() {
        let (lane, log) = (lane(), Log::default());
        let rank = lane.rank(Priority::Background);
        let turn = lane.enter(rank).await;
        let background = enter(lane, Priority::Background, "b", &log).await;
        let turn = tokio::task::spawn_blocking(move || turn.let_pass(rank)).await.unwrap();
        assert!(log.lock().unwrap().is_empty());
        let interactive = enter(lane, Priority::Interactive, "i", &log).await;
        let turn = tokio::task::spawn_blocking(move || turn.let_pass(rank)).await.unwrap();
        interactive.await.unwrap();
        assert_eq!(*log.lock().unwrap(), ["i"], "and the turn came back before the one that came later");
        drop(turn);
        background.await.unwrap();
    }

    #[tokio::test]
    async fn work_that_was_given_up_is_skipped() {
        let (lane, log) = (lane(), Log::default());
        let first = lane.enter(lane.rank(Priority::Background)).await;
        let given_up = enter(lane, Priority::Interactive, "given up", &log).await;
        let stays = enter(lane, Priority::Background, "stays", &log).await;
        given_up.abort();
        given_up.await.unwrap_err();
        drop(first);
        stays.await.unwrap();
        assert_eq!(*log.lock().unwrap(), ["stays"]);
        assert!(!lane.queue().is_taken);
    }
}
