//! The model's slots: those that running sequences use, and those that the prefix cache keeps. See [`Slots`].

use std::ops::Range;

use runabout_text::TokenId;

use crate::{
    cache::{
        CacheLimits, CheckedOut, CheckoutRequest, InUse, MAX_CHECKPOINTS, MIN_COPY, Move, PrefixCache, Slot,
        n_usable,
    },
    job::Job,
    memory::SlotSizing,
    model::{LanguageModel, SlotId, StepError},
    scheduler::{Plan, SlotUse},
    sequence::{Sequence, WaitingJob},
    speculation::ModelWithDraft,
    status::CacheStatus,
};

/// The model with its slots. Sequences check out slots and give them back; idle ones are evicted to make memory for
/// those that grow.
pub(super) struct Slots {
    pub(super) model: ModelWithDraft,
    cache: PrefixCache,
}

impl Slots {
    /// `n_min_reuse`: see [`EngineOptions::n_min_reuse`](crate::EngineOptions::n_min_reuse).
    pub(super) fn new(model: ModelWithDraft, limits: CacheLimits, n_min_reuse: usize) -> Self {
        let description = model.description();
        let n_min_reuse = if description.can_shift { n_min_reuse } else { 0 };
        let cache = PrefixCache::new(limits, description.slot_cost, n_min_reuse);
        Self { model, cache }
    }

    pub(super) fn sizing(&self) -> SlotSizing {
        SlotSizing::of(self.model.description())
    }

    /// What admission needs to know about a running sequence.
    pub(super) fn slot_use(&self, sequence: &Sequence) -> SlotUse {
        let n_room = self.model.slot_room(sequence.slot.id);
        let slot_bytes = self.model.description().slot_cost.bytes(n_room, 0);
        let donor_bytes = sequence.donor().map_or(0, |it| it.slot.bytes(&self.model));
        sequence.slot_use(self.sizing(), slot_bytes, donor_bytes)
    }

    /// Whether a job should wait because a running one, of its priority or a higher one, is computing a prompt with the
    /// same beginning. It can then copy that instead of computing it too. Thus the choices of one request share their
    /// prompt.
    pub(super) fn should_wait_for_prefix(&self, waiting: &WaitingJob, running: &[Sequence]) -> bool {
        let prompt: &[TokenId] = waiting.job.reusable_prompt();
        let n_held = |it: &Sequence| it.slot.n_usable(&self.model, prompt);
        let n_soon = |it: &Sequence| {
            let n_common = n_usable(it.unfinished_prompt()?, prompt);
            // A slot that is beyond that may be able to return only to less.
            Some(if it.slot.ledger.len() <= n_common { n_common } else { n_held(it) })
        };
        let leaders = running.iter().filter(|it| it.priority() >= waiting.job.priority);
        // Among those that share as much, the one that is furthest.
        let Some((n_soon, n_now)) = leaders.filter_map(|it| Some((n_soon(it)?, n_held(it)))).max() else {
            return false;
        };
        if n_now == n_soon {
            return false;
        }
        let finished = running.iter().filter(|it| it.unfinished_prompt().is_none());
        let n_elsewhere =
            finished.map(n_held).chain([self.cache.n_usable(&self.model, prompt)]).max().unwrap_or(0);
        n_soon >= n_elsewhere + MIN_COPY
    }

    /// Lets running sequences make checkpoints where waiting jobs' prompts depart from theirs, so that these can be
    /// copied.
    pub(super) fn share_prefixes(&self, waiting: &[WaitingJob], running: &mut [Sequence]) {
        if !self.model.description().slot_cost.needs_checkpoints() {
            return;
        }
        for sequence in running {
            for waiting in waiting {
                let prompt = sequence.unfinished_prompt();
                let n_common = prompt.map_or(0, |it| n_usable(it, &waiting.job.prompt));
                if n_common >= MIN_COPY {
                    sequence.share(n_common);
                }
            }
        }
    }

    /// The most tokens of a prompt that a slot of a running sequence or of the cache could save.
    pub(super) fn n_cached(&self, prompt: &[TokenId], running: &[Sequence]) -> usize {
        let of_running = running.iter().map(|it| it.slot.n_usable(&self.model, prompt)).max();
        self.cache.n_usable(&self.model, prompt).max(of_running.unwrap_or(0))
    }

    /// Whether a slot already holds the whole prompt, so that a prefill-only job has nothing to do.
    pub(super) fn is_warm(&mut self, prompt: &[TokenId], running: &[Sequence]) -> bool {
        self.cache.covers(&self.model, prompt, running.iter().map(|it| &it.slot))
    }

