//! The part of a document that the model sees: [`Window`].
//!
//! Only this part is copied from the rope, so a keystroke in a large document costs no more than in a small one. A long
//! prefix helps the model, but all of it must be computed when the cursor moves to another place; so its size follows
//! the measured speed. While a person types, the window begins at the same place, since otherwise nothing of the cache
//! could be used.

use std::ops::Range;
use std::time::Duration;

use ropey::Rope;

/// The bytes of source code per token, roughly.
const BYTES_PER_TOKEN: f64 = 3.0;
/// How long computing a whole window may take.
const MAX_SECONDS: f64 = 2.5;
/// The speed is measured with at least this many tokens.
const MIN_MEASURED_TOKENS: usize = 256;
const MIN_PREFIX_BYTES: usize = 4 << 10;
const MAX_PREFIX_BYTES: usize = 64 << 10;
/// Before the speed is known.
const FIRST_PREFIX_BYTES: usize = 8 << 10;
/// The other files that the model sees take at most this.
const MAX_CONTEXT_BYTES: usize = 4 << 10;
/// What comes after the cursor matters less than what came before.
const SUFFIX_SHARE: usize = 4;
/// The beginning of the window moves by this part of its size at a time.
const STEPS: usize = 4;

/// How much of a document is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WindowSize {
    prefix_bytes: usize,
}

/// The text before and after a place in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) prefix: String,
    pub(super) suffix: String,
    /// The bytes of the document from its beginning to its end.
    pub(super) bytes: Range<usize>,
}

impl Default for WindowSize {
    fn default() -> Self {
        Self { prefix_bytes: FIRST_PREFIX_BYTES }
    }
}

impl WindowSize {
    pub(super) fn prefix_bytes(self) -> usize {
        self.prefix_bytes
    }

    /// How much of other files is used: less where a prompt takes long.
    pub(super) fn context_bytes(self) -> usize {
        (self.prefix_bytes / 2).min(MAX_CONTEXT_BYTES)
    }

    /// The size for a model that computed `n_tokens` of a prompt in this time. It differs from the present size only if
    /// the speed calls for twice as much or half, since with another size nothing of the cache can be used. A few tokens
    /// say nothing, since they take as long as many.
    pub(super) fn adapted(self, n_tokens: usize, time: Duration) -> Self {
        if n_tokens < MIN_MEASURED_TOKENS || time.is_zero() {
            return self;
        }
        let tokens_per_second = n_tokens as f64 / time.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is far below 2^53")]
        let affordable = (tokens_per_second * MAX_SECONDS * BYTES_PER_TOKEN) as usize;
        let mut prefix_bytes = self.prefix_bytes;
        while affordable >= prefix_bytes * 2 && prefix_bytes < MAX_PREFIX_BYTES {
            prefix_bytes *= 2;
        }
        while affordable <= prefix_bytes / 2 && prefix_bytes > MIN_PREFIX_BYTES {
            prefix_bytes /= 2;
        }
        Self { prefix_bytes }
    }
}

impl Window {
    /// The text before the character at `start` and from the one at `end` on.
    pub(super) fn around(text: &Rope, start: usize, end: usize, size: WindowSize) -> Self {
        let (first, last) = (first_char(text, start, size), last_char(text, end, size));
        Self {
            prefix: text.slice(first..start).to_string(),
            suffix: text.slice(end..last).to_string(),
            bytes: text.char_to_byte(first)..text.char_to_byte(last),
        }
    }
}

/// Where the prefix of a cursor begins. It depends on the cursor only in steps, and is the beginning of a line unless
/// lines are very long.
fn first_char(text: &Rope, cursor: usize, size: WindowSize) -> usize {
    let cursor_byte = text.char_to_byte(cursor);
    if cursor_byte <= size.prefix_bytes {
        return 0;
    }
    let step = size.prefix_bytes / STEPS;
    let first_byte = ((cursor_byte - size.prefix_bytes) / step + 1) * step;
    let next_line = text.byte_to_line(first_byte) + 1;
    if next_line < text.len_lines() && text.line_to_byte(next_line) < (first_byte + step / 2).min(cursor_byte)
    {
        text.line_to_char(next_line)
    } else {
        text.byte_to_char(first_byte)
    }
}

/// Where the suffix of a cursor ends: behind a whole line, unless lines are very long.
fn last_char(text: &Rope, cursor: usize, size: WindowSize) -> usize {
    let last_byte = text.char_to_byte(cursor) + size.prefix_bytes / SUFFIX_SHARE;
    if last_byte >= text.len_bytes() {
        return text.len_chars();
    }
    let line_start = text.line_to_char(text.byte_to_line(last_byte));
    if line_start > cursor { line_start } else { text.byte_to_char(last_byte) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: WindowSize = WindowSize { prefix_bytes: 4 << 10 };

    #[test]
    fn a_small_document_is_used_whole() {
        let text = Rope::from_str("one\ntwo\n");
        let window = Window::around(&text, 5, 6, SIZE);
        assert_eq!((window.prefix.as_str(), window.suffix.as_str(), window.bytes), ("one\nt", "o\n", 0..8));
    }

    #[test]
    fn the_window_of_a_large_document_is_of_whole_lines_near_its_size() {
        let text = Rope::from_str(&"some words\n".repeat(10_000));
        for cursor in [5_000, 50_000, 100_000] {
            let window = Window::around(&text, cursor, cursor, SIZE);
            assert!(window.prefix.starts_with("some"), "{}", &window.prefix[..20]);
            assert!((SIZE.prefix_bytes / 2..=SIZE.prefix_bytes).contains(&window.prefix.len()));
            assert!(window.suffix.ends_with("words\n"));
            assert!(window.suffix.len() <= SIZE.prefix_bytes / SUFFIX_SHARE);
        }
    }

    #[test]
    fn the_beginning_rarely_moves_while_text_is_typed() {
        let mut text = Rope::from_str(&"some words\n".repeat(10_000));
        let n_chars = text.len_chars();
        let mut moves = 0;
        let mut before = Window::around(&text, n_chars, n_chars, SIZE);
        for _ in 0..3 * SIZE.prefix_bytes / STEPS {
            text.insert(text.len_chars(), "x");
            let window = Window::around(&text, text.len_chars(), text.len_chars(), SIZE);
            moves += usize::from(!window.prefix.starts_with(&before.prefix));
            before = window;
        }
        assert_eq!(moves, 3);
    }

    #[test]
    fn one_long_line_is_cut_between_characters() {
        let text = Rope::from_str(&"é".repeat(100_000));
        let window = Window::around(&text, 90_000, 90_000, SIZE);
        assert!(window.prefix.len() <= SIZE.prefix_bytes && !window.suffix.is_empty());
    }

    #[test]
    fn the_size_follows_the_speed_in_large_steps() {
        let size = WindowSize::default();
        let at = |size: WindowSize, tokens_per_second| {
            size.adapted(tokens_per_second, Duration::from_secs(1)).prefix_bytes
        };
        assert_eq!(at(size, 1000), FIRST_PREFIX_BYTES, "too little difference");
        assert_eq!(at(size, 255), FIRST_PREFIX_BYTES, "too few tokens");
        assert_eq!(at(size, 1_000_000), MAX_PREFIX_BYTES);
        assert_eq!(at(size, 300), MIN_PREFIX_BYTES);
        assert_eq!(at(size, 5000), 32 << 10);
        assert_eq!(at(WindowSize { prefix_bytes: 32 << 10 }, 4000), 32 << 10);
        assert_eq!(size.adapted(300, Duration::ZERO), size);
    }
}
