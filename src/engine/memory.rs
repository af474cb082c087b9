//! How much memory there is for keys and values ([`Allowance`]), and how much a job needs ([`SlotSizing`]).
//!
//! Memory for the longest text of a job is reserved before it starts, so that a running job never runs out of memory.
//! The rest holds what past jobs left. This is pure arithmetic; the scheduler decides which jobs wait for memory.

use crate::{
    job::{Job, JobError},
    model::ModelDescription,
    speculation::MAX_DRAFTS,
};

/// Kept free for the activations and logits of a step, and for memory that the allocator does not return. It is one and
/// a half times what was measured with chunks of 512 tokens and a model of half a billion weights, 220 MB; steps within
/// their target time are shorter.
const WORKING_BYTES: u64 = 320 << 20;

/// Memory is short if less than this fraction of the limit is left: a sixteenth.
const SHORT_PARTS: u64 = 16;

/// How much memory the engine may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    limit_bytes: Option<u64>,
    /// For keys and values.
    kv_bytes: u64,
    bytes_per_token: u64,
}

impl Allowance {
    /// `loaded_bytes` is the memory of the loaded model, `bytes_per_token` that of one token's keys and values.
    pub(crate) fn new(limit_bytes: Option<u64>, loaded_bytes: u64, bytes_per_token: u64) -> Self {
        let kv_bytes = limit_bytes
            .map_or(u64::MAX, |limit| limit.saturating_sub(loaded_bytes).saturating_sub(WORKING_BYTES));
        Self { limit_bytes, kv_bytes, bytes_per_token }
    }

    pub(crate) fn kv_bytes(&self) -> u64 {
        self.kv_bytes
    }

    /// The number of tokens for which all slots together may have memory.
    pub(crate) fn n_tokens(&self) -> usize {
        self.n_tokens_beside(0)
    }

    /// The same, while other parts of the process use `held_bytes` of the memory.
    pub(crate) fn n_tokens_beside(&self, held_bytes: u64) -> usize {
        if self.limit_bytes.is_none() {
            return usize::MAX;
        }
        // If the size per token is unknown, there is no limit.
        let kv_bytes = self.kv_bytes.saturating_sub(held_bytes);
        let n_tokens = kv_bytes.checked_div(self.bytes_per_token).unwrap_or(u64::MAX);
        usize::try_from(n_tokens).unwrap_or(usize::MAX)
    }

    /// Whether a job that needs memory for `n_tokens` fits if it runs alone.
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

/// How many tokens a slot takes memory for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotSizing {
    context_length: usize,
    /// Memory is allocated for this many tokens at a time.
    step_tokens: usize,
}

impl SlotSizing {
    pub(crate) fn of(model: &ModelDescription) -> Self {
        Self { context_length: model.context_length, step_tokens: model.kv_step_tokens.max(1) }
    }

    /// The number of tokens for which a slot has memory when it holds `n_tokens`.
    pub(crate) fn room_for(self, n_tokens: usize) -> usize {
        n_tokens.next_multiple_of(self.step_tokens)
    }

    /// The number of tokens for which a job with a prompt of `n_prompt` tokens may need memory.
    pub(crate) fn reserved_for(self, n_prompt: usize, job: &Job) -> usize {
        // Drafts are in the slot while a step checks them.
        let n_drafts = if job.speculate { MAX_DRAFTS } else { 0 };
        let n_tokens = n_prompt.saturating_add(job.max_tokens).saturating_add(n_drafts);
        self.room_for(n_tokens.min(self.context_length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn memory_beyond_the_model_and_a_step_is_for_keys_and_values() {
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
    fn memory_that_other_parts_hold_is_not_for_keys_and_values() {
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
