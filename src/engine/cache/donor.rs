//! A slot whose tokens are moved to another slot: [`Donor`].

use std::collections::VecDeque;

use super::{moves::Move, slot::Slot};

/// A slot that holds tokens of a sequence's prompt at other positions. They are moved to the sequence's own slot, one
/// run after the other.
#[derive(Debug)]
pub(crate) struct Donor {
    pub(crate) slot: Slot,
    /// How many of its tokens are the beginning of the prompt.
    pub(super) n_prefix: usize,
    /// The moves that remain, in order.
    pub(super) moves: VecDeque<Move>,
    /// Whether it holds enough other tokens to be kept afterwards.
    pub(super) is_kept: bool,
}

impl Donor {
    /// The next move.
    pub(crate) fn next(&self) -> Option<Move> {
        self.moves.front().copied()
    }

    /// The number of tokens that remain to be moved.
    pub(crate) fn n_to_move(&self) -> usize {
        self.moves.iter().map(|it| it.n_tokens).sum()
    }

    /// Records that the next move was made.
    pub(crate) fn advance(&mut self) {
        self.moves.pop_front();
    }
}
