//! The prefix cache: slots whose sequences have ended, kept for the next prompt that begins alike.
//!
//! A [`Slot`] is owned either by the cache (idle) or by the one sequence that checked it out, so that no two
//! can write to it; what a running sequence holds can be copied. A ledger says which tokens a slot's KV really
//! holds, whatever became of the sequence: finished, cancelled in prefill or superseded. What to reuse and
//! what to evict is decided by the pure functions of [`policy`]; this file applies the decisions to the model.

mod limits;
pub(crate) mod policy;
mod reuse;

use std::{cmp::Reverse, collections::VecDeque, mem, sync::Arc};

use runabout_text::TokenId;

use crate::{
    model::{LanguageModel, SlotId},
    status::CacheStatus,
};
pub(crate) use limits::{CacheLimits, InUse};
use policy::{Choice, Fate, Kept, Owner, Source};
pub(crate) use reuse::Move;

/// So many slots are searched for what a prompt has behind an edit: each search goes over the whole of both.
const MAX_SEARCHED: usize = 4;

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
    pub(crate) in_use: InUse,
    /// Tokens that there is memory for beyond all that runs and this prompt.
    pub(crate) n_spare: usize,
}

/// What a sequence begins with.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) slot: Slot,
    /// Holds more of the prompt, further on.
    pub(crate) donor: Option<Donor>,
}

/// A slot that a sequence takes tokens from which stand elsewhere in its prompt.
#[derive(Debug)]
pub(crate) struct Donor {
    pub(crate) slot: Slot,
    /// Of its tokens so many are the beginning of the prompt.
    n_alike: usize,
    /// Those to come.
    moves: VecDeque<Move>,
    /// Whether somebody may come back for what it holds beyond those.
    is_kept: bool,
}

#[derive(Debug)]
pub(crate) struct PrefixCache {
    /// Least recently used first.
    idle: Vec<Slot>,
    limits: CacheLimits,
    bytes_per_token: u64,
    /// The least that is worth being moved; 0: nothing is.
    n_min_reuse: usize,
    n_lookups: u64,
    n_hits: u64,
    n_tokens_asked: u64,
    n_tokens_found: u64,
}

impl Slot {
    pub(crate) fn fresh(id: SlotId) -> Self {
        Self { id, ledger: Vec::new(), document: None, n_shared: 0 }
    }

