//! Selects the part of a file and its context files that goes into a prompt if the model's context window is too small
//! for all of it: [`fit`].
//!
//! What is nearest to the cursor is kept. First, context files beyond their share are dropped, the least relevant
//! first; then the end of the suffix, down to its share; then the beginning of the prefix. Context files are kept whole
//! or dropped, and cuts are at line boundaries; only a very long line is cut as if it were several. A cut must not move
//! with every keystroke, since that would make the cache useless: so the prefix is cut only at a few places that depend
//! on its beginning alone, and the suffix shrinks in whole steps as the prefix grows. Tokens are counted by a function
//! that the caller provides, so this module knows no tokenizer, and no more text is counted than can be kept.

/// The place to complete at, and what is around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surroundings<'a> {
    /// Text before the cursor.
    pub prefix: &'a str,
    /// Text after the cursor.
    pub suffix: &'a str,
    /// The path of the file that is edited.
    pub path: Option<&'a str>,
    /// The language of that file, as the client names it.
    pub language: Option<&'a str>,
    /// Context files, the most relevant last.
    pub context: &'a [ContextFile<'a>],
}

/// Another file that helps to complete this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextFile<'a> {
    pub path: &'a str,
    pub text: &'a str,
}

/// How much was left out of a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// The number of characters (Unicode scalar values) left out at the beginning of the prefix.
    pub prefix_chars: usize,
    /// The number of characters left out at the end of the suffix.
    pub suffix_chars: usize,
    /// The number of context files left out, from the first on.
    pub context_files: usize,
}

/// How much a prompt may contain.
#[derive(Clone, Copy)]
pub struct Budget<'f> {
    /// The maximum number of tokens of prefix, suffix and context files together.
    pub limit: usize,
    /// Counts the tokens of a piece of text.
    pub count: &'f dyn Fn(&str) -> usize,
    /// The number of tokens that a context file takes in addition to its path and text.
    pub per_file: usize,
}

impl std::fmt::Debug for Budget<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget")
            .field("limit", &self.limit)
            .field("per_file", &self.per_file)
            .finish_non_exhaustive()
    }
}

/// The suffix may always take the limit divided by this. What comes next matters less than what came before, but a
/// completion without any suffix does not know where to end. llama.cpp uses the same share.
const SUFFIX_SHARE: usize = 4;

/// Context files may always take the limit divided by this: a client that sends them considers them more useful than
/// the far end of a long file.
const CONTEXT_SHARE: usize = 4;

/// A cut moves by about the limit divided by this at a time.
const STEPS: usize = 8;
/// The assumed number of bytes per token of source code. Most code has more, so that steps are rather too small than
/// too large.
const BYTES_PER_TOKEN: usize = 3;

/// The part of `whole` that fits into the budget, and how much was left out.
pub fn fit<'a>(whole: &Surroundings<'a>, budget: Budget<'_>) -> (Surroundings<'a>, Trimmed) {
    let share = budget.limit / CONTEXT_SHARE;
    let (n_sure, n_left) = last_files(whole.context, share, budget);
    let (prefix, suffix, n_around) = around(whole, budget.limit - (share - n_left), budget.count);
    let is_cut = prefix.len() < whole.prefix.len() || suffix.len() < whole.suffix.len();
    // The room left over by cuts at whole lines changes with every keystroke, so no file is added to it.
    let n_files = if is_cut { n_sure } else { last_files(whole.context, budget.limit - n_around, budget).0 };
    let (dropped, context) = whole.context.split_at(whole.context.len() - n_files);

    let trimmed = Trimmed {
        prefix_chars: whole.prefix[..whole.prefix.len() - prefix.len()].chars().count(),
        suffix_chars: whole.suffix[suffix.len()..].chars().count(),
        context_files: dropped.len(),
    };
    (Surroundings { prefix, suffix, context, ..*whole }, trimmed)
}

