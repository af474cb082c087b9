//! The model's slots: those that running sequences use, and those that the prefix cache keeps. See [`Slots`].

use runabout_text::TokenId;

use crate::{
    cache::{CacheLimits, CheckedOut, CheckoutRequest, InUse, MIN_COPY, Move, PrefixCache, Slot, n_usable},
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
        let bytes_per_token = model.description().kv_bytes_per_token;
        Self { model, cache: PrefixCache::new(limits, bytes_per_token, n_min_reuse) }
    }

    pub(super) fn sizing(&self) -> SlotSizing {
        SlotSizing::of(self.model.description())
    }

    /// What admission needs to know about a running sequence.
    pub(super) fn slot_use(&self, sequence: &Sequence) -> SlotUse {
        let n_room = |slot: &Slot| self.model.slot_room(slot.id);
        let n_donor_room = sequence.donor().map_or(0, |it| n_room(&it.slot));
        sequence.slot_use(self.sizing(), n_room(&sequence.slot), n_donor_room)
    }

    /// Whether a job should wait because a running one, of its priority or a higher one, is computing a prompt with the
    /// same beginning. It can then copy that instead of computing it too. Thus the choices of one request share their
    /// prompt.
    pub(super) fn should_wait_for_prefix(&self, waiting: &WaitingJob, running: &[Sequence]) -> bool {
        let prompt: &[TokenId] = &waiting.job.prompt;
        let n_held = |it: &Sequence| n_usable(&it.slot.ledger, prompt);
        let n_soon = |it: &Sequence| Some(n_usable(it.unfinished_prompt()?, prompt));
        let leaders = running.iter().filter(|it| it.priority() >= waiting.job.priority);
        // Among those that share as much, the one that is furthest.
        let Some((n_soon, n_now)) = leaders.filter_map(|it| Some((n_soon(it)?, n_held(it)))).max() else {
            return false;
        };
        if n_now == n_soon {
            return false;
        }
        let finished = running.iter().filter(|it| it.unfinished_prompt().is_none());
        let n_elsewhere = finished.map(n_held).chain([self.cache.n_usable(prompt)]).max().unwrap_or(0);
        n_soon >= n_elsewhere + MIN_COPY
    }

    /// Whether a slot already holds the whole prompt, so that a prefill-only job has nothing to do.
    pub(super) fn is_warm(&mut self, prompt: &[TokenId], running: &[Sequence]) -> bool {
        self.cache.covers(prompt, running.iter().map(|it| &it.slot))
    }

    /// A slot for a job that starts. `n_spare` is the number of tokens for which there is memory beyond all that runs
    /// and this job.
    pub(super) fn checkout(&mut self, job: &Job, running: &mut [Sequence], n_spare: usize) -> CheckedOut {
        let in_use = self.in_use(running);
        let request =
            CheckoutRequest { prompt: &job.prompt, document: job.document.as_ref(), in_use, n_spare };
        let mut running: Vec<&mut Slot> = running.iter_mut().map(|it| &mut it.slot).collect();
        self.cache.checkout(&mut self.model, request, &mut running)
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
        let (slot, n_held) = (sequence.slot.id, sequence.slot.ledger.len());
        let Some(donor) = sequence.donor().map(|it| it.slot.id) else { return Ok(()) };
        let mut in_use = self.in_use(running);
        let n_room = self.sizing().room_for(n_held + due.n_tokens);
        in_use.n_tokens += n_room.saturating_sub(self.model.slot_room(slot));
        self.cache.trim(&mut self.model, in_use);
        self.model.append_shifted(slot, donor, due.from..due.from + due.n_tokens)?;
        self.cache.count_moved(due.n_tokens);
        if let Some(donor) = running[idx].take_moved(due) {
            self.cache.give_back_donor(&mut self.model, donor);
        }
        Ok(())
    }

    /// Evicts idle slots so that memory stays within the limit after the planned step.
    pub(super) fn make_room(&mut self, plan: &Plan, running: &[Sequence]) {
        let (mut in_use, sizing) = (self.in_use(running), self.sizing());
        for planned in &plan.spans {
            let n_room = sizing.room_for(planned.range.end + planned.n_drafted);
            let slot = running[planned.idx].slot.id;
            in_use.n_tokens += n_room.saturating_sub(self.model.slot_room(slot));
        }
        self.cache.trim(&mut self.model, in_use);
    }

    /// Takes back the slot of a sequence that has ended, while the others continue.
    pub(super) fn give_back(&mut self, slot: Slot, running: &[Sequence]) {
        self.cache.give_back(&mut self.model, slot);
        let in_use = self.in_use(running);
        self.cache.trim(&mut self.model, in_use);
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
