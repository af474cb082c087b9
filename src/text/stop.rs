//! Stop strings in a stream of text.
//!
//! A stop string may arrive in pieces, such as "ST" and then "OP". So text that could still become one is held back,
//! and no other. The stop string that is complete first wins, or the longest if two end together; the text after it is
//! dropped. The result does not depend on how the text is split, and the cost per byte does not depend on the length of
//! the stop strings.

use crate::beginning::Beginning;

/// The result of one piece of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopOutput {
    /// Text that can no longer be part of a stop string.
    pub emit: String,
    /// The index of the stop string that ended the text.
    pub matched: Option<usize>,
}

/// Looks for stop strings in a stream of text. Empty stop strings never match.
#[derive(Clone, Debug)]
pub struct StopMatcher {
    stop: Vec<Beginning>,
    /// The longest end of the text so far that is a beginning of a stop string.
    held: String,
    is_over: bool,
}

/// A matcher for these stop strings, before any text.
impl StopMatcher {
    pub fn new(stop: &[String]) -> Self {
        Self { stop: stop.iter().map(|it| Beginning::of(it)).collect(), held: String::new(), is_over: false }
    }

    /// Takes the next piece of text. After a match, all further text is dropped.
    pub fn push(&mut self, text: &str) -> StopOutput {
        if self.is_over {
            return StopOutput::default();
        }
        let mut emit = std::mem::take(&mut self.held);
        let n_held = emit.len();
        emit.push_str(text);
        for (end, next) in (n_held + 1..).zip(text.bytes()) {
            self.stop.iter_mut().for_each(|it| it.push(next));
            if let Some((n_bytes, idx)) = self.whole() {
                self.is_over = true;
                emit.truncate(end - n_bytes);
                return StopOutput { emit, matched: Some(idx) };
            }
        }
        let n_undecided = self.stop.iter().map(Beginning::matched).max().unwrap_or(0);
        self.held = emit.split_off(emit.len() - n_undecided);
        StopOutput { emit, matched: None }
    }

    /// The end of the text: returns what was held back, which belongs to the text after all.
    pub fn flush(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// The length in bytes and the index of the longest stop string that is complete now.
    fn whole(&self) -> Option<(usize, usize)> {
        let whole = self.stop.iter().zip(0_usize..).filter(|(it, _)| it.is_whole());
        // Of two equal stop strings, the first one.
        whole
            .map(|(it, idx)| (it.len(), idx))
            .max_by_key(|(n_bytes, idx)| (*n_bytes, std::cmp::Reverse(*idx)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn matcher(stop: &[&str]) -> StopMatcher {
        StopMatcher::new(&stop.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    /// All text emitted for the pieces, and the match.
    fn run(stop: &[&str], pieces: &[&str]) -> (String, Option<usize>) {
        let mut matcher = matcher(stop);
        let mut text = String::new();
        let mut matched = None;
        for piece in pieces {
            let output = matcher.push(piece);
            text.push_str(&output.emit);
            matched = matched.or(output.matched);
        }
        text.push_str(&matcher.flush());
        (text, matched)
    }

    /// The expected result, computed the slow and obvious way: after each character, is a stop string complete?
    fn whole(stop: &[&str], text: &str) -> (String, Option<usize>) {
        for end in text.char_indices().map(|(at, it)| at + it.len_utf8()) {
            let seen = &text[..end];
            let ending = stop.iter().enumerate().filter(|(_, it)| !it.is_empty() && seen.ends_with(**it));
            if let Some((idx, it)) = ending.max_by_key(|(idx, it)| (it.len(), usize::MAX - idx)) {
                return (seen[..end - it.len()].to_owned(), Some(idx));
            }
        }
        (text.to_owned(), None)
    }

    #[test]
    fn a_stop_string_in_two_pieces_ends_the_text_before_it() {
        assert_eq!(run(&["STOP"], &["a ST", "OP b"]), ("a ".to_owned(), Some(0)));
    }

    #[test]
    fn only_what_could_still_match_is_held_back() {
        let mut matcher = matcher(&["\n\n", "```"]);
        assert_eq!(matcher.push("let x = `1`;\n").emit, "let x = `1`;");
        assert_eq!(matcher.push("let").emit, "\nlet");
        assert_eq!(matcher.push("``").emit, "");
        assert_eq!(matcher.flush(), "``");
    }

    #[test]
    fn text_after_a_match_is_dropped_in_later_pieces_too() {
        let mut matcher = matcher(&["end"]);
        assert_eq!(matcher.push("the end of"), StopOutput { emit: "the ".to_owned(), matched: Some(0) });
        assert_eq!(matcher.push(" it"), StopOutput::default());
        assert_eq!(matcher.flush(), "");
    }

    #[test]
    fn the_stop_string_that_is_complete_first_wins() {
        assert_eq!(run(&["abcd", "bc"], &["abcd"]), ("a".to_owned(), Some(1)));
        assert_eq!(run(&["c", "abc"], &["xabc"]), ("x".to_owned(), Some(1)));
    }

    #[test]
    fn a_beginning_inside_a_beginning_is_not_lost() {
        assert_eq!(run(&["aab"], &["a", "a", "a", "b"]), ("a".to_owned(), Some(0)));
    }

    #[test]
    fn empty_stop_strings_never_match() {
        assert_eq!(run(&["", "é"], &["caf", "è"]), ("cafè".to_owned(), None));
    }

    #[test]
    fn a_byte_of_text_costs_the_same_however_much_is_held() {
        let stop = "a".repeat(1000) + "b";
        let mut matcher = matcher(&[&stop]);
        for _ in 0..10_000 {
            matcher.push("a");
        }
        assert!(matcher.stop[0].n_tried <= 2 * 10_000, "{} tries", matcher.stop[0].n_tried);
    }

    proptest! {
        #[test]
        fn every_chunking_equals_the_whole_text(
            stop in prop::collection::vec("[ab😀é]{0,4}", 0..4),
            pieces in prop::collection::vec("[ab😀é]{0,5}", 0..8),
        ) {
            let stop: Vec<&str> = stop.iter().map(String::as_str).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(run(&stop, &pieces), whole(&stop, &pieces.concat()));
        }
    }
}
