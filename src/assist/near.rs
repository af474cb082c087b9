//! The text near a cursor, for a completion that cannot wait until all of its prompt is computed: [`Near`].
//!
//! It begins and ends with whole lines, unless lines are very long, and its beginning moves in steps, since nothing of
//! the cache could be used if it moved with every key.

use std::sync::Arc;
use std::time::Duration;

use runabout_engine::NearPrompt;
use runabout_text::{InLf, Surroundings, TokenId, Trimmed};

use crate::prompt::PromptNear;

/// The most text before the cursor, in bytes. With 1,500 bytes, `qwen2.5-coder-0.5b` got nearly as many first lines right
/// as with 6,000; with 1,000 it got fewer.
pub const NEAR_PREFIX_BYTES: usize = 1792;
/// By so much the beginning moves at a time.
const STEP_BYTES: usize = 256;
/// The most text behind the cursor.
const NEAR_SUFFIX_BYTES: usize = 384;
/// Behind the name of a document: that of its near prompt in the engine's cache. No URI contains a space.
const MARK: &str = " near";

/// What is near the cursor of some surroundings.
pub(crate) struct Near<'a> {
    pub(crate) surroundings: Surroundings<'a>,
    left_out: Trimmed,
}

impl<'a> Near<'a> {
    /// `None` if at least half of the whole is near.
    pub(crate) fn of(whole: &Surroundings<'a>) -> Option<Self> {
        let (prefix, suffix) = (whole.prefix, whole.suffix);
        let n_too_many = prefix.len().saturating_sub(NEAR_PREFIX_BYTES);
        let start = prefix.ceil_char_boundary(n_too_many.next_multiple_of(STEP_BYTES));
        let next_line = prefix[start..].find('\n').filter(|_| start > 0);
        let start = next_line.map_or(start, |it| start + it + 1);
        let end = suffix.floor_char_boundary(NEAR_SUFFIX_BYTES);
        let last_line = suffix[..end].rfind('\n').filter(|_| end < suffix.len());
        let end = last_line.map_or(end, |it| it + 1);
        let n_others: usize = whole.context.iter().map(|it| it.text.len()).sum();
        let (n_near, n_whole) = (prefix.len() - start + end, prefix.len() + suffix.len() + n_others);
        let left_out = Trimmed {
            prefix_chars: prefix[..start].chars().count(),
            suffix_chars: suffix[end..].chars().count(),
            context_files: whole.context.len(),
        };
        let surroundings =
            Surroundings { prefix: &prefix[start..], suffix: &suffix[..end], context: &[], ..*whole };
        (2 * n_near <= n_whole).then_some(Self { surroundings, left_out })
    }

    /// The prompt of these `tokens`, in place of that of the `file` with this name.
    pub(crate) fn prompt(
        &self,
        tokens: Vec<TokenId>,
        patience: Duration,
        document: Option<&str>,
        file: &InLf<'_>,
    ) -> PromptNear {
        let document = document.map(|it| Arc::from(format!("{it}{MARK}")));
        PromptNear {
            prompt: NearPrompt { prompt: tokens, patience, document },
            trimmed: file.trimmed(self.left_out),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn around<'a>(prefix: &'a str, suffix: &'a str) -> Surroundings<'a> {
        Surroundings { prefix, suffix, path: None, language: None, context: &[] }
    }

    #[test]
    fn it_is_of_whole_lines() {
        let lines = "let \u{e9} = 1;\n".repeat(1000);
        let (prefix, suffix) = (lines.clone() + "let b", format!(";\n{lines}"));
        let near = Near::of(&around(&prefix, &suffix)).unwrap();
        let Surroundings { prefix: before, suffix: behind, .. } = near.surroundings;
        assert!(before.starts_with("let") && before.ends_with("let b"));
        assert!(behind.starts_with(";\n") && behind.ends_with(";\n"));
        assert!((NEAR_PREFIX_BYTES - STEP_BYTES - 20..=NEAR_PREFIX_BYTES).contains(&before.len()));
        assert!((NEAR_SUFFIX_BYTES - 20..=NEAR_SUFFIX_BYTES).contains(&behind.len()));
        let n_chars = |text: &str| text.chars().count();
        let n_left_out = (n_chars(&prefix) - n_chars(before), n_chars(&suffix) - n_chars(behind));
        assert_eq!((near.left_out.prefix_chars, near.left_out.suffix_chars), n_left_out);
    }

    #[test]
    fn it_begins_at_the_same_place_for_many_keys() {
        let file = "let a = 1;\n".repeat(1000);
        let starts = (5000..5000 + STEP_BYTES).map(|n| {
            let near = Near::of(&around(&file[..n], "")).unwrap();
            n - near.surroundings.prefix.len()
        });
        let mut starts: Vec<_> = starts.collect();
        starts.dedup();
        assert!(starts.len() <= 2, "{starts:?}");
    }

    #[test]
    fn a_long_line_is_cut_and_a_short_text_is_near_as_a_whole() {
        let long = "\u{e9}".repeat(2000);
        let near = Near::of(&around(&long, &long)).unwrap();
        assert!(near.surroundings.prefix.len() > NEAR_PREFIX_BYTES - STEP_BYTES);
        assert_eq!(near.surroundings.suffix.len(), NEAR_SUFFIX_BYTES);
        assert!(Near::of(&around(&"a\n".repeat(500), "b")).is_none());
    }
}
