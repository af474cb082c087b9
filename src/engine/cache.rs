//! The prefix cache: slots whose sequences have ended, kept for the next prompt with the same beginning.
//!
//! [`PrefixCache`] owns the idle [`Slot`]s. A sequence checks a slot out and gives it back when it ends; meanwhile others
//! can copy what it holds. Pure functions decide which slot to take or copy (`choice`), what to move behind an edit
//! (`moves`), what to evict (`eviction`) and which checkpoints to drop (`checkpoints`); this file applies their
//! decisions to the model. A slot may not return to where its text departs from a prompt, but only to a place before;
//! the model says which, and the ledger follows.

mod checkpoints;
mod choice;
mod donor;
mod eviction;
mod limits;
mod moves;
mod slot;

use std::{cmp::Reverse, mem, sync::Arc};

use runabout_text::TokenId;

use crate::{
    model::{LanguageModel, SlotCost, SlotId},
    status::CacheStatus,
};
use checkpoints::FEW_CHECKPOINTS;
pub(crate) use checkpoints::MAX_CHECKPOINTS;
use choice::{Choice, Owner, PrefixMatch, choose};
pub(crate) use choice::{MIN_COPY, n_usable};
pub(crate) use donor::Donor;
use eviction::{IdleSlot, Retention, retentions};
pub(crate) use limits::{CacheLimits, InUse};
pub(crate) use moves::Move;
use moves::find_moves;
pub(crate) use slot::Slot;

/// Fewer tokens than this may be computed again: a checkpoint that saves less is not worth the step that must end there.
pub(crate) const MIN_SAVED: usize = 8;

/// The number of slots that are searched for tokens behind an edit; each search goes over the whole slot and prompt.
const MAX_SEARCHED: usize = 4;

/// The prompt for which a slot is needed, and the memory there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckoutRequest<'a> {
    /// Never empty. Only as much of it as a slot can hold before some is dropped.
    pub(crate) prompt: &'a [TokenId],
    /// All of the prompt.
    pub(crate) whole_prompt: &'a [TokenId],
    /// The number of tokens at which some are dropped.
    pub(crate) max_kv_tokens: Option<usize>,
    pub(crate) document: Option<&'a Arc<str>>,
    /// What running sequences use already.
    pub(crate) in_use: InUse,
    /// The memory that there is beyond all that runs and this prompt.
    pub(crate) spare_bytes: u64,
}

/// The slot that a sequence starts with.
#[derive(Debug)]
pub(crate) struct CheckedOut {
    /// The slot, which holds the beginning of the prompt.
    pub(crate) slot: Slot,
    /// A slot that holds later parts of the prompt.
    pub(crate) donor: Option<Donor>,
    /// The length of the longest beginning of the prompt with which another one went on in another way, whether or not
    /// its slot could return there.
    pub(crate) n_common: usize,
}

/// The idle slots, and statistics of their use.
#[derive(Debug)]
pub(crate) struct PrefixCache {
    /// Least recently used first.
    idle: Vec<Slot>,
    /// The last slot that has dropped tokens: of use only if its text goes on, as a conversation does.
    dropping: Option<Slot>,
    limits: CacheLimits,
    cost: SlotCost,
    /// The smallest number of tokens worth moving; 0 if none are moved.
    n_min_reuse: usize,
    n_lookups: u64,
    n_hits: u64,
    n_tokens_asked: u64,
    n_tokens_found: u64,
}

impl PrefixCache {
    pub(crate) fn new(limits: CacheLimits, cost: SlotCost, n_min_reuse: usize) -> Self {
        Self {
            idle: Vec::new(),
            dropping: None,
            limits,
            cost,
            n_min_reuse,
            n_lookups: 0,
            n_hits: 0,
            n_tokens_asked: 0,
            n_tokens_found: 0,
        }
    }

    pub(crate) fn limits(&self) -> CacheLimits {
        self.limits
    }