/// The parts of prefix and suffix that fit, and the number of tokens of both together.
fn around<'a>(
    whole: &Surroundings<'a>,
    limit: usize,
    count: &dyn Fn(&str) -> usize,
) -> (&'a str, &'a str, usize) {
    let step = (limit / STEPS).max(1);
    let (mut prefix, mut n_prefix) = keep_end(whole.prefix, limit, limit, count);
    // Leaves room for what will be typed until the next step.
    let n_reserved = n_prefix.next_multiple_of(step).min(limit);
    let suffix_limit = (limit / SUFFIX_SHARE).max(limit - n_reserved);
    let (mut suffix, mut n_suffix) = keep_beginning(whole.suffix, limit - n_prefix, count);
    if suffix.len() < whole.suffix.len() {
        (suffix, n_suffix) = keep_beginning(whole.suffix, suffix_limit, count);
    }
    if n_prefix + n_suffix > limit {
        (prefix, n_prefix) = keep_end(whole.prefix, limit - n_suffix, limit, count);
    }
    (prefix, suffix, n_prefix + n_suffix)
}

/// The number of files, from the last on, that fit into `limit` tokens, and the number of tokens then left.
fn last_files(files: &[ContextFile<'_>], limit: usize, budget: Budget<'_>) -> (usize, usize) {
    let (mut n_files, mut n_left) = (0, limit);
    for file in files.iter().rev() {
        let Some(left) = spend(n_left, file.path, budget.count)
            .and_then(|left| spend(left, file.text, budget.count))
            .and_then(|left| left.checked_sub(budget.per_file))
        else {
            break;
        };
        n_left = left;
        n_files += 1;
    }
    (n_files, n_left)
}

/// The number of tokens left of `n_left` after all of `text`; `None` if it does not fit.
fn spend(n_left: usize, text: &str, count: &dyn Fn(&str) -> usize) -> Option<usize> {
    let (kept, n_tokens) = keep_beginning(text, n_left, count);
    (kept.len() == text.len()).then(|| n_left - n_tokens)
}

/// The longest end of `text` that fits into `limit` tokens, and its number of tokens. It begins at one of a few places,
/// a step of `whole_limit` apart, or at any line if none of those is near enough.
fn keep_end<'a>(
    text: &'a str,
    limit: usize,
    whole_limit: usize,
    count: &dyn Fn(&str) -> usize,
) -> (&'a str, usize) {
    // A power of two, so that a slightly different limit leads to the same places.
    let n_step_bytes = 1_usize << (whole_limit * BYTES_PER_TOKEN / STEPS).max(1).ilog2();
    let (mut start, mut n_tokens) = (text.len(), 0);
    let mut anchor = None;
    for piece in text.split_inclusive('\n').rev().flat_map(pieces_from_end) {
        let with_piece = n_tokens + count(piece);
        if with_piece > limit {
            return anchor.map_or((&text[start..], n_tokens), |(at, n)| (&text[at..], n));
        }
        let end = start;
        (start, n_tokens) = (start - piece.len(), with_piece);
        let has_anchor = start.next_multiple_of(n_step_bytes) < end;
        if has_anchor {
            anchor = Some((start, n_tokens));
        }
    }
    (text, n_tokens)
}

/// The longest beginning of `text` that fits into `limit` tokens, and its number of tokens.
fn keep_beginning<'a>(text: &'a str, limit: usize, count: &dyn Fn(&str) -> usize) -> (&'a str, usize) {
    let (mut n_bytes, mut n_tokens) = (0, 0);
    for piece in text.split_inclusive('\n').flat_map(pieces) {
        let with_piece = n_tokens + count(piece);
        if with_piece > limit {
            break;
        }
        n_tokens = with_piece;
        n_bytes += piece.len();
    }
    (&text[..n_bytes], n_tokens)
}

/// The size in bytes of the pieces of a long line. Such a line is cut as if it were several, since generated code may
/// be one line of a megabyte, and otherwise none of it would be kept. Where the pieces begin depends on the line's
/// beginning alone, and only the pieces that are asked for are computed.
const PIECE_BYTES: usize = 400;

