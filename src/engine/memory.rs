//! How much memory there is for slots ([`Allowance`]), and how much a job needs ([`SlotSizing`]).
//!
//! Memory for the longest text of a job is reserved before it starts, so that a running job never runs out of memory.
//! The rest holds checkpoints, and what past jobs left. This is pure arithmetic; the scheduler decides which jobs wait
//! for memory.

use crate::{
    job::{Job, JobError},
    model::{ModelDescription, SlotCost},
    speculation::MAX_DRAFTS,
};

/// Memory is short if less than this fraction of the limit is left: a sixteenth.
const SHORT_PARTS: u64 = 16;

/// How much memory the engine may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    limit_bytes: Option<u64>,
    /// What the model takes, with a step.
    taken_by_model: u64,
    /// For keys and values.
    kv_bytes: u64,
}

impl Allowance {
    /// `loaded_bytes` is the memory of the loaded model, and `step_bytes` that of the largest step.
    pub(crate) fn new(limit_bytes: Option<u64>, loaded_bytes: u64, step_bytes: u64) -> Self {
        let taken_by_model = loaded_bytes.saturating_add(step_bytes);
        let kv_bytes = limit_bytes.map_or(u64::MAX, |limit| limit.saturating_sub(taken_by_model));
        Self { limit_bytes, taken_by_model, kv_bytes }
    }

    /// The memory that all slots together may take.
    pub(crate) fn kv_bytes(&self) -> u64 {
        self.kv_bytes
    }

    /// The same, while other parts of the process use `held_bytes` of it.
    pub(crate) fn kv_bytes_beside(&self, held_bytes: u64) -> u64 {
        if self.limit_bytes.is_none() { u64::MAX } else { self.kv_bytes.saturating_sub(held_bytes) }
    }

    /// Whether a job that may need `needed_bytes` fits if it runs alone.
    pub(crate) fn check(&self, needed_bytes: u64) -> Result<(), JobError> {
        if needed_bytes <= self.kv_bytes {
            return Ok(());
        }
        if self.kv_bytes == 0 {
            return Err(JobError::ModelTooLarge {
                needed_bytes: self.taken_by_model,
                available_bytes: self.limit_bytes.unwrap_or(u64::MAX),
            });
        }
        Err(JobError::OutOfMemory { needed_bytes, available_bytes: self.kv_bytes })
    }

    /// Whether little of the limit is left.
    pub(crate) fn is_short(&self, active_bytes: u64) -> bool {
        self.limit_bytes.is_some_and(|limit| active_bytes > limit - limit / SHORT_PARTS)
    }
}

/// How much memory a slot takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotSizing {
    context_length: usize,
    cost: SlotCost,
}

impl SlotSizing {
    pub(crate) fn of(model: &ModelDescription) -> Self {
        Self { context_length: model.context_length, cost: model.slot_cost }
    }

    /// The memory that a slot takes when it holds `n_tokens`, without checkpoints.
    pub(crate) fn bytes_for(self, n_tokens: usize) -> u64 {
        self.cost.bytes(self.cost.room_for(n_tokens), 0)
    }

    /// The memory that must be added to a slot with memory for `n_room` tokens so that it can hold `n_tokens`.
    pub(crate) fn bytes_to_grow(self, n_room: usize, n_tokens: usize) -> u64 {
        self.bytes_for(n_tokens).saturating_sub(self.cost.bytes(n_room, 0))
    }

    /// The memory that a job with a prompt of `n_prompt` tokens may need.
    pub(crate) fn reserved_for(self, n_prompt: usize, job: &Job) -> u64 {
        // Drafts are in the slot while a step checks them.
        let n_drafts = if job.speculate { MAX_DRAFTS } else { 0 };
        let n_tokens = n_prompt.saturating_add(job.max_tokens).saturating_add(n_drafts);
        self.bytes_for(n_tokens.min(job.max_kv_tokens.unwrap_or(self.context_length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const STEP_BYTES: u64 = 320 * MIB;

    #[test]
    fn memory_beyond_the_model_and_a_step_is_for_keys_and_values() {
        let allowance = Allowance::new(Some(896 * MIB + STEP_BYTES), 600 * MIB, STEP_BYTES);
        let available = 296 * MIB;
        assert_eq!(allowance.kv_bytes(), available);
        assert!(allowance.check(available).is_ok());
        assert!(matches!(
            allowance.check(available + 1),
            Err(JobError::OutOfMemory { needed_bytes, available_bytes })
                if needed_bytes == available + 1 && available_bytes == available
        ));
    }

    #[test]
    fn memory_that_other_parts_hold_is_not_for_keys_and_values() {
        let allowance = Allowance::new(Some(10 * MIB + STEP_BYTES), 0, STEP_BYTES);
        assert_eq!(allowance.kv_bytes_beside(4 * MIB), 6 * MIB);
        assert_eq!(allowance.kv_bytes_beside(11 * MIB), 0);
        assert_eq!(Allowance::new(None, 0, STEP_BYTES).kv_bytes_beside(4 * MIB), u64::MAX);
    }

    #[test]
    fn a_model_as_large_as_the_limit_leaves_nothing() {
        let allowance = Allowance::new(Some(100 * MIB), 600 * MIB, STEP_BYTES);
        let refused = allowance.check(1);
        let Err(refused @ JobError::ModelTooLarge { needed_bytes, available_bytes }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((needed_bytes, available_bytes), (600 * MIB + STEP_BYTES, 100 * MIB));
        assert!(refused.to_string().contains("a smaller model"), "{refused}");
    }

    #[test]
    fn without_a_limit_everything_fits() {
        assert!(Allowance::new(None, 600 * MIB, STEP_BYTES).check(1 << 40).is_ok());
        assert!(!Allowance::new(None, 600 * MIB, STEP_BYTES).is_short(u64::MAX));
    }

    #[test]
    fn memory_is_short_in_its_last_sixteenth() {
        let allowance = Allowance::new(Some(1600), 0, STEP_BYTES);
        assert!(!allowance.is_short(1500));
        assert!(allowance.is_short(1501));
    }

    #[test]
    fn a_slot_takes_its_fixed_part_and_whole_steps_of_tokens() {
        let cost = SlotCost { fixed_bytes: 1000, bytes_per_token: 2, checkpoint_bytes: 300, step_tokens: 16 };
        let sizing = SlotSizing { context_length: 64, cost };
        assert_eq!([0, 1, 16, 17].map(|n| sizing.bytes_for(n)), [1000, 1032, 1032, 1064]);
        assert_eq!(
            [(0, 1), (16, 16), (16, 17), (40, 17)].map(|(a, b)| sizing.bytes_to_grow(a, b)),
            [32, 0, 32, 0]
        );
    }
}
