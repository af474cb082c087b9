//! Drafts for the sequences in the next step: from text that is known, or else from the draft model.

use std::time::Duration;

use crate::{
    clock::Clock,
    job::Priority,
    model::LanguageModel,
    pace::Pace,
    sequence::Sequence,
    speculation::{
        AcceptanceRate, CostMeter, DraftCosts, DraftSource, KnownTexts, MAX_DRAFTS_TOGETHER, ModelWithDraft,
    },
};

/// How often a draft model's drafts are assumed to be accepted before any was checked: 7 of 10 with a model a third of
/// the size.
const FIRST_RATE: AcceptanceRate = AcceptanceRate::estimated(0.7);

/// The number of tokens before a generated text that are kept with it, so that it is found where it begins.
const N_BEFORE_TEXT: usize = 32;

/// The fewest generated tokens that are worth keeping.
const MIN_TEXT: usize = 4;

/// Decides which sequences get drafts and how many, from the costs of drafts and how often they were accepted.
#[derive(Debug)]
pub(super) struct Drafting {
    meter: CostMeter,
    /// How often the draft model's drafts are accepted, over all sequences.
    rate: AcceptanceRate,
    /// What was generated for jobs that have ended.
    known: KnownTexts,
    /// The number of drafts that the draft model makes at a time; `None` chooses it by its benefit.
    n_fixed: Option<usize>,
}

/// Limits for drafting before one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct DraftingLimits {
    /// The number of tokens that the draft model may read.
    pub(super) n_tokens: usize,
    /// The longest time that making drafts should take.
    pub(super) target: Duration,
}

impl Drafting {
    pub(super) fn new(n_fixed: Option<usize>) -> Self {
        Self { meter: CostMeter::default(), rate: FIRST_RATE, known: KnownTexts::default(), n_fixed }
    }

    /// How often the draft model's drafts have recently been accepted.
    pub(super) fn rate(&self) -> AcceptanceRate {
        self.rate
    }

    /// What was generated for jobs that have ended.
    pub(super) fn known(&self) -> &KnownTexts {
        &self.known
    }

    pub(super) fn known_mut(&mut self) -> &mut KnownTexts {
        &mut self.known
    }

    /// Keeps what was generated for a job that ends.
    pub(super) fn record_text(&mut self, sequence: &Sequence) {
        if sequence.n_generated() >= MIN_TEXT {
            self.known.add(sequence.generated_after(N_BEFORE_TEXT));
        }
    }

    /// The costs of drafts from the text in a step that serves `n_sequences`.
    pub(super) fn text_costs(&self, n_sequences: usize, pace: &Pace) -> DraftCosts {
        self.meter.costs(n_sequences, pace, None)
    }

    /// Records a step that fed `n_rows`, generated tokens and drafts. `pace` must have recorded it before.
    pub(super) fn record_step(&mut self, n_rows: usize, elapsed: Duration, pace: &Pace) {
        self.meter.record_step(n_rows, elapsed, pace);
    }

    /// Records the outcome of a sequence's drafts in a step that drew `n_drawn` tokens.
    pub(super) fn record_drafts(&mut self, sequence: &Sequence, n_drafted: usize, n_drawn: usize) {
        if sequence.draft_source() == DraftSource::DraftModel {
            self.rate.record_step(n_drafted, n_drawn.saturating_sub(1));
        }
    }

    /// Gives sequences their drafts for the next step.
    pub(super) fn draft(
        &mut self,
        running: &mut [Sequence],
        model: &mut ModelWithDraft,
        pace: &Pace,
        limits: DraftingLimits,
        clock: &dyn Clock,
    ) {
        let context_length = model.description().context_length;
        // Interactive sequences have their steps almost to themselves, so only sequences of the highest priority get
        // drafts.
        let priority = running.iter().map(Sequence::priority).max().unwrap_or(Priority::Background);
        let is_served = |it: &Sequence| it.priority() == priority && it.generates();
        let n_served = running.iter().filter(|it| is_served(it)).count();
        let draft_share = model.draft_share().filter(|_| n_served > 0);
        let costs = self.meter.costs(n_served, pace, draft_share);
        let mut n_drafts_left = MAX_DRAFTS_TOGETHER;
        for sequence in running.iter_mut() {
            n_drafts_left -= sequence.draft_from_text(&self.known, &costs, n_drafts_left, context_length);
        }
        if draft_share.is_none() {
            return;
        }
        let mut n_left = limits.n_tokens;
        let affordable = self.meter.n_drafts_within(limits.target, pace).min(n_left / n_served);
        let (mut indices, mut requests, mut n_to_read) = (Vec::new(), Vec::new(), 0);
        for (idx, sequence) in running.iter().enumerate().filter(|(_, it)| is_served(it)) {
            let n_drafts = sequence
                .n_drafts_of_model(&costs, self.n_fixed, affordable, context_length)
                .min(n_drafts_left);
            let (slot, tokens) = (sequence.slot.id, sequence.known_tokens());
            let Some(n_unread) = model.n_unread(slot, tokens).filter(|_| n_drafts > 0) else { continue };
            let pays = self.n_fixed.is_some() || costs.reading_pays(n_unread, sequence.n_generated());
            if n_unread <= n_left && pays {
                n_left -= n_unread;
                n_drafts_left -= n_drafts;
                n_to_read += n_unread;
                indices.push(idx);
                requests.push(sequence.draft_request(n_drafts));
            } else if n_left > 0 && pays {
                let started = clock.now();
                model.read(slot, tokens, n_left);
                self.meter.record_reading(n_left, clock.now() - started);
                n_left = 0;
            }
        }
        if requests.is_empty() {
            return;
        }
        let started = clock.now();
        let drafts = model.draft(&requests);
        // Before its first draft, the draft model reads the token drawn last, and often an accepted draft before it. If
        // it read more, its time says nothing about drafts.
        let n_drafts: usize = drafts.iter().map(Vec::len).sum();
        if n_drafts > 0 && n_to_read <= 2 * drafts.len() {
            self.meter.record_drafting(n_drafts, clock.now() - started);
        }
        for (idx, drafts) in indices.into_iter().zip(drafts) {
            running[idx].take_drafts(&drafts);
        }
    }
}
