//! How much text waiting requests hold in memory, in bytes.
//!
//! Requests that wait for the model, for the encoder or for their turn hold their texts. Limiting their number does not
//! limit their bytes, so a request that would take too much is refused.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;

/// The texts that are held at the moment, and the most that may be. One for all clients of a process.
#[derive(Debug)]
pub struct HeldTexts {
    limit_bytes: u64,
    sum: Mutex<Sum>,
    /// The sum's bytes, for the engine's memory accounting.
    n_bytes: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    n_requests: u64,
    n_bytes: u64,
}

/// The texts of one request, counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    texts: Arc<HeldTexts>,
    n_bytes: u64,
}

impl HeldTexts {
    pub fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, sum: Mutex::default(), n_bytes: Arc::default() }
    }

    /// The bytes that are held at the moment; a value that changes.
    pub fn n_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.n_bytes)
    }

    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Counts a request's texts, or refuses them. A single request is always accepted, however long.
    pub(crate) fn hold(self: &Arc<Self>, n_bytes: usize) -> Result<Held, Error> {
        let n_bytes = n_bytes as u64;
        let mut sum = self.sum();
        let available_bytes = self.limit_bytes.saturating_sub(sum.n_bytes);
        if n_bytes > available_bytes && sum.n_bytes > 0 {
            return Err(Error::NoRoom { n_requests: sum.n_requests, needed_bytes: n_bytes, available_bytes });
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

    /// The requests that are held, and the bytes that a refused one needed and could have.
    fn refused(texts: &Arc<HeldTexts>, n_bytes: usize) -> (u64, u64, u64) {
        match texts.hold(n_bytes) {
            Err(Error::NoRoom { n_requests, needed_bytes, available_bytes }) => {
                (n_requests, needed_bytes, available_bytes)
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn texts_are_held_up_to_the_limit_and_one_alone_however_long() {
        let texts = Arc::new(HeldTexts::new(100));
        let (first, second) = (texts.hold(60).unwrap(), texts.hold(40).unwrap());
        assert_eq!(refused(&texts, 1), (2, 1, 0));
        assert!(texts.hold(0).is_ok());
        drop(first);
        assert_eq!(refused(&texts, 61), (1, 61, 60));
        drop(second);
        assert!(texts.hold(1000).is_ok());
    }
}
