//! The rows of a batch that belong to one sequence: [`SpanRows`].

use std::ops::Range;

use super::LayerState;

/// One span of the batch: its rows, and its slot's states, one per layer.
pub(crate) struct SpanRows<'a> {
    pub(crate) rows: Range<i32>,
    /// The number of drafts among them, the last ones.
    pub(crate) n_drafted: usize,
    pub(crate) states: &'a mut [LayerState],
}
