//! The prefix cache: slots whose sequences have ended, kept for the next prompt that begins alike.
//!
//! A [`Slot`] is owned either by the cache (idle) or by the one sequence that checked it out, so that no two
//! can write to it; what a running sequence holds can be copied. A ledger says which tokens a slot's KV really
//! holds, whatever became of the sequence: finished, cancelled in prefill or superseded. What to reuse and
//! what to evict is decided by the pure functions of [`policy`]; this file applies the decisions to the model.

pub(crate) mod policy;

use std::{mem, sync::Arc};

use runabout_text::TokenId;

use crate::{
    model::{LanguageModel, SlotId},
    status::CacheStatus,
};
use policy::{Choice, Fate, Kept, Owner, Source};

/// A KV cache inside the model, with what it holds.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: SlotId,
    pub(crate) ledger: Vec<TokenId>,
    /// The document of the last prompt, if it had one.
    document: Option<Arc<str>>,
    /// The longest beginning that another sequence copied.
    n_shared: usize,
}

/// What a sequence looks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// Never empty.
    pub(crate) prompt: &'a [TokenId],
    pub(crate) document: Option<&'a Arc<str>>,
}

/// Bounds of what is kept. Slots in use count, but only idle ones are evicted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheLimits {
    pub(crate) bytes: u64,
    pub(crate) n_slots: usize,
}

/// What running sequences have memory for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InUse {
    pub(crate) n_slots: usize,
    pub(crate) n_tokens: usize,
}

#[derive(Debug)]
pub(crate) struct PrefixCache {
    /// Least recently used first.
    idle: Vec<Slot>,
    limits: CacheLimits,
    bytes_per_token: u64,
    n_lookups: u64,
    n_hits: u64,
    n_tokens_asked: u64,
    n_tokens_found: u64,
}

impl Slot {
    pub(crate) fn fresh(id: SlotId) -> Self {
        Self { id, ledger: Vec::new(), document: None, n_shared: 0 }
    }

    fn cut(&mut self, model: &mut dyn LanguageModel, n_keep: usize) {
        if n_keep < self.ledger.len() {
            model.truncate_slot(self.id, n_keep);
            self.ledger.truncate(n_keep);
            self.n_shared = self.n_shared.min(n_keep);
        }
    }

    /// Notes that its first `n_keep` tokens are the beginning of this prompt too, if that is another one.
    fn lend(&mut self, n_keep: usize, prompt: &[TokenId]) {
        if n_keep + 1 < prompt.len() {
            self.n_shared = self.n_shared.max(n_keep);
        }
    }

    /// A slot with a copy of the first `n_keep` tokens; `None` if the model cannot.
    fn copy(&self, model: &mut dyn LanguageModel, n_keep: usize) -> Option<Self> {
        let id = model
            .copy_slot(self.id, n_keep)
            .inspect_err(|error| tracing::warn!(%error, "a slot could not be copied"))
            .ok()?;
        Some(Self { ledger: self.ledger[..n_keep].to_vec(), ..Self::fresh(id) })
    }
}

impl PrefixCache {
    pub(crate) fn new(limits: CacheLimits, bytes_per_token: u64) -> Self {
        Self {
            idle: Vec::new(),
            limits,
            bytes_per_token,
            n_lookups: 0,
            n_hits: 0,
            n_tokens_asked: 0,
            n_tokens_found: 0,
        }
    }

    /// Whether all of `prompt` is held, by an idle slot, which then counts as just used, or by one in use. So
    /// warming a warm prefix costs nothing and cuts nothing off.
    pub(crate) fn covers(&mut self, prompt: &[TokenId], running: &[&mut Slot]) -> bool {
        if let Some(idx) = self.idle.iter().rposition(|slot| slot.ledger.starts_with(prompt)) {
            let slot = self.idle.remove(idx);
            self.idle.push(slot);
        } else if !running.iter().any(|slot| slot.ledger.starts_with(prompt)) {
            return false;
        }
        self.count_lookup(prompt.len(), prompt.len());
        true
    }

    /// How much of `prompt` could be had from an idle slot.
    pub(crate) fn n_usable(&self, prompt: &[TokenId]) -> usize {
        self.idle.iter().map(|slot| policy::n_usable(&slot.ledger, prompt)).max().unwrap_or(0)
    }

