//! What may be allocated: the limit, less what is there already, is for keys and values.
//!
//! A job's keys and values are set aside for its longest text before it runs, so that what runs never runs out
//! of memory. The rest holds what past jobs left. Pure arithmetic; who waits for room is for the scheduler.

use crate::job::JobError;

/// For the activations and logits of a step, and for what the allocator keeps: half as much again as was seen
/// with chunks of 512 tokens and a model of half a billion weights, 220 MB. Steps near their target are shorter.
const WORKING_BYTES: u64 = 320 << 20;

/// Less than this part of the limit left is short.
const SHORT_PARTS: u64 = 16;

/// How much the engine may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    limit_bytes: Option<u64>,
    /// For keys and values.
    kv_bytes: u64,
    bytes_per_token: u64,
}

impl Allowance {
    /// With a model loaded that takes `loaded_bytes`.
    pub(crate) fn new(limit_bytes: Option<u64>, loaded_bytes: u64, bytes_per_token: u64) -> Self {
        let kv_bytes = limit_bytes
            .map_or(u64::MAX, |limit| limit.saturating_sub(loaded_bytes).saturating_sub(WORKING_BYTES));
        Self { limit_bytes, kv_bytes, bytes_per_token }
    }

    pub(crate) fn kv_bytes(&self) -> u64 {
        self.kv_bytes
    }

    /// How many tokens may be held, all together.
    pub(crate) fn n_tokens(&self) -> usize {
        self.n_tokens_beside(0)
    }

    /// The same while others hold that many bytes of the memory.
    pub(crate) fn n_tokens_beside(&self, held_bytes: u64) -> usize {
        if self.limit_bytes.is_none() {
            return usize::MAX;
        }
        // Without a size there is no bound.
        let kv_bytes = self.kv_bytes.saturating_sub(held_bytes);
        let n_tokens = kv_bytes.checked_div(self.bytes_per_token).unwrap_or(u64::MAX);
        usize::try_from(n_tokens).unwrap_or(usize::MAX)
    }

    /// Whether a job that may come to hold so many tokens fits when it is alone.
    pub(crate) fn check(&self, n_tokens: usize) -> Result<(), JobError> {
        if n_tokens <= self.n_tokens() {
            return Ok(());
        }
        let needed_bytes = self.bytes_per_token.saturating_mul(n_tokens as u64);
        Err(JobError::OutOfMemory { needed_bytes, available_bytes: self.kv_bytes })
    }

    /// Whether little of the limit is left.
    pub(crate) fn is_short(&self, active_bytes: u64) -> bool {
        self.limit_bytes.is_some_and(|limit| active_bytes > limit - limit / SHORT_PARTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn what_the_model_and_a_step_leave_is_for_keys_and_values() {
        let allowance = Allowance::new(Some(896 * MIB + WORKING_BYTES), 600 * MIB, 1000);
        assert_eq!(allowance.kv_bytes(), 296 * MIB);
        let n_tokens = allowance.n_tokens();
        assert_eq!(n_tokens, 310_378);
        assert!(allowance.check(n_tokens).is_ok());
        let refused = allowance.check(n_tokens + 1);
        let available = 296 * MIB;
        assert!(matches!(
            refused,
            Err(JobError::OutOfMemory { needed_bytes: 310_379_000, available_bytes }) if available_bytes == available
        ));
    }

    #[test]
    fn what_others_hold_is_not_for_keys_and_values() {
        let allowance = Allowance::new(Some(10 * MIB + WORKING_BYTES), 0, 1000);
        assert_eq!(allowance.n_tokens_beside(4 * MIB), 6291);
        assert_eq!(allowance.n_tokens_beside(11 * MIB), 0);
        assert_eq!(Allowance::new(None, 0, 1000).n_tokens_beside(4 * MIB), usize::MAX);
    }

    #[test]
    fn a_model_as_large_as_the_limit_leaves_nothing() {
        let allowance = Allowance::new(Some(100 * MIB), 600 * MIB, 1000);
        assert!(matches!(allowance.check(1), Err(JobError::OutOfMemory { available_bytes: 0, .. })));
    }

    #[test]
    fn without_a_limit_or_a_size_everything_fits() {
        assert!(Allowance::new(None, 600 * MIB, 1000).check(1 << 40).is_ok());
        assert!(Allowance::new(Some(0), 600 * MIB, 0).check(1 << 40).is_ok());
        assert!(!Allowance::new(None, 600 * MIB, 1000).is_short(u64::MAX));
    }

    #[test]
    fn memory_is_short_in_its_last_sixteenth() {
        let allowance = Allowance::new(Some(1600), 0, 1);
        assert!(!allowance.is_short(1500));
        assert!(allowance.is_short(1501));
    }
}
