//! Which tokens behind an edit a slot already holds: a pure decision from tokens alone.
//!
//! If a few lines of a long prompt were changed, the slot already holds what follows them, at other positions. Parts of
//! the prompt are searched for in order, as in llama.cpp's `--cache-reuse`. There an edit can only remove text; here it
//! may also insert some.

use std::{cmp::Reverse, collections::HashMap};

use runabout_text::TokenId;

/// The most occurrences of a part of the prompt that are compared.
const MAX_OCCURRENCES: usize = 16;

/// A run of tokens that a slot holds and a prompt has at another position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    /// Its position in the slot.
    pub(crate) from: usize,
    /// Its position in the prompt.
    pub(crate) to: usize,
    pub(crate) n_tokens: usize,
}

/// Finds the runs of at least `n_min` tokens that are in `prompt` from position `to` on and in `held` from position
/// `from` on, in the order of both. The last token of the prompt is never included, since feeding that token yields the
/// next.
pub(super) fn find_moves(
    held: &[TokenId],
    prompt: &[TokenId],
    (mut from, mut to): (usize, usize),
    n_min: usize,
) -> Vec<Move> {
    let n_min = n_min.max(1);
    let wanted = &prompt[..prompt.len().saturating_sub(1)];
    let mut occurrences: HashMap<&[TokenId], Vec<usize>> = HashMap::new();
    for (at, window) in held.windows(n_min).enumerate().skip(from) {
        occurrences.entry(window).or_default().push(at);
    }
    let mut moves = Vec::new();
    while let Some(window) = wanted.get(to..to + n_min) {
        let found = occurrences.get(window).and_then(|all| {
            let later = &all[all.partition_point(|it| *it < from)..];
            let n_common = |at: &usize| n_common(&held[*at..], &wanted[to..]);
            // Among equals the first, which leaves most for the following runs.
            later.iter().take(MAX_OCCURRENCES).map(|at| (n_common(at), *at)).min_by_key(|it| Reverse(it.0))
        });
        if let Some((n_tokens, at)) = found {
            moves.push(Move { from: at, to, n_tokens });
            (from, to) = (at + n_tokens, to + n_tokens);
        } else {
            to += 1;
        }
    }
    moves
}

/// The length of the common beginning of both.
fn n_common(a: &[TokenId], b: &[TokenId]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Letters are tokens. Moves are written as `from>to:tokens`.
    #[track_caller]
    fn check(held: &str, prompt: &str, n_min: usize, expected: &str) {
        let tokens = |text: &str| -> Vec<TokenId> { text.bytes().map(TokenId::from).collect() };
        let (held, tokens) = (tokens(held), tokens(prompt));
        let n_keep = n_common(&held, &tokens).min(tokens.len() - 1);
        let moves = find_moves(&held, &tokens, (n_keep, n_keep), n_min);
        let moves: Vec<String> = moves
            .iter()
            .map(|it| format!("{}>{}:{}", it.from, it.to, &prompt[it.to..it.to + it.n_tokens]))
            .collect();
        assert_eq!(moves.join(" "), expected, "{prompt}");
    }

    #[test]
    fn what_follows_an_edit_is_moved() {
        // Text inserted, removed and changed.
        check("head tail one.", "head NEW tail one.", 4, "5>9:tail one");
        check("head OLD tail one.", "head tail one.", 4, "9>5:tail one");
        check("head OLD tail one.", "head NEWER tail one.", 4, "8>10: tail one");
        // Two edits.
        check("aaa 1 bbbb 2 cccc.", "aaa X bbbb YY cccc.", 4, "5>5: bbbb  12>13: cccc");
        // Nothing is changed, and nothing in common.
        check("head tail", "head tail", 4, "");
        check("head tail", "something else", 4, "");
        check("", "something", 4, "");
    }

    #[test]
    fn short_parts_and_the_last_token_are_always_computed() {
        check("head OLD tail", "head NEW tail", 5, "");
        check("head OLD tail", "head NEW tail", 4, "8>8: tai");
        check("head OLD tail more", "head NEW tail", 4, "8>8: tai");
    }

    #[test]
    fn parts_are_found_in_the_order_of_both() {
        // The second part comes before the first one in what is held.
        check("x bbbb aaaa.", "y aaaa bbbb.", 4, "6>1: aaaa");
        // Of several occurrences the longest one is used.
        check("x tail 1 tail 2 tail 3.", "y tail 2 tail 3.", 5, "8>1: tail 2 tail 3");
        check("x tail 1 tail 2 tail 3.", "y tail 1 tail 3.", 5, "1>1: tail 1 tail ");
    }

    proptest! {
        #[test]
        fn what_is_moved_is_what_is_wanted_and_each_is_moved_once(
            held in prop::collection::vec(0_u32..3, 0..40),
            prompt in prop::collection::vec(0_u32..3, 1..40),
            n_min in 1_usize..5,
        ) {
            let n_keep = n_common(&held, &prompt).min(prompt.len() - 1);
            let (mut from, mut to) = (n_keep, n_keep);
            for it in find_moves(&held, &prompt, (n_keep, n_keep), n_min) {
                prop_assert!(it.n_tokens >= n_min && it.from >= from && it.to >= to);
                (from, to) = (it.from + it.n_tokens, it.to + it.n_tokens);
                prop_assert!(to < prompt.len());
                prop_assert_eq!(&held[it.from..from], &prompt[it.to..to]);
            }
        }
    }
}
