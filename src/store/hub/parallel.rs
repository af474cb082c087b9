//! Several downloads at a time: [`for_each`].

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::error::StoreError;

/// What a thread tells about the task of an index.
enum Message<T> {
    Bytes(u64),
    End(Result<T, StoreError>),
}

/// Does `n_tasks` tasks, up to `n_threads` at a time, and returns their results in order. `work` is called on other
/// threads with the index of a task, and with a function to call with the bytes that are done; `on_bytes` is called on
/// this thread with the bytes of all. After the first error no task begins, the running ones stop at their next bytes,
/// and that error is returned.
pub(super) fn for_each<T: Send>(
    n_tasks: usize,
    n_threads: usize,
    work: impl Fn(usize, &mut dyn FnMut(u64) -> Result<(), StoreError>) -> Result<T, StoreError> + Sync,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<Vec<T>, StoreError> {
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel();
    let mut results: Vec<Option<T>> = (0..n_tasks).map(|_| None).collect();
    let mut bytes = vec![0; n_tasks];
    let mut failure = None;
    thread::scope(|scope| {
        for _ in 0..n_threads.clamp(1, n_tasks.max(1)) {
            let (sender, next, is_over, work) = (sender.clone(), &next, &is_over, &work);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let idx = next.fetch_add(1, Ordering::Relaxed);
                    if idx >= n_tasks {
                        break;
                    }
                    let result = work(idx, &mut |n_bytes| {
                        let _ = sender.send((idx, Message::Bytes(n_bytes)));
                        if is_over.load(Ordering::Relaxed) { Err(StoreError::Stopped) } else { Ok(()) }
                    });
                    // Before the next task can begin. After the first error, others are of tasks that were stopped, and
                    // could be heard before it.
                    if result.is_err() && is_over.swap(true, Ordering::Relaxed) {
                        return;
                    }
                    let _ = sender.send((idx, Message::End(result)));
                }
            });
        }
        drop(sender);
        for (idx, message) in receiver {
            match message {
                Message::Bytes(n_bytes) => {
                    bytes[idx] = n_bytes;
                    on_bytes(bytes.iter().sum());
                }
                Message::End(Ok(result)) => results[idx] = Some(result),
                Message::End(Err(err)) => failure = Some(err),
            }
        }
    });
    match failure {
        Some(err) => Err(err),
        None => Ok(results.into_iter().flatten().collect()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn results_come_in_order_and_the_bytes_of_all_tasks_are_added() {
        let mut seen = Vec::new();
        let work = |idx: usize, on_bytes: &mut dyn FnMut(u64) -> Result<(), StoreError>| {
            on_bytes(10)?;
            Ok(idx * 2)
        };
        let results = for_each(5, 3, work, &mut |it| seen.push(it)).unwrap();
        assert_eq!((results, seen), (vec![0, 2, 4, 6, 8], vec![10, 20, 30, 40, 50]));
        assert_eq!(for_each(0, 3, work, &mut |_| {}).unwrap(), Vec::<usize>::new());
    }

    #[test]
    fn the_first_error_stops_the_other_tasks() {
        let work = |idx: usize, on_bytes: &mut dyn FnMut(u64) -> Result<(), StoreError>| {
            if idx == 1 {
                return Err(StoreError::NoHome);
            }
            // Ends only by the other task's error.
            loop {
                on_bytes(1)?;
                thread::yield_now();
            }
        };
        // Which of the two is heard first depends on the moment.
        for _ in 0..500 {
            let err = for_each::<()>(20, 2, work, &mut |_| {}).unwrap_err();
            assert!(matches!(err, StoreError::NoHome), "{err}");
        }
    }
}