    /// Whether a slot holds all of `prompt` and can return to its end: a running one, or an idle one, which then counts
    /// as just used. In that case warming the prompt needs no work and rewinds no slot.
    pub(crate) fn covers<'a>(
        &mut self,
        model: &dyn LanguageModel,
        prompt: &[TokenId],
        mut running: impl Iterator<Item = &'a Slot>,
    ) -> bool {
        let covers = |slot: &Slot| {
            slot.ledger.starts_with(prompt) && prompt.len() - slot.n_usable(model, prompt) <= MIN_SAVED
        };
        if let Some(idx) = self.idle.iter().rposition(covers) {
            let slot = self.idle.remove(idx);
            self.idle.push(slot);
        } else if !running.any(covers) {
            return false;
        }
        self.count_lookup(prompt.len(), prompt.len());
        true
    }

    /// The largest number of tokens of `prompt` that an idle slot could save.
    pub(crate) fn n_usable(&self, model: &dyn LanguageModel, prompt: &[TokenId]) -> usize {
        self.idle.iter().map(|slot| slot.n_usable(model, prompt)).max().unwrap_or(0)
    }

    /// Checks out a slot that holds the longest available beginning of the prompt and nothing else. The last token of
    /// the prompt is never included, since it must be fed. `running` are slots that may be copied.
    pub(crate) fn checkout(
        &mut self,
        model: &mut dyn LanguageModel,
        request: CheckoutRequest<'_>,
        running: &mut [&mut Slot],
    ) -> CheckedOut {
        if let Some(slot) = self.take_dropping(model, request) {
            self.count_lookup(request.whole_prompt.len(), slot.n_fed());
            return CheckedOut { slot, donor: None, n_common: 0 };
        }
        let CheckoutRequest { prompt, document, in_use, .. } = request;
        let of_idle = self.idle.iter().map(|slot| match_idle(slot, request, model));
        let of_running = running.iter().map(|slot| match_slot(slot, Owner::Running, prompt, model));
        let matches: Vec<PrefixMatch> = of_idle.chain(of_running).collect();
        let n_common = self.n_common(prompt, running);
        let choice = choose(&matches);
        let donor = self.take_donor(model, request, choice.n_keep());
        let in_use = donor.as_ref().map_or(in_use, |it| in_use.and(it.slot.bytes(model)));
        let best_donor = donor.as_ref().filter(|it| it.n_prefix >= choice.n_keep());
        let found = match (best_donor, choice) {
            (Some(donor), _) if donor.n_prefix > 0 => donor.slot.copy(model, donor.n_prefix),
            (Some(_), _) | (None, Choice::Fresh) => None,
            (None, Choice::Take { slot, n_keep }) => self.take(slot).map(|mut slot| {
                slot.rewind(model, n_keep);
                slot
            }),
            (None, Choice::Copy { slot, n_keep }) => match running.iter().position(|it| it.id == slot) {
                Some(idx) => {
                    // If checkpoints must be dropped to make room, then those that are shared come last.
                    running[idx].note_copied(n_keep, prompt);
                    self.trim(model, in_use.and(self.cost.bytes(n_keep, 0)), running);
                    running[idx].copy(model, n_keep)
                }
                None => self.copy_idle(model, slot, (n_keep, prompt), in_use),
            },
        };
        let slot = found.unwrap_or_else(|| self.open(model, in_use, running));
        let slot = Slot { document: document.cloned(), ..slot };
        self.count_lookup(prompt.len(), slot.ledger.len());
        CheckedOut { slot, donor, n_common }
    }

    /// The slot that has dropped tokens, if the prompt goes on from what it was fed and would have dropped the same. It
    /// holds more of the prompt than any other, since all others end before the first drop.
    fn take_dropping(&mut self, model: &mut dyn LanguageModel, request: CheckoutRequest<'_>) -> Option<Slot> {
        let n_most = request.max_kv_tokens?;
        let n_usable = self.dropping.as_ref()?.n_usable_after_dropped(request.whole_prompt, n_most)?;
        let mut slot = self.dropping.take()?;
        if slot.rewind_after_dropped(model, n_usable) {
            return Some(slot);
        }
        model.close_slot(slot.id);
        None
    }

    /// Opens an empty slot.
    fn open(&mut self, model: &mut dyn LanguageModel, in_use: InUse, running: &mut [&mut Slot]) -> Slot {
        if self.cost.fixed_bytes > 0 {
            self.trim(model, in_use.and(self.cost.fixed_bytes), running);
        }
        Slot::fresh(model.open_slot())
    }

    /// The length of the longest beginning of the prompt with which any slot goes on in another way. 0 if that makes no
    /// difference, since slots return there.
    fn n_common(&self, prompt: &[TokenId], running: &[&mut Slot]) -> usize {
        if !self.cost.needs_checkpoints() {
            return 0;
        }
        let running = running.iter().map(|it| &it.ledger);
        let ledgers = self.idle.iter().map(|it| &it.ledger).chain(running);
        let departures = ledgers.map(|it| (n_usable(it, prompt), it.len())).filter(|(n, len)| n < len);
        departures.map(|it| it.0).max().unwrap_or(0)
    }

    /// Takes the idle slot that holds most of the prompt at other positions, after the `n_keep` tokens that are
    /// available as its beginning; `None` if no slot holds any, or there is no memory for both slots.
    fn take_donor(
        &mut self,
        model: &mut dyn LanguageModel,
        request: CheckoutRequest<'_>,
        n_keep: usize,
    ) -> Option<Donor> {
        let CheckoutRequest { prompt, in_use, spare_bytes, .. } = request;
        if self.n_min_reuse == 0 {
            return None;
        }
        let mut matches: Vec<(&Slot, PrefixMatch)> =
            self.idle.iter().rev().map(|slot| (slot, match_idle(slot, request, model))).collect();
        // The sort is stable, so among equals the most recently used one comes first.
        matches.sort_by_key(|(_, it)| Reverse((it.owner == Owner::SameDocument, it.n_usable)));
        let (best, n_moved, moves) = matches
            .into_iter()
            .take(MAX_SEARCHED)
            .map(|(slot, it)| {
                let starts = (it.n_usable, it.n_usable.max(n_keep));
                let moves = find_moves(&slot.ledger, prompt, starts, self.n_min_reuse);
                (it, moves.iter().map(|it| it.n_tokens).sum::<usize>(), moves)
            })
            .filter(|(_, n_moved, _)| *n_moved > 0)
            .min_by_key(|(it, n_moved, _)| Reverse(it.n_usable.max(n_keep) + n_moved))?;
        let mut slot = self.take(best.id)?;
        let bytes = slot.bytes(model);
        let with_both = in_use.and(bytes).and(self.cost.bytes(prompt.len(), 0));
        self.trim(model, with_both, &mut []);
        if bytes > spare_bytes || !self.limits.allow(with_both) {
            self.idle.push(slot);
            return None;
        }
        if best.n_usable >= n_keep {
            slot.note_copied(best.n_usable, prompt);
        }
        let is_kept = !best.with_moved(n_moved).may_be_taken();
        Some(Donor { slot, n_prefix: best.n_usable, moves: moves.into(), is_kept })
    }

    /// Counts tokens of a prompt that were moved to its slot.
    pub(crate) fn count_moved(&mut self, n_tokens: usize) {
        self.n_tokens_found += n_tokens as u64;
    }

    /// Takes back a donor after everything needed was moved.
    pub(crate) fn give_back_donor(&mut self, model: &mut dyn LanguageModel, donor: Donor) {
        if donor.is_kept || !donor.moves.is_empty() {
            self.give_back(model, donor.slot);
        } else {
            model.close_slot(donor.slot.id);
        }
    }

    /// Copies an idle slot, or takes it if there is no memory for both.
    fn copy_idle(
        &mut self,
        model: &mut dyn LanguageModel,
        id: SlotId,
        (n_keep, prompt): (usize, &[TokenId]),
        in_use: InUse,
    ) -> Option<Slot> {
        let mut original = self.take(id)?;
        let with_both = in_use.and(original.bytes(model)).and(self.cost.bytes(n_keep, 0));
        self.trim(model, with_both, &mut []);
        if !self.limits.allow(with_both) {
            original.rewind(model, n_keep);
            return Some(original);
        }
        original.note_copied(n_keep, prompt);
        let copy = original.copy(model, n_keep);
        // The original counts as just used.
        self.idle.push(original);
        copy
    }

    /// Takes back a slot whose sequence has ended.
    pub(crate) fn give_back(&mut self, model: &mut dyn LanguageModel, slot: Slot) {
        if slot.ledger.is_empty() {
            model.close_slot(slot.id);
        } else if slot.n_dropped() > 0 {
            if let Some(before) = self.dropping.replace(slot) {
                model.close_slot(before.id);
            }
        } else {
            self.idle.push(slot);
        }
    }

    /// Evicts idle slots until the limits hold, counting what is `in_use`. If that is not enough, drops checkpoints of
    /// `running` slots, which are in use.
    pub(crate) fn trim(
        &mut self,
        model: &mut dyn LanguageModel,
        mut in_use: InUse,
        running: &mut [&mut Slot],
    ) {
        self.trim_idle(model, in_use);
        for slot in running {
            while in_use.bytes > self.limits.bytes && slot.checkpoints.len() > 0 {
                slot.thin(model, slot.checkpoints.len() - 1);
                in_use.bytes = in_use.bytes.saturating_sub(self.cost.checkpoint_bytes);
            }
        }
    }

    fn trim_idle(&mut self, model: &mut dyn LanguageModel, mut in_use: InUse) {
        if let Some(slot) = self.dropping.take() {
            let with_it = in_use.and(slot.bytes(model));
            let all = self.idle.iter().fold(with_it, |all, it| all.and(it.bytes(model)));
            // The first to go, since only one prompt can use it.
            if self.limits.allow(all) {
                (self.dropping, in_use) = (Some(slot), with_it);
            } else {
                model.close_slot(slot.id);
            }
        }
        let idle: Vec<IdleSlot> = self
            .idle
            .iter()
            .map(|slot| IdleSlot {
                n_tokens: slot.ledger.len(),
                room: model.slot_room(slot.id).max(slot.ledger.len()),
                n_checkpoints: slot.checkpoints.len(),
                n_shared: slot.n_shared(model),
            })
            .collect();
        let retentions = retentions(&idle, in_use, self.limits, self.cost);
        for (mut slot, retention) in mem::take(&mut self.idle).into_iter().zip(retentions) {
            let kept = match retention {
                Retention::Keep => Some(slot),
                Retention::Shrink => {
                    model.fit_slot(slot.id);
                    Some(slot)
                }
                Retention::Thin => {
                    slot.thin(model, FEW_CHECKPOINTS);
                    model.fit_slot(slot.id);
                    Some(slot)
                }
                Retention::CutTo(n_keep) => {
                    slot.rewind(model, n_keep);
                    slot.thin(model, 1);
                    model.fit_slot(slot.id);
                    Some(slot)
                }
                Retention::Evict => {
                    tracing::debug!(slot = slot.id.0, n_tokens = slot.ledger.len(), "evicting a slot");
                    model.close_slot(slot.id);
                    None
                }
            };
            self.idle.extend(kept);
        }
    }

    /// How full the cache is, counting the slots in use, `running`.
    pub(crate) fn status<'a>(
        &'a self,
        model: &dyn LanguageModel,
        running: impl Iterator<Item = &'a Slot>,
    ) -> CacheStatus {
        let (mut n_tokens, mut n_checkpoints, mut all) = (0, 0, InUse::default());
        for slot in running.chain(&self.idle).chain(&self.dropping) {
            n_tokens += slot.n_held();
            n_checkpoints += slot.checkpoints.len();
            all = all.and(slot.bytes(model));
        }
        CacheStatus {
            n_slots: all.n_slots,
            n_tokens,
            n_checkpoints,
            bytes: all.bytes,
            n_lookups: self.n_lookups,
            n_hits: self.n_hits,
            n_tokens_asked: self.n_tokens_asked,
            n_tokens_found: self.n_tokens_found,
        }
    }

    fn take(&mut self, id: SlotId) -> Option<Slot> {
        let idx = self.idle.iter().position(|slot| slot.id == id)?;
        Some(self.idle.remove(idx))
    }

    fn count_lookup(&mut self, n_asked: usize, n_found: usize) {
        self.n_lookups += 1;
        self.n_hits += u64::from(n_found > 0);
        self.n_tokens_asked += n_asked as u64;
        self.n_tokens_found += n_found as u64;
    }
}

/// How much of a prompt an idle slot holds.
fn match_idle(slot: &Slot, request: CheckoutRequest<'_>, model: &dyn LanguageModel) -> PrefixMatch {
    let owner = match &slot.document {
        None => Owner::Idle,
        document if document.as_ref() == request.document => Owner::SameDocument,
        Some(_) => Owner::OtherDocument,
    };
    match_slot(slot, owner, request.prompt, model)
}

fn match_slot(slot: &Slot, owner: Owner, prompt: &[TokenId], model: &dyn LanguageModel) -> PrefixMatch {
    PrefixMatch::new(slot.id, owner, slot.ledger.len(), slot.n_usable(model, prompt))
}
