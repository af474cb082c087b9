//! A persistent pool of worker threads for jobs of a few microseconds.
//!
//! One caller at a time starts a range of jobs. Each thread takes jobs from its own share, front to back so that it
//! reads memory as one stream, and then from the shares of others. A waiting thread first spins, because a model
//! starts the next region within microseconds, then yields to other processes, then parks: an idle pool uses no CPU,
//! and a waiting thread does not occupy a core that a working thread needs.
//!
//! The whole protocol is in `Shared::state`: a region number, whether the region is open, whether the caller is
//! parked, and how many workers are inside. A worker enters by a compare-and-swap on an open region that it has not
//! entered yet, so a late worker can never access the job of a finished region.

use std::cell::UnsafeCell;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long a waiting thread only spins: longer than the gap between two operations of a model.
const SPIN: Duration = Duration::from_micros(15);
/// How long it then yields its core between checks, before it parks.
const YIELD: Duration = Duration::from_micros(60);
/// Checks of the state between checks of the clock.
const SPINS_PER_LOOK: u32 = 32;

/// The number of workers inside the region.
const INSIDE: u64 = 0xffff;
/// Set while workers may enter.
const OPEN: u64 = 1 << 16;
/// Set while the caller is parked: the last worker to leave wakes it.
const CALLER_PARKED: u64 = 1 << 17;
/// The lowest bit of the region number.
const REGION: u64 = 1 << 18;

/// Threads that work for one caller at a time. Dropping the pool ends and joins them.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    /// Held by the caller of the current region.
    caller: Mutex<()>,
}

#[derive(Debug)]
struct Worker {
    thread: JoinHandle<()>,
    parked: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Shared {
    state: Padded<AtomicU64>,
    /// For each thread, the next job of its share. The caller is the first.
    next: Vec<Padded<AtomicUsize>>,
    job: UnsafeCell<Job>,
    caller: Mutex<Option<Thread>>,
    panic: Mutex<Option<Box<dyn std::any::Any + Send>>>,
    stop: AtomicBool,
}

/// Occupies its own pair of cache lines, since every thread writes it.
#[derive(Debug)]
#[repr(align(128))]
struct Padded<T>(T);

/// A borrowed `Fn(usize)` without its lifetime; `Pool::for_each` outlives every use of it.
#[derive(Clone, Copy, Debug)]
struct Job {
    call: unsafe fn(*const (), usize),
    context: *const (),
    n_jobs: usize,
}

// SAFETY: `job` is written by the one caller while no worker is inside, and read by workers that entered
// after it was published; the function behind it is `Sync`. Everything else is `Sync` by itself.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointers are not tied to a thread.
unsafe impl Send for Shared {}

impl Pool {
    /// A pool that computes with `n_threads` threads, including the caller.
    pub fn new(n_threads: NonZeroUsize) -> io::Result<Pool> {
        unsafe fn nothing(_: *const (), _: usize) {}
        let n_threads = n_threads.get().min(INSIDE as usize);
        let shared = Arc::new(Shared {
            state: Padded(AtomicU64::new(0)),
            next: (0..n_threads).map(|_| Padded(AtomicUsize::new(0))).collect(),
            job: UnsafeCell::new(Job { call: nothing, context: std::ptr::null(), n_jobs: 0 }),
            caller: Mutex::new(None),
            panic: Mutex::new(None),
            stop: AtomicBool::new(false),
        });
        let mut pool = Pool { shared, workers: Vec::new(), caller: Mutex::new(()) };
        for i in 1..n_threads {
            let parked = Arc::new(AtomicBool::new(false));
            let (shared, its_parked) = (Arc::clone(&pool.shared), Arc::clone(&parked));
            let thread = std::thread::Builder::new()
                .name(format!("kernels-{i}"))
                .spawn(move || shared.work(i, &its_parked))?;
            pool.workers.push(Worker { thread, parked });
        }
        Ok(pool)
    }

    /// The number of physical cores that this process may use.
    pub fn physical_cores() -> NonZeroUsize {
        let usable = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        NonZeroUsize::new(num_cpus::get_physical().min(usable)).unwrap_or(NonZeroUsize::MIN)
    }

