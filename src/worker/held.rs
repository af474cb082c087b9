//! How much of the texts of requests is held at a time, in bytes.
//!
//! Requests that wait for the model, for the encoder or for their turn hold their texts. Their number alone bounds
//! nothing, so what would take too much is refused.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is held, of how much.
#[derive(Debug)]
pub(crate) struct HeldTexts {
    limit_bytes: u64,
    sum: Mutex<Sum>,
    /// The sum's bytes, for the engine's reckoning.
    n_bytes: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    n_requests: u64,
    n_bytes: u64,
}

/// The texts of one request, held until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    texts: Arc<HeldTexts>,
    n_bytes: u64,
}

/// There is no room for a request's texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom {
    pub(crate) n_requests: u64,
    pub(crate) needed_bytes: u64,
    pub(crate) available_bytes: u64,
}

impl HeldTexts {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, sum: Mutex::default(), n_bytes: Arc::default() }
    }

    /// How much is held at the moment.
    pub(crate) fn n_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.n_bytes)
    }

    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Counts a request's texts. One alone is always held, however long.
    pub(crate) fn hold(self: &Arc<Self>, n_bytes: usize) -> Result<Held, NoRoom> {
        let n_bytes = n_bytes as u64;
        let mut sum = self.sum();
        let available_bytes = self.limit_bytes.saturating_sub(sum.n_bytes);
        if n_bytes > available_bytes && sum.n_bytes > 0 {
            return Err(NoRoom { n_requests: sum.n_requests, needed_bytes: n_bytes, available_bytes });
        }
        sum.n_requests += 1;
        sum.n_bytes += n_bytes;
        self.n_bytes.store(sum.n_bytes, Ordering::Relaxed);
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
        self.texts.n_bytes.store(sum.n_bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn texts_are_held_up_to_the_limit_and_one_alone_however_long() {
        let texts = Arc::new(HeldTexts::new(100));
        let (first, second) = (texts.hold(60).unwrap(), texts.hold(40).unwrap());
        let refused = NoRoom { n_requests: 2, needed_bytes: 1, available_bytes: 0 };
        assert_eq!(texts.hold(1).unwrap_err(), refused);
        assert!(texts.hold(0).is_ok());
        drop(first);
        let refused = NoRoom { n_requests: 1, needed_bytes: 61, available_bytes: 60 };
        assert_eq!(texts.hold(61).unwrap_err(), refused);
        drop(second);
        assert!(texts.hold(1000).is_ok());
    }
}
