//! The limits for the number of drafts.

/// The most drafts that one step checks for a sequence.
///
/// On the CPUs measured so far, a step of 8 rows takes 3.6 times as long as one of a single row. At that rate 24
/// accepted drafts make a step two and a half times as productive, and more of them gain hardly anything.
pub const MAX_DRAFTS: usize = 24;

/// The most drafts that one step checks for all sequences together, since the logits of each take memory. With more rows
/// than this a step is limited by arithmetic everywhere, and drafts gain nothing.
pub(crate) const MAX_DRAFTS_TOGETHER: usize = 2 * MAX_DRAFTS;
