//! Limits the memory that the texts of waiting requests take: [`HeldTexts`].
//!
//! Requests keep their texts while they wait for the model, for the encoder or for their turn. A limit for their number
//! does not limit their bytes, so a request that would take too much is refused.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;

/// The size of the texts that a client's waiting requests hold, and its limit.
#[derive(Debug)]
pub struct HeldTexts {
    limit_bytes: u64,
    sum: Mutex<Sum>,
    /// The total size for all clients, for the engine's memory accounting.
    n_bytes_of_all: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    n_requests: u64,
    n_bytes: u64,
}

/// The texts of one request, which count until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    texts: Arc<HeldTexts>,
    n_bytes: u64,
}

impl HeldTexts {
    pub fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, sum: Mutex::default(), n_bytes_of_all: Arc::default() }
    }

    /// For another client of the process, with the same limit.
    #[must_use]
    pub fn for_another_client(&self) -> Self {
        let n_bytes_of_all = Arc::clone(&self.n_bytes_of_all);
        Self { limit_bytes: self.limit_bytes, sum: Mutex::default(), n_bytes_of_all }
    }

    /// The bytes held for all clients, as a shared value that changes.
    pub fn n_bytes_of_all(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.n_bytes_of_all)
    }

    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Counts a request's texts, or refuses the request. A single request is always accepted, however long it is.
    pub(crate) fn hold(self: &Arc<Self>, n_bytes: usize) -> Result<Held, Error> {
        let n_bytes = n_bytes as u64;
        let mut sum = self.sum();
        let available_bytes = self.limit_bytes.saturating_sub(sum.n_bytes);
        if n_bytes > available_bytes && sum.n_bytes > 0 {
            return Err(Error::NoRoom { n_requests: sum.n_requests, needed_bytes: n_bytes, available_bytes });
        }
        sum.n_requests += 1;
        sum.n_bytes += n_bytes;
        self.n_bytes_of_all.fetch_add(n_bytes, Ordering::Relaxed);
        Ok(Held { texts: Arc::clone(self), n_bytes })
    }

    fn sum(&self) -> MutexGuard<'_, Sum> {
        // No code can panic in the middle of a change to the sum.
        self.sum.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut sum = self.texts.sum();
        sum.n_requests -= 1;
        sum.n_bytes -= self.n_bytes;
        self.texts.n_bytes_of_all.fetch_sub(self.n_bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The number of requests held, and the bytes that a refused request needed and that were available.
    fn refused(texts: &Arc<HeldTexts>, n_bytes: usize) -> (u64, u64, u64) {
        match texts.hold(n_bytes) {
            Err(Error::NoRoom { n_requests, needed_bytes, available_bytes }) => {
                (n_requests, needed_bytes, available_bytes)
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn texts_are_held_up_to_the_limit_but_a_single_one_always() {
        let texts = Arc::new(HeldTexts::new(100));
        let (first, second) = (texts.hold(60).unwrap(), texts.hold(40).unwrap());
        assert_eq!(refused(&texts, 1), (2, 1, 0));
        assert!(texts.hold(0).is_ok());
        drop(first);
        assert_eq!(refused(&texts, 61), (1, 61, 60));
        drop(second);
        assert!(texts.hold(1000).is_ok());
    }

    #[test]
    fn what_one_client_holds_takes_nothing_from_another() {
        let texts = Arc::new(HeldTexts::new(100));
        let others = Arc::new(texts.for_another_client());
        let first = texts.hold(100).unwrap();
        let second = others.hold(90).unwrap();
        assert_eq!(refused(&others, 11), (1, 11, 10));
        let of_all = || texts.n_bytes_of_all().load(Ordering::Relaxed);
        assert_eq!(of_all(), 190);
        drop((first, second));
        assert_eq!(of_all(), 0);
    }
}
