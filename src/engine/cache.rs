//! The prefix cache: slots whose sequences have ended, kept for the next prompt that begins alike.
//!
//! A [`Slot`] is owned either by the cache (idle) or by the one sequence that checked it out, so that no two
//! can write to it. Its ledger says which tokens its KV really holds, whatever became of the sequence:
//! finished, cancelled in prefill or superseded. What to reuse and what to evict is decided by the pure
//! functions of [`policy`]; this file applies the decisions to the model.

mod policy;

use runabout_text::TokenId;

use crate::{
    model::{LanguageModel, SlotId},
    status::CacheStatus,
};
use policy::{Choice, IdleSlot};

/// A KV cache inside the model, with what it holds.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: SlotId,
    pub(crate) ledger: Vec<TokenId>,
}

/// Bounds of what is kept. Slots in use count, but only idle ones are evicted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheLimits {
    pub(crate) bytes: u64,
    pub(crate) n_slots: usize,
}

/// What running sequences hold.
#[derive(Clone, Copy, Debug, Default)]
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

    /// Whether all of `prompt` is held by an idle slot, which then counts as just used. So warming a warm
    /// prefix costs nothing and cuts nothing off.
    pub(crate) fn covers(&mut self, prompt: &[TokenId]) -> bool {
        let Some(idx) = self.idle.iter().rposition(|slot| slot.ledger.starts_with(prompt)) else {
            return false;
        };
        let slot = self.idle.remove(idx);
        self.idle.push(slot);
        self.count_lookup(prompt.len(), prompt.len());
        true
    }

    /// A slot that holds as much of the beginning of `prompt` as is worth taking, and nothing else; all of it
    /// but the last token at most, which is fed in any case, since the next token is drawn from what it
    /// yields.
    pub(crate) fn checkout(&mut self, model: &mut dyn LanguageModel, prompt: &[TokenId]) -> Slot {
        let idle: Vec<IdleSlot> =
            self.idle.iter().map(|slot| IdleSlot::measure(slot.id, &slot.ledger, prompt)).collect();
        let reused = match policy::choose(&idle) {
            Choice::Reuse { slot, n_keep } => self.take(slot).map(|slot| (slot, n_keep)),
            Choice::Fresh => None,
        };
        let slot = match reused {
            Some((mut slot, n_keep)) => {
                if n_keep < slot.ledger.len() {
                    model.truncate_slot(slot.id, n_keep);
                    slot.ledger.truncate(n_keep);
                }
                slot
            }
            None => Slot { id: model.open_slot(), ledger: Vec::new() },
        };
        self.count_lookup(prompt.len(), slot.ledger.len());
        slot
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
        let sizes: Vec<usize> = self.idle.iter().map(|slot| slot.ledger.len()).collect();
        let n_evicted = policy::n_evictions(&sizes, in_use, self.limits, self.bytes_per_token);
        for slot in self.idle.drain(..n_evicted) {
            tracing::debug!(slot = slot.id.0, n_tokens = slot.ledger.len(), "evicting a slot");
            model.close_slot(slot.id);
        }
    }

    pub(crate) fn status(&self, in_use: InUse) -> CacheStatus {
        let n_tokens = in_use.n_tokens + self.idle.iter().map(|slot| slot.ledger.len()).sum::<usize>();
        CacheStatus {
            n_slots: in_use.n_slots + self.idle.len(),
            n_tokens,
            bytes: self.bytes_per_token.saturating_mul(n_tokens as u64),
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