    /// A slot that holds as much of the beginning of the prompt as is to be had, and nothing else; all of it
    /// but the last token at most. `running` are the slots in use.
    pub(crate) fn checkout(
        &mut self,
        model: &mut dyn LanguageModel,
        wanted: Wanted<'_>,
        running: &mut [&mut Slot],
    ) -> Slot {
        let Wanted { prompt, document } = wanted;
        let of_idle = self.idle.iter().map(|slot| {
            let is_same = document.is_some() && slot.document.as_ref() == document;
            let owner = if is_same { Owner::SameDocument } else { Owner::Idle };
            Source::measure(slot.id, owner, &slot.ledger, prompt)
        });
        let of_running =
            running.iter().map(|slot| Source::measure(slot.id, Owner::Running, &slot.ledger, prompt));
        let sources: Vec<Source> = of_idle.chain(of_running).collect();
        let found = match policy::choose(&sources) {
            Choice::Take { slot, n_keep } => self.take(slot).map(|mut slot| {
                slot.cut(model, n_keep);
                slot
            }),
            Choice::Copy { slot, n_keep } => {
                let in_use = in_use(model, running.iter().map(|it| &**it));
                match running.iter_mut().find(|it| it.id == slot) {
                    Some(lender) => {
                        self.trim(model, in_use.and(n_keep));
                        lender.lend(n_keep, prompt);
                        lender.copy(model, n_keep)
                    }
                    None => self.copy_idle(model, slot, (n_keep, prompt), in_use),
                }
            }
            Choice::Fresh => None,
        };
        let mut slot = found.unwrap_or_else(|| Slot::fresh(model.open_slot()));
        slot.document = document.cloned();
        self.count_lookup(prompt.len(), slot.ledger.len());
        slot
    }

    /// Copies an idle slot, or takes it where there is no room for both.
    fn copy_idle(
        &mut self,
        model: &mut dyn LanguageModel,
        id: SlotId,
        (n_keep, prompt): (usize, &[TokenId]),
        in_use: InUse,
    ) -> Option<Slot> {
        let mut lender = self.take(id)?;
        let with_both = in_use.and(model.slot_room(lender.id)).and(n_keep);
        self.trim(model, with_both);
        if !self.is_within_limits(with_both) {
            lender.cut(model, n_keep);
            return Some(lender);
        }
        lender.lend(n_keep, prompt);
        let copy = lender.copy(model, n_keep);
        // It was of use, if not to its own.
        self.idle.push(lender);
        copy
    }

    /// Takes back a slot whose sequence has ended.
    pub(crate) fn give_back(&mut self, model: &mut dyn LanguageModel, slot: Slot) {
        if slot.ledger.is_empty() {
            model.close_slot(slot.id);
        } else {
            self.idle.push(slot);
        }
    }

    /// Evicts idle slots until the limits hold, with what is `in_use` counted in.
    pub(crate) fn trim(&mut self, model: &mut dyn LanguageModel, in_use: InUse) {
        let kept: Vec<Kept> = self
            .idle
            .iter()
            .map(|slot| Kept {
                n_tokens: slot.ledger.len(),
                room: model.slot_room(slot.id).max(slot.ledger.len()),
                n_shared: slot.n_shared,
            })
            .collect();
        let fates = policy::fates(&kept, in_use, self.limits, self.bytes_per_token);
        for (slot, fate) in mem::take(&mut self.idle).into_iter().zip(fates) {
            let left = match fate {
                Fate::Kept => Some(slot),
                Fate::Fitted => {
                    model.fit_slot(slot.id);
                    Some(slot)
                }
                // A slot that is cut keeps its memory; a copy has just what it needs.
                Fate::CutTo(n_keep) => {
                    let copy = slot.copy(model, n_keep).map(|it| Slot { n_shared: n_keep, ..it });
                    model.close_slot(slot.id);
                    copy
                }
                Fate::Evicted => {
                    tracing::debug!(slot = slot.id.0, n_tokens = slot.ledger.len(), "evicting a slot");
                    model.close_slot(slot.id);
                    None
                }
            };
            self.idle.extend(left);
        }
    }

    /// `running` are the slots in use.
    pub(crate) fn status<'a>(
        &'a self,
        model: &dyn LanguageModel,
        running: impl Iterator<Item = &'a Slot>,
    ) -> CacheStatus {
        let (mut n_tokens, mut all) = (0, InUse::default());
        for slot in running.chain(&self.idle) {
            n_tokens += slot.ledger.len();
            all = all.and(model.slot_room(slot.id));
        }
        CacheStatus {
            n_slots: all.n_slots,
            n_tokens,
            bytes: self.bytes_per_token.saturating_mul(all.n_tokens as u64),
            n_lookups: self.n_lookups,
            n_hits: self.n_hits,
            n_tokens_asked: self.n_tokens_asked,
            n_tokens_found: self.n_tokens_found,
        }
    }

    fn is_within_limits(&self, in_use: InUse) -> bool {
        in_use.n_slots <= self.limits.n_slots
            && self.bytes_per_token.saturating_mul(in_use.n_tokens as u64) <= self.limits.bytes
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

impl InUse {
    /// With one more slot of so many tokens.
    fn and(self, n_tokens: usize) -> Self {
        Self { n_slots: self.n_slots + 1, n_tokens: self.n_tokens + n_tokens }
    }
}

/// What these slots have memory for, together.
pub(crate) fn in_use<'a>(model: &dyn LanguageModel, slots: impl Iterator<Item = &'a Slot>) -> InUse {
    slots.fold(InUse::default(), |in_use, slot| in_use.and(model.slot_room(slot.id)))
}
