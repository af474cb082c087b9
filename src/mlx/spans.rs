//! The rows of a batch that belong to one sequence: [`SpanRows`].

use std::ops::Range;

use crate::cache::KvCache;

/// One span of the batch: its rows, and its slot's caches, one per layer.
pub(crate) struct SpanRows<'a> {
    pub(crate) rows: Range<i32>,
    pub(crate) caches: &'a mut [KvCache],
}