    /// The number of compute threads, including the caller.
    pub fn n_threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `job` with every number below `n_jobs`, on any thread and in any order, and returns when all are done.
    ///
    /// A call from within a job, or during another thread's call, runs all of its jobs itself. If a job panics, jobs
    /// that have not started are skipped, and the panic continues in the caller.
    pub fn for_each<F: Fn(usize) + Sync>(&self, n_jobs: usize, job: F) {
        unsafe fn call<F: Fn(usize)>(context: *const (), i: usize) {
            // SAFETY: `context` is the `&F` of the region that the calling thread is inside.
            unsafe { (*context.cast::<F>())(i) }
        }
        let caller = if n_jobs > 1 && !self.workers.is_empty() { self.become_caller() } else { None };
        if caller.is_none() {
            return (0..n_jobs).for_each(job);
        }

        let shared = &*self.shared;
        // SAFETY: this thread holds the lock, and no worker was inside when the last region ended.
        unsafe { *shared.job.get() = Job { call: call::<F>, context: (&raw const job).cast(), n_jobs } };
        for (thread, next) in shared.next.iter().enumerate() {
            next.0.store(shared.share(thread, n_jobs).start, Ordering::Relaxed);
        }
        let region = (shared.state.0.load(Ordering::Relaxed) & !(REGION - 1)).wrapping_add(REGION);
        shared.state.0.store(region | OPEN, Ordering::SeqCst);
        for worker in self.workers.iter().take(n_jobs - 1) {
            // Ordered after the store above, just as a worker reads the state after it sets its flag.
            if worker.parked.load(Ordering::SeqCst) {
                worker.thread.thread().unpark();
            }
        }

        let own = catch_unwind(AssertUnwindSafe(|| shared.draw(0)));
        shared.state.0.fetch_and(!OPEN, Ordering::AcqRel);
        if own.is_err() {
            shared.skip_the_rest();
        }
        shared.wait_until_empty();
        let theirs = lock(&shared.panic).take();
        drop(caller);
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        if let Some(panic) = theirs {
            resume_unwind(panic);
        }
    }

    fn become_caller(&self) -> Option<MutexGuard<'_, ()>> {
        match self.caller.try_lock() {
            Ok(caller) => Some(caller),
            Err(std::sync::TryLockError::Poisoned(caller)) => Some(caller.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread.thread().unpark();
            // A worker catches its jobs' panics, so it has no panic of its own to report.
            let _ = worker.thread.join();
        }
    }
}

impl Shared {
    fn work(&self, thread: usize, parked: &AtomicBool) {
        let mut last_region = 0;
        loop {
            let mut waiter = Waiter::default();
            let entered = loop {
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                if let Some(region) = self.enter(last_region) {
                    break region;
                }
                if waiter.pause() {
                    parked.store(true, Ordering::SeqCst);
                    let state = self.state.0.load(Ordering::SeqCst);
                    let nothing_new = state & OPEN == 0 || state & !(REGION - 1) == last_region;
                    if nothing_new && !self.stop.load(Ordering::SeqCst) {
                        std::thread::park();
                    }
                    parked.store(false, Ordering::SeqCst);
                }
            };
            last_region = entered;
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.draw(thread))) {
                self.skip_the_rest();
                lock(&self.panic).get_or_insert(panic);
            }
            let before = self.state.0.fetch_sub(1, Ordering::AcqRel);
            if before & INSIDE == 1
                && before & CALLER_PARKED != 0
                && let Some(caller) = &*lock(&self.caller)
            {
                caller.unpark();
            }
        }
    }

    /// Enters the open region, unless it is `last_region`. Returns its number.
    fn enter(&self, last_region: u64) -> Option<u64> {
        let state = self.state.0.load(Ordering::Relaxed);
        let region = state & !(REGION - 1);
        if state & OPEN == 0 || region == last_region {
            return None;
        }
        self.state
            .0
            .compare_exchange(state, state + 1, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            .then_some(region)
    }

    /// Runs jobs of the region until none are left. The calling thread must be inside the region or be the caller.
    fn draw(&self, thread: usize) {
        // SAFETY: written before the region opened, and not again before this thread has left it.
        let job = unsafe { *self.job.get() };
        let n_threads = self.next.len();
        for (victim, next) in self.next.iter().enumerate().cycle().skip(thread).take(n_threads) {
            let end = self.share(victim, job.n_jobs).end;
            // Loads before the swap: the cache line of an exhausted share then stays shared between cores.
            while next.0.load(Ordering::Relaxed) < end {
                let i = next.0.fetch_add(1, Ordering::Relaxed);
                if i < end {
                    // SAFETY: the caller waits for this thread to leave before the function behind it ends.
                    unsafe { (job.call)(job.context, i) };
                }
            }
        }
    }

    /// The share of a thread.
    fn share(&self, thread: usize, n_jobs: usize) -> Range<usize> {
        let n_threads = self.next.len();
        n_jobs * thread / n_threads..n_jobs * (thread + 1) / n_threads
    }

    /// After a panic: prevents further jobs from starting.
    fn skip_the_rest(&self) {
        for next in &self.next {
            next.0.store(usize::MAX / 2, Ordering::Relaxed);
        }
    }

    /// Waits until all workers have left the closed region.
    fn wait_until_empty(&self) {
        let mut waiter = Waiter::default();
        let mut state = self.state.0.load(Ordering::Acquire);
        while state & INSIDE != 0 {
            if state & CALLER_PARKED != 0 {
                std::thread::park();
            } else if waiter.pause() {
                *lock(&self.caller) = Some(std::thread::current());
                state = self.state.0.fetch_or(CALLER_PARKED, Ordering::AcqRel) | CALLER_PARKED;
                continue;
            }
            state = self.state.0.load(Ordering::Acquire);
        }
    }
}

