//! What a slot holds of a prompt behind an edit: a pure decision from tokens alone.
//!
//! Where somebody has changed a few lines of a long prompt, what follows them is there already, at other positions.
//! Parts of the prompt are looked for in order, as llama.cpp does for its `--cache-reuse`; there only parts that were
//! cut out can be got over, here also parts that were put in.

use std::{cmp::Reverse, collections::HashMap};

use runabout_text::TokenId;

/// Of places where a part of the prompt stands in a slot, so many are looked at.
const MAX_PLACES: usize = 16;

/// Tokens that a slot holds and a prompt has elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    /// Where they begin in the slot,
    pub(crate) from: usize,
    /// and in the prompt.
    pub(crate) to: usize,
    pub(crate) n_tokens: usize,
}

/// What of `prompt` `held` has too, each from a start of its own, in the order of both, `n_min` tokens at a time at
/// least. The last token of the prompt is never among it, since the next token is drawn from what that one yields.
pub(super) fn moves(
    held: &[TokenId],
    prompt: &[TokenId],
    (mut from, mut to): (usize, usize),
    n_min: usize,
) -> Vec<Move> {
    let n_min = n_min.max(1);
    let wanted = &prompt[..prompt.len().saturating_sub(1)];
    let mut places: HashMap<&[TokenId], Vec<usize>> = HashMap::new();
    for (at, window) in held.windows(n_min).enumerate().skip(from) {
        places.entry(window).or_default().push(at);
    }
    let mut moves = Vec::new();
    while let Some(window) = wanted.get(to..to + n_min) {
        let found = places.get(window).and_then(|places| {
            let later = &places[places.partition_point(|it| *it < from)..];
            let n_alike = |at: &usize| n_alike(&held[*at..], &wanted[to..]);
            // Of equals the first, which leaves most to what follows.
            later.iter().take(MAX_PLACES).map(|at| (n_alike(at), *at)).min_by_key(|it| Reverse(it.0))
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

fn n_alike(a: &[TokenId], b: &[TokenId]) -> usize {
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
        let n_keep = n_alike(&held, &tokens).min(tokens.len() - 1);
        let moves = moves(&held, &tokens, (n_keep, n_keep), n_min);
        let moves: Vec<String> = moves
            .iter()
            .map(|it| format!("{}>{}:{}", it.from, it.to, &prompt[it.to..it.to + it.n_tokens]))
            .collect();
        assert_eq!(moves.join(" "), expected, "{prompt}");
    }

    #[test]
    fn what_follows_an_edit_moves() {
        // Something put in, cut out, and changed.
        check("head tail one.", "head NEW tail one.", 4, "5>9:tail one");
        check("head OLD tail one.", "head tail one.", 4, "9>5:tail one");
        check("head OLD tail one.", "head NEWER tail one.", 4, "8>10: tail one");
        // Two edits.
        check("aaa 1 bbbb 2 cccc.", "aaa X bbbb YY cccc.", 4, "5>5: bbbb  12>13: cccc");
        // Nothing is changed, and nothing is alike.
        check("head tail", "head tail", 4, "");
        check("head tail", "something else", 4, "");
        check("", "something", 4, "");
    }

    #[test]
    fn short_parts_are_computed_and_the_last_token_always_is() {
        check("head OLD tail", "head NEW tail", 5, "");
        check("head OLD tail", "head NEW tail", 4, "8>8: tai");
        check("head OLD tail more", "head NEW tail", 4, "8>8: tai");
    }

    #[test]
    fn parts_come_in_the_order_of_both() {
        // The second part stands before the first in what is held.
        check("x bbbb aaaa.", "y aaaa bbbb.", 4, "6>1: aaaa");
        // Of several places the one that has most.
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
            let n_keep = n_alike(&held, &prompt).min(prompt.len() - 1);
            let (mut from, mut to) = (n_keep, n_keep);
            for it in moves(&held, &prompt, (n_keep, n_keep), n_min) {
                prop_assert!(it.n_tokens >= n_min && it.from >= from && it.to >= to);
                (from, to) = (it.from + it.n_tokens, it.to + it.n_tokens);
                prop_assert!(to < prompt.len());
                prop_assert_eq!(&held[it.from..from], &prompt[it.to..to]);
            }
        }
    }
}
