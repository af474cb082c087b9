//! Who encodes texts next.
//!
//! There are two lanes with a thread each: one for short interactive texts, one for the rest. In a
//! lane, interactive work goes before background work, also before what has begun: between two pieces of its text that
//! lets it pass. Work whose request has ended stops at the next piece. More threads would each keep tables of their own,
//! which grow to half a megabyte, and take cores from what the model computes with.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runabout_engine::Priority;
use tokio::sync::oneshot;

/// Encoded in about 60 ms.
const SHORT_BYTES: usize = 64 * 1024;

static SHORT: Lane = Lane::new();
static LONG: Lane = Lane::new();

/// Does `work`, which encodes about `n_bytes` of text, on a thread of its own when its turn comes. When the future is
/// dropped, it is not begun or soon ended.
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
    let place = lane.place(priority);
    let turn = lane.enter(place).await;
    let wanted = Wanted::default();
    let is_wanted = Arc::clone(&wanted.0);
    let task = tokio::task::spawn_blocking(move || {
        let mut turn = Some(turn);
        let may_go_on = move || {
            if !is_wanted.load(Ordering::Relaxed) {
                return false;
            }
            turn = turn.take().map(|it| it.let_pass(place));
            true
        };
        runabout_text::interruptible(may_go_on, work)
    });
    match task.await {
        Ok(result) => result,
        // The request's own task passes it on as an internal error.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Whether the request still waits for the result: until this is dropped.
struct Wanted(Arc<AtomicBool>);

impl Default for Wanted {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// One works at a time, the others wait in order.
#[derive(Debug)]
struct Lane(Mutex<Queue>);

#[derive(Debug)]
struct Queue {
    is_taken: bool,
    n_came: u64,
    waiting: BTreeMap<Place, oneshot::Sender<Turn>>,
}

/// Smaller ones go first: interactive before background, then by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    is_background: bool,
    order: u64,
}

/// The right to work, which goes to the next when it is dropped.
#[derive(Debug)]
struct Turn(Option<&'static Lane>);

impl Lane {
    const fn new() -> Self {
        Self(Mutex::new(Queue { is_taken: false, n_came: 0, waiting: BTreeMap::new() }))
    }

    fn place(&self, priority: Priority) -> Place {
        let mut queue = self.queue();
        queue.n_came += 1;
        Place { is_background: priority == Priority::Background, order: queue.n_came }
    }

    async fn enter(&'static self, place: Place) -> Turn {
        let turn = {
            let mut queue = self.queue();
            if !queue.is_taken {
                queue.is_taken = true;
                return Turn(Some(self));
            }
            queue.wait(place)
        };
        turn.await.expect("a lane hands its turn on and never drops who waits")
    }

    fn hand_on(&'static self) {
        let mut queue = self.queue();
        while let Some((_, next)) = queue.waiting.pop_first() {
            match next.send(Turn(Some(self))) {
                Ok(()) => return,
                // Waits no longer. Its turn must not come back here, where the queue is held.
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
    fn wait(&mut self, place: Place) -> oneshot::Receiver<Turn> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(place, sender);
        receiver
    }
}

impl Turn {
    /// Lets those pass that go before `place`, and waits for it. Blocks.
    fn let_pass(self, place: Place) -> Self {
        let Some(lane) = self.0 else { return self };
        let back = {
            let mut queue = lane.queue();
            if queue
                .waiting
                .first_key_value()
                .is_none_or(|(first, _)| first.is_background >= place.is_background)
            {
                drop(queue);
                return self;
            }
            queue.wait(place)
        };
        drop(self);
        back.blocking_recv().expect("a lane hands its turn on and never drops who waits")
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(lane) = self.0.take() {
            lane.hand_on();
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

    /// Enters the lane, in the order of calls.
    async fn enter(lane: &'static Lane, priority: Priority, name: &'static str, log: &Log) -> JoinHandle<()> {
        let log = Arc::clone(log);
        let task = tokio::spawn(run(lane, priority, move || log.lock().unwrap().push(name)));
        tokio::task::yield_now().await;
        task
    }

    #[tokio::test]
    async fn interactive_work_goes_first_and_else_it_goes_by_arrival() {
        let (lane, log) = (lane(), Log::default());
        let first = lane.enter(lane.place(Priority::Background)).await;
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
    async fn what_has_begun_lets_interactive_work_pass_and_no_other() {
        let (lane, log) = (lane(), Log::default());
        let place = lane.place(Priority::Background);
        let turn = lane.enter(place).await;
        let background = enter(lane, Priority::Background, "b", &log).await;
        let turn = tokio::task::spawn_blocking(move || turn.let_pass(place)).await.unwrap();
        assert!(log.lock().unwrap().is_empty());
        let interactive = enter(lane, Priority::Interactive, "i", &log).await;
        let turn = tokio::task::spawn_blocking(move || turn.let_pass(place)).await.unwrap();
        interactive.await.unwrap();
        assert_eq!(*log.lock().unwrap(), ["i"], "and the turn came back before the one that came later");
        drop(turn);
        background.await.unwrap();
    }

    #[tokio::test]
    async fn who_waits_no_longer_is_passed_over() {
        let (lane, log) = (lane(), Log::default());
        let first = lane.enter(lane.place(Priority::Background)).await;
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
