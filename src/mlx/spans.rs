//! The rows of a batch that belong to one sequence: [`SpanRows`].

use std::ops::Range;

use crate::cache::KvCache;

/// One span of the batch: its rows, and the caches of its slot, a layer each.
pub(crate) struct SpanRows<'a> {
    pub(crate) rows: Range<i32>,
    pub(crate) caches: &'a mut [KvCache],
}