    /// A slot for a job that starts. `spare_bytes` is the memory that there is beyond all that runs and this job.
    pub(super) fn checkout(&mut self, job: &Job, running: &mut [Sequence], spare_bytes: u64) -> CheckedOut {
        let in_use = self.in_use(running);
        let request = CheckoutRequest {
            prompt: job.reusable_prompt(),
            whole_prompt: &job.prompt,
            max_kv_tokens: job.max_kv_tokens,
            document: job.document.as_ref(),
            in_use,
            spare_bytes,
        };
        self.cache.checkout(&mut self.model, request, &mut own_slots(running))
    }

    /// Moves the tokens that slots get from others before the next step.
    pub(super) fn move_tokens(&mut self, running: &mut [Sequence]) {
        for idx in 0..running.len() {
            while let Some(due) = running[idx].due_move() {
                if let Err(error) = self.move_due(running, idx, due) {
                    tracing::warn!(%error, "tokens could not be moved");
                    self.restart(&mut running[idx]);
                }
            }
        }
    }

    fn move_due(&mut self, running: &mut [Sequence], idx: usize, due: Move) -> Result<(), StepError> {
        let sequence = &running[idx];
        let (slot, n_held) = (sequence.slot.id, sequence.slot.n_held());
        let Some(donor) = sequence.donor().map(|it| it.slot.id) else { return Ok(()) };
        let more = self.sizing().bytes_to_grow(self.model.slot_room(slot), n_held + due.n_tokens);
        let in_use = self.in_use(running).grown(more);
        self.cache.trim(&mut self.model, in_use, &mut own_slots(running));
        self.model.append_shifted(slot, donor, due.from..due.from + due.n_tokens)?;
        self.cache.count_moved(due.n_tokens);
        if let Some(donor) = running[idx].take_moved(due) {
            self.cache.give_back_donor(&mut self.model, donor);
        }
        Ok(())
    }

    /// Drops the tokens at these positions from a sequence's slot. After an error, what the slot holds is undefined.
    pub(super) fn drop_tokens(
        &mut self,
        sequence: &mut Sequence,
        tokens: Range<usize>,
    ) -> Result<(), StepError> {
        self.model.drop_tokens(sequence.slot.id, tokens.clone())?;
        sequence.slot.note_dropped(tokens);
        Ok(())
    }

    /// Evicts idle slots so that memory stays within the limit after the planned step. Checkpoints that do not fit are
    /// removed from the plan.
    pub(super) fn make_room(&mut self, plan: &mut Plan, running: &mut [Sequence]) {
        let (sizing, checkpoint_bytes) = (self.sizing(), self.model.description().slot_cost.checkpoint_bytes);
        let mut more = 0;
        for planned in &plan.spans {
            let slot = &mut running[planned.idx].slot;
            let n_tokens = planned.range.end + planned.n_drafted - slot.n_dropped();
            more += sizing.bytes_to_grow(self.model.slot_room(slot.id), n_tokens);
            if planned.checkpoint {
                slot.thin(&mut self.model, MAX_CHECKPOINTS - 1);
                more += checkpoint_bytes;
            }
        }
        let in_use = self.in_use(running).grown(more);
        self.cache.trim(&mut self.model, in_use, &mut own_slots(running));
        let mut in_use = self.in_use(running).grown(more);
        for planned in plan.spans.iter_mut().filter(|it| it.checkpoint) {
            if in_use.bytes > self.cache.limits().bytes {
                planned.checkpoint = false;
                in_use.bytes -= checkpoint_bytes;
            }
        }
    }

    /// Takes back the slot of a sequence that has ended, while the others continue.
    pub(super) fn give_back(&mut self, slot: Slot, running: &mut [Sequence]) {
        self.cache.give_back(&mut self.model, slot);
        let in_use = self.in_use(running);
        self.cache.trim(&mut self.model, in_use, &mut own_slots(running));
    }

    /// Takes back a sequence's donor, if it has one; tokens that remained to be moved are computed instead.
    pub(super) fn give_back_donor(&mut self, sequence: &mut Sequence) {
        if let Some(donor) = sequence.take_donor() {
            self.cache.give_back_donor(&mut self.model, donor);
        }
    }

    /// Restarts a sequence in an empty slot, after a failure left its slot undefined.
    pub(super) fn restart(&mut self, sequence: &mut Sequence) {
        self.give_back_donor(sequence);
        let failed = sequence.restart(Slot::fresh(self.model.open_slot()));
        self.discard(failed.id);
    }

    /// Closes a slot whose contents are undefined.
    pub(super) fn discard(&mut self, slot: SlotId) {
        self.model.close_slot(slot);
    }

    /// Counts slots in use and idle ones together.
    pub(super) fn status(&self, running: &[Sequence]) -> CacheStatus {
        self.cache.status(&self.model, running.iter().flat_map(Sequence::slots))
    }

    fn in_use(&self, running: &[Sequence]) -> InUse {
        InUse::of(&self.model, running.iter().flat_map(Sequence::slots))
    }
}

/// The sequences' own slots.
fn own_slots(running: &mut [Sequence]) -> Vec<&mut Slot> {
    running.iter_mut().map(|it| &mut it.slot).collect()
}