/// The pieces of a line, from its beginning.
fn pieces(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = line.len() - rest.len();
        let end = piece_start(line, (start / PIECE_BYTES + 1) * PIECE_BYTES);
        let (piece, after) = rest.split_at(end - start);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The same pieces, from the end of the line.
fn pieces_from_end(line: &str) -> impl Iterator<Item = &str> {
    let mut n_left = line.len();
    std::iter::from_fn(move || {
        let (mut before, end) = (n_left.checked_sub(1)?, n_left);
        loop {
            before = before / PIECE_BYTES * PIECE_BYTES;
            n_left = piece_start(line, before);
            if n_left < end {
                return Some(&line[n_left..end]);
            }
            before -= 1;
        }
    })
}

/// The start of the piece that would begin at `at`, moved to the next character boundary.
fn piece_start(line: &str, at: usize) -> usize {
    (at..line.len()).find(|it| line.is_char_boundary(*it)).unwrap_or(line.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Calls [`fit`], counting one token per character.
    fn fit_chars<'a>(whole: &Surroundings<'a>, limit: usize) -> (Surroundings<'a>, Trimmed) {
        fit(whole, Budget { limit, count: &|text| text.chars().count(), per_file: 0 })
    }

    const FILES: [ContextFile<'static>; 3] = [
        ContextFile { path: "a", text: "111111111" },
        ContextFile { path: "b", text: "222222222" },
        ContextFile { path: "c", text: "333333333" },
    ];

    const WHOLE: Surroundings<'static> = Surroundings {
        prefix: "one\ntwo\nthr",
        suffix: "ee\nfour\nfive\n",
        path: Some("d"),
        language: None,
        context: &FILES,
    };

    #[test]
    fn what_fits_is_left_alone() {
        assert_eq!(fit_chars(&WHOLE, 11 + 13 + 30), (WHOLE, Trimmed::default()));
    }

    #[test]
    fn context_files_go_first_and_the_farthest_before_the_nearest() {
        let (kept, trimmed) = fit_chars(&WHOLE, 11 + 13 + 29);
        assert_eq!(kept.context, &FILES[1..]);
        assert_eq!(trimmed, Trimmed { context_files: 1, ..Trimmed::default() });
    }

    #[test]
    fn then_the_end_of_the_suffix_at_whole_lines() {
        let (kept, trimmed) = fit_chars(&WHOLE, 11 + 10);
        assert_eq!((kept.prefix, kept.suffix), (WHOLE.prefix, "ee\nfour\n"));
        assert_eq!(trimmed, Trimmed { prefix_chars: 0, suffix_chars: 5, context_files: 3 });
    }

    #[test]
    fn then_the_beginning_of_the_prefix_while_the_suffix_keeps_its_share() {
        let (kept, trimmed) = fit_chars(&WHOLE, 12);
        assert_eq!((kept.prefix, kept.suffix), ("two\nthr", "ee\n"));
        assert_eq!(trimmed, Trimmed { prefix_chars: 4, suffix_chars: 10, context_files: 3 });
    }

    #[test]
    fn files_keep_their_share_whole_and_the_last_before_the_first() {
        let file = "0123456789\n".repeat(100);
        let long = Surroundings { prefix: &file, suffix: &file, ..WHOLE };
        // A quarter of 100 tokens has room for two files of ten tokens each, a quarter of 36 for none.
        let (kept, trimmed) = fit_chars(&long, 100);
        assert_eq!((kept.context, trimmed.context_files), (&FILES[1..], 1));
        assert!(kept.prefix.len() + kept.suffix.len() <= 80);
        assert_eq!(fit_chars(&long, 36).0.context, &[]);
    }

    #[test]
    fn no_context_file_comes_back_into_the_room_that_whole_lines_leave() {
        let whole = Surroundings {
            prefix: "a line that is long\nb",
            context: &[ContextFile { path: "p", text: "text" }],
            ..WHOLE
        };
        let (kept, _) = fit_chars(&Surroundings { suffix: "", ..whole }, 10);
        assert_eq!((kept.prefix, kept.context), ("b", &[][..]));
    }

    /// Types a text key by key, and returns the window after each keystroke: the start of the prefix and the length of
    /// the suffix.
    fn type_in<'a>(typed: &'a str, n_before: usize, suffix: &'a str, limit: usize) -> Vec<(usize, usize)> {
        let keys = (n_before..=typed.len()).filter(|at| typed.is_char_boundary(*at));
        let windows = keys.map(|at| {
            let whole = Surroundings { prefix: &typed[..at], suffix, ..Surroundings::default() };
            let (kept, _) = fit_chars(&whole, limit);
            (at - kept.prefix.len(), kept.suffix.len())
        });
        windows.collect()
    }

    fn n_moves(windows: &[(usize, usize)]) -> (usize, usize) {
        let moves = |of: fn(&(usize, usize)) -> usize| {
            windows.windows(2).filter(|it| of(&it[0]) != of(&it[1])).count()
        };
        (moves(|it| it.0), moves(|it| it.1))
    }

    #[test]
    fn typing_moves_the_beginning_of_the_prefix_and_the_end_of_the_suffix_rarely() {
        let file = "let value = compute(first, second);\n".repeat(200);
        // Both are far too long: the suffix has its share, and the start of the prefix moves in steps.
        let windows = type_in(&file, 3000, &file, 1000);
        let (of_prefix, of_suffix) = n_moves(&windows);
        assert!(of_prefix <= 4200 / 250 + 1, "{of_prefix} moves in 4200 keys");
        assert_eq!(of_suffix, 0);
        assert!(windows.iter().zip(3000..).all(|((start, _), at)| at - start > 700 - 256), "enough is left");
        // The suffix is too long for the room that the prefix leaves.
        let windows = type_in(&file[..700], 100, &file, 1000);
        let (of_prefix, of_suffix) = n_moves(&windows);
        assert_eq!(of_prefix, 0);
        assert!(of_suffix <= 5, "{of_suffix} moves in 600 keys");
    }

    #[test]
    fn a_line_of_a_megabyte_is_cut_near_the_cursor() {
        let line = "é".repeat(500_000);
        let (kept, trimmed) = fit_chars(&Surroundings { prefix: &line, ..Surroundings::default() }, 1000);
        assert_eq!(kept.prefix.chars().count(), 1000);
        assert_eq!(trimmed.prefix_chars, 499_000);
    }

    #[test]
    fn no_more_is_counted_than_can_be_kept() {
        let prefix = "0123456\n".repeat(100_000);
        let counted = std::cell::Cell::new(0);
        let count = |text: &str| {
            counted.set(counted.get() + text.len());
            text.len()
        };
        let whole = Surroundings { prefix: &prefix, ..Surroundings::default() };
        fit(&whole, Budget { limit: 100, count: &count, per_file: 0 });
        assert!(counted.get() < 250, "counted {} bytes", counted.get());
    }

    #[test]
    fn a_line_is_cut_into_the_same_pieces_from_both_ends() {
        for line in ["", "abc\n", &"x".repeat(1200), &"aé🙂".repeat(500), &("é".repeat(333) + "\n")] {
            let forwards: Vec<&str> = pieces(line).collect();
            let mut backwards: Vec<&str> = pieces_from_end(line).collect();
            backwards.reverse();
            assert_eq!(forwards, backwards);
            assert_eq!(forwards.concat(), line);
            assert!(forwards.iter().all(|it| it.len() <= PIECE_BYTES + 3));
        }
    }

    proptest! {
        #[test]
        fn the_result_fits_and_with_what_was_left_out_is_the_whole(
            prefix in "[ab\né]{0,40}",
            suffix in "[ab\né]{0,40}",
            texts in prop::collection::vec("[ab\n]{0,10}", 0..4),
            limit in 0_usize..120,
        ) {
            let context: Vec<_> = texts.iter().map(|text| ContextFile { path: "p", text }).collect();
            let whole = Surroundings { prefix: &prefix, suffix: &suffix, context: &context, ..Surroundings::default() };
            let (kept, trimmed) = fit_chars(&whole, limit);
            let chars = |text: &str| text.chars().count();
            let n_files: usize = kept.context.iter().map(|file| 1 + chars(file.text)).sum();
            prop_assert!(chars(kept.prefix) + chars(kept.suffix) + n_files <= limit);
            prop_assert!(prefix.ends_with(kept.prefix) && suffix.starts_with(kept.suffix));
            prop_assert!(context.ends_with(kept.context));
            prop_assert_eq!(chars(kept.prefix) + trimmed.prefix_chars, chars(&prefix));
            prop_assert_eq!(chars(kept.suffix) + trimmed.suffix_chars, chars(&suffix));
            prop_assert_eq!(kept.context.len() + trimmed.context_files, context.len());
        }
    }
}
