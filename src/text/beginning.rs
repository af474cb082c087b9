//! Tracks how much of the beginning of a string a stream currently ends with, at a bounded cost per byte:
//! [`Beginning`].
//!
//! The algorithm is Knuth-Morris-Pratt: the shorter beginnings to fall back to after a mismatch are computed once, so
//! no byte of the stream is read twice, however long the string is.

/// Matches a stream against the beginning of a string.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    text: Vec<u8>,
    /// At index `i`: the length of the longest shorter beginning that the first `i + 1` bytes of `text` end with.
    shorter: Vec<usize>,
    /// The number of bytes of `text` that the stream ends with.
    n: usize,
    /// The number of beginnings compared so far.
    #[cfg(test)]
    pub(crate) n_tried: usize,
}

impl Beginning {
    /// A matcher for `text`, before any of the stream.
    pub(crate) fn of(text: &str) -> Self {
        let text = text.as_bytes().to_vec();
        let mut shorter = vec![0; text.len()];
        let mut n = 0;
        for at in 1..text.len() {
            while n > 0 && text[n] != text[at] {
                n = shorter[n - 1];
            }
            n += usize::from(text[n] == text[at]);
            shorter[at] = n;
        }
        Self {
            text,
            shorter,
            n: 0,
            #[cfg(test)]
            n_tried: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The length of the whole string, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// The length in bytes of the longest beginning that the stream ends with. After a whole character, it covers whole
    /// characters only.
    pub(crate) fn matched(&self) -> usize {
        self.n
    }

    /// Whether the stream ends with the whole string; never true for an empty string.
    pub(crate) fn is_whole(&self) -> bool {
        self.n == self.text.len() && self.n > 0
    }

    /// Takes the next byte of the stream.
    pub(crate) fn push(&mut self, next: u8) {
        loop {
            #[cfg(test)]
            {
                self.n_tried += 1;
            }
            if self.text.get(self.n) == Some(&next) {
                self.n += 1;
                return;
            }
            if self.n == 0 {
                return;
            }
            self.n = self.shorter[self.n - 1];
        }
    }

    /// Takes the next character of the stream.
    pub(crate) fn push_char(&mut self, next: char) {
        next.encode_utf8(&mut [0; 4]).bytes().for_each(|it| self.push(it));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_byte_costs_two_tries_at_most_however_long_the_string_is() {
        let mut beginning = Beginning::of(&("a".repeat(100_000) + "b"));
        let stream = "a".repeat(99_999) + "c" + &"a".repeat(200_000);
        stream.bytes().for_each(|it| beginning.push(it));
        assert!(beginning.n_tried <= 2 * stream.len(), "{} tries", beginning.n_tried);
        assert_eq!(beginning.matched(), 100_000);
    }

    proptest! {
        #[test]
        fn it_is_the_longest_that_the_stream_ends_with(text in "[aé\u{e8}]{0,6}", stream in "[aé\u{e8}]{0,20}") {
            let mut beginning = Beginning::of(&text);
            let mut seen = String::new();
            for next in stream.chars() {
                seen.push(next);
                beginning.push_char(next);
                let ends = text.char_indices().map(|(at, it)| at + it.len_utf8()).rev();
                let longest = ends.clone().find(|end| seen.ends_with(&text[..*end])).unwrap_or(0);
                prop_assert_eq!(beginning.matched(), longest);
                prop_assert_eq!(beginning.is_whole(), !text.is_empty() && seen.ends_with(&text));
            }
        }
    }
}