/// Spins, then yields, then asks to park.
#[derive(Default)]
struct Waiter {
    looks: u32,
    since: Option<Instant>,
}

impl Waiter {
    /// Waits for a moment. Returns true when it is time to park.
    fn pause(&mut self) -> bool {
        std::hint::spin_loop();
        self.looks += 1;
        if !self.looks.is_multiple_of(SPINS_PER_LOOK) {
            return false;
        }
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        if waited > SPIN {
            std::thread::yield_now();
        }
        waited > YIELD
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn pool(n: usize) -> Pool {
        Pool::new(NonZeroUsize::new(n).unwrap()).unwrap()
    }

    #[test]
    fn every_job_runs_exactly_once() {
        let pool = pool(4);
        for n_jobs in (0..200).chain([1_000, 10_000]) {
            let counts: Vec<AtomicUsize> = (0..n_jobs).map(|_| AtomicUsize::new(0)).collect();
            pool.for_each(n_jobs, |i| {
                counts[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|it| it.load(Ordering::Relaxed) == 1), "{n_jobs} jobs");
        }
    }

    #[test]
    fn a_region_is_over_when_for_each_returns() {
        let pool = pool(3);
        for round in 0..2_000 {
            let done = AtomicUsize::new(0);
            pool.for_each(7, |i| {
                done.fetch_add(i + round, Ordering::Relaxed);
            });
            assert_eq!(done.into_inner(), 21 + 7 * round);
        }
    }

    #[test]
    fn parked_workers_wake_for_the_next_region() {
        let pool = pool(2);
        for _ in 0..3 {
            while !pool.workers.iter().all(|it| it.parked.load(Ordering::SeqCst)) {
                std::thread::yield_now();
            }
            // Each of the two jobs waits for the other, so both threads must take part.
            let here = std::sync::Barrier::new(2);
            pool.for_each(2, |_| {
                here.wait();
            });
        }
    }

    #[test]
    fn a_caller_that_parked_is_woken_by_the_last_worker() {
        let pool = pool(2);
        let shared = Arc::clone(&pool.shared);
        let here = std::sync::Barrier::new(2);
        let caller = std::thread::current().id();
        pool.for_each(2, |_| {
            here.wait();
            if std::thread::current().id() != caller {
                while shared.state.0.load(Ordering::SeqCst) & CALLER_PARKED == 0 {
                    std::thread::yield_now();
                }
            }
        });
        assert_eq!(shared.state.0.load(Ordering::SeqCst) & INSIDE, 0);
    }

    #[test]
    fn a_call_within_a_job_does_its_work_alone() {
        let pool = pool(2);
        let total = AtomicUsize::new(0);
        pool.for_each(4, |_| {
            pool.for_each(5, |i| {
                total.fetch_add(i, Ordering::Relaxed);
            });
        });
        assert_eq!(total.into_inner(), 40);
    }

    #[test]
    fn callers_on_several_threads_do_not_disturb_each_other() {
        let pool = pool(2);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let sum = AtomicUsize::new(0);
                        pool.for_each(9, |i| {
                            sum.fetch_add(i, Ordering::Relaxed);
                        });
                        assert_eq!(sum.into_inner(), 36);
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_in_a_job_reaches_the_caller_and_the_pool_lives_on() {
        let pool = pool(3);
        for bad in 0..6 {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                pool.for_each(6, |i| assert_ne!(i, bad, "job {i} is bad"));
            }));
            assert!(caught.is_err(), "bad job {bad}");
            let sum = AtomicUsize::new(0);
            pool.for_each(6, |i| {
                sum.fetch_add(i, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 15);
        }
    }
}
