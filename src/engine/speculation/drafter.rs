//! The source of one sequence's drafts: known text if that pays off, else a draft model. See [`Drafter`].

use runabout_text::TokenId;

use super::{
    acceptance::AcceptanceRate, costs::DraftCosts, draft_length::DraftLength, known_texts::KnownTexts,
    lookup::Lookup,
};

/// Drafts for one sequence, and learns from the outcome.
#[derive(Debug)]
pub(crate) struct Drafter {
    /// `None` if the job allows no drafts.
    lookup: Option<Lookup>,
    length: DraftLength,
    /// Where the drafts that the next step checks came from.
    source: DraftSource,
}

/// Where a draft came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DraftSource {
    /// Copied from the sequence itself, or from what was generated earlier.
    Text,
    DraftModel,
}

impl Drafter {
    /// For a sequence that begins with `prompt`. `rate` is how often the draft model's drafts have recently been
    /// accepted for other sequences.
    pub(crate) fn new(
        is_allowed: bool,
        prompt: &[TokenId],
        known: &KnownTexts,
        rate: AcceptanceRate,
    ) -> Self {
        Self {
            lookup: is_allowed.then(|| Lookup::new(prompt, known)),
            length: DraftLength::new(rate),
            source: DraftSource::Text,
        }
    }

    /// Whether the job allows drafts.
    pub(crate) fn is_allowed(&self) -> bool {
        self.lookup.is_some()
    }

    /// Drafts at most `max` tokens after the sequence's `tokens`, from these or from `known` texts.
    pub(crate) fn draft_from_text(
        &mut self,
        tokens: &[TokenId],
        known: &KnownTexts,
        costs: &DraftCosts,
        max: usize,
    ) -> Vec<TokenId> {
        self.source = DraftSource::Text;
        match &self.lookup {
            Some(lookup) if max > 0 => lookup.draft(tokens, known, costs, max),
            _ => Vec::new(),
        }
    }

    /// The number of drafts that a draft model should make, at most `max`.
    pub(crate) fn n_from_model(&self, costs: &DraftCosts, max: usize) -> usize {
        self.length.n_drafts(costs, max)
    }

    /// Records that the drafts of the next step are from a draft model.
    pub(crate) fn use_drafts_of_model(&mut self) {
        self.source = DraftSource::DraftModel;
    }

    /// Where the drafts came from that the next step checks, or the last one checked.
    pub(crate) fn source(&self) -> DraftSource {
        self.source
    }

    /// Whether there will be drafts from the text after the next token, if that is the expected one.
    pub(crate) fn will_draft(&self, known: &KnownTexts, costs: &DraftCosts) -> bool {
        self.lookup.as_ref().is_some_and(|it| it.will_draft(known, costs))
    }

    /// Records a step that checked `n_drafted` drafts and drew `n_drawn` tokens; the last `n_new` of the sequence's
    /// `tokens` are new (an end token is drawn but not one of them).
    pub(crate) fn record_step(
        &mut self,
        n_drafted: usize,
        n_drawn: usize,
        tokens: &[TokenId],
        n_new: usize,
        known: &mut KnownTexts,
    ) {
        let n_by_model = if self.source == DraftSource::DraftModel { n_drafted } else { 0 };
        self.length.record(n_by_model, n_drawn.saturating_sub(1), n_drawn);
        if let Some(lookup) = &mut self.lookup {
            lookup.observe(tokens, n_new, known);
        }
    }
}