    fn as_source(&self, wanted: Wanted<'_>) -> Source {
        let is_same = wanted.document.is_some() && self.document.as_ref() == wanted.document;
        let owner = if is_same { Owner::SameDocument } else { Owner::Idle };
        Source::measure(self.id, owner, &self.ledger, wanted.prompt)
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

impl Donor {
    /// The next that is to be taken from it.
    pub(crate) fn next(&self) -> Option<Move> {
        self.moves.front().copied()
    }

    /// How many tokens are to be taken from it.
    pub(crate) fn n_to_move(&self) -> usize {
        self.moves.iter().map(|it| it.n_tokens).sum()
    }

    /// The next has been taken.
    pub(crate) fn advance(&mut self) {
        self.moves.pop_front();
    }
}

impl PrefixCache {
    pub(crate) fn new(limits: CacheLimits, bytes_per_token: u64, n_min_reuse: usize) -> Self {
        Self {
            idle: Vec::new(),
            limits,
            bytes_per_token,
            n_min_reuse,
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
    /// but the last token at most. `running` are the slots that can be copied.
    pub(crate) fn checkout(
        &mut self,
        model: &mut dyn LanguageModel,
        wanted: Wanted<'_>,
        running: &mut [&mut Slot],
    ) -> Found {
        let Wanted { prompt, document, in_use, .. } = wanted;
        let of_idle = self.idle.iter().map(|slot| slot.as_source(wanted));
        let of_running =
            running.iter().map(|slot| Source::measure(slot.id, Owner::Running, &slot.ledger, prompt));
        let sources: Vec<Source> = of_idle.chain(of_running).collect();
        let choice = policy::choose(&sources);
        let donor = self.take_donor(model, wanted, choice.n_keep());
        let in_use = donor.as_ref().map_or(in_use, |it| in_use.and(model.slot_room(it.slot.id)));
        let donated = donor.as_ref().filter(|it| it.n_alike >= choice.n_keep());
        let found = match (donated, choice) {
            (Some(donor), _) if donor.n_alike > 0 => donor.slot.copy(model, donor.n_alike),
            (Some(_), _) | (None, Choice::Fresh) => None,
            (None, Choice::Take { slot, n_keep }) => self.take(slot).map(|mut slot| {
                slot.cut(model, n_keep);
                slot
            }),
            (None, Choice::Copy { slot, n_keep }) => match running.iter_mut().find(|it| it.id == slot) {
                Some(lender) => {
                    self.trim(model, in_use.and(n_keep));
                    lender.lend(n_keep, prompt);
                    lender.copy(model, n_keep)
                }
                None => self.copy_idle(model, slot, (n_keep, prompt), in_use),
            },
        };
        let slot = found.unwrap_or_else(|| Slot::fresh(model.open_slot()));
        let slot = Slot { document: document.cloned(), ..slot };
        self.count_lookup(prompt.len(), slot.ledger.len());
        Found { slot, donor }
    }

    /// The idle slot that has most of the prompt, behind the `n_keep` tokens that are to be had at its beginning, if
    /// there is memory for both.
    fn take_donor(
        &mut self,
        model: &mut dyn LanguageModel,
        wanted: Wanted<'_>,
        n_keep: usize,
    ) -> Option<Donor> {
        let Wanted { prompt, in_use, n_spare, .. } = wanted;
        if self.n_min_reuse == 0 {
            return None;
        }
        let mut sources: Vec<(&Slot, Source)> =
            self.idle.iter().rev().map(|slot| (slot, slot.as_source(wanted))).collect();
        // Of equals the most recently used.
        sources.sort_by_key(|(_, it)| Reverse((it.owner == Owner::SameDocument, it.n_usable)));
        let (source, n_moved, moves) = sources
            .into_iter()
            .take(MAX_SEARCHED)
            .map(|(slot, it)| {
                let starts = (it.n_usable, it.n_usable.max(n_keep));
                let moves = reuse::moves(&slot.ledger, prompt, starts, self.n_min_reuse);
                (it, moves.iter().map(|it| it.n_tokens).sum::<usize>(), moves)
            })
            .filter(|(_, n_moved, _)| *n_moved > 0)
            .min_by_key(|(it, n_moved, _)| Reverse(it.n_usable.max(n_keep) + n_moved))?;
        let mut slot = self.take(source.id)?;
        let n_room = model.slot_room(slot.id);
        let with_both = in_use.and(n_room).and(prompt.len());
        self.trim(model, with_both);
        if n_room > n_spare || !self.is_within_limits(with_both) {
            self.idle.push(slot);
            return None;
        }
        if source.n_usable >= n_keep {
            slot.lend(source.n_usable, prompt);
        }
        let is_kept = !source.with_moved(n_moved).may_be_taken();
        Some(Donor { slot, n_alike: source.n_usable, moves: moves.into(), is_kept })
    }

    /// So many tokens of a prompt were moved to its slot.
    pub(crate) fn count_moved(&mut self, n_tokens: usize) {
        self.n_tokens_found += n_tokens as u64;
    }

    /// Takes back a donor, of which all was taken or nothing more is wanted.
    pub(crate) fn give_back_donor(&mut self, model: &mut dyn LanguageModel, donor: Donor) {
        if donor.is_kept || !donor.moves.is_empty() {
            self.give_back(model, donor.slot);
        } else {
            model.close_slot(donor.slot.id);
        }
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
        for (mut slot, fate) in mem::take(&mut self.idle).into_iter().zip(fates) {
            let left = match fate {
                Fate::Kept => Some(slot),
                Fate::Fitted => {
                    model.fit_slot(slot.id);
                    Some(slot)
                }
                Fate::CutTo(n_keep) => {
                    slot.cut(model, n_keep);
                    model.fit_slot(slot.id);
                    Some(slot)
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

/// What these slots have memory for, together.
pub(crate) fn in_use<'a>(model: &dyn LanguageModel, slots: impl Iterator<Item = &'a Slot>) -> InUse {
    slots.fold(InUse::default(), |in_use, slot| in_use.and(model.slot_room(slot.id)))
}
