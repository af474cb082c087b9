//! How likely a text is under the model, token by token: [`Likelihood`].
//!
//! Rules may cut a text, and its indentation and line ends are converted to the file's form, so the tokens that spell
//! what is left are found by their [`Place`], which no such change moves.

/// A place in a text, counted in characters so that it stays the same if the white space before those characters is
/// converted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The number of characters before it that are not white space.
    n_ink: usize,
    /// The number of white space characters after the last of these. A `\r` does not count, since line ends differ.
    n_blank: usize,
}

/// All tokens that were drawn, in order. Rules may have cut off the last ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DrawnTokens(Vec<DrawnToken>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct DrawnToken {
    /// The place at which its text begins.
    start: Place,
    logprob: f64,
}

/// The log probabilities of the tokens that spell a text, under the model itself: before bias, penalties and
/// temperature. A token that is only partly in the text counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Likelihood {
    tokens: DrawnTokens,
    /// How many of the tokens begin in the text's first line.
    n_first_line: usize,
}

impl Place {
    /// The end of a text.
    pub(crate) fn end_of(text: &str) -> Self {
        let mut place = Self::default();
        place.pass(text);
        place
    }

    /// Moves behind more text.
    pub(crate) fn pass(&mut self, text: &str) {
        for next in text.chars() {
            if !next.is_whitespace() {
                *self = Self { n_ink: self.n_ink + 1, n_blank: 0 };
            } else if next != '\r' {
                self.n_blank += 1;
            }
        }
    }

    /// The same place in the text that begins at `start`; its beginning, if the place is before that.
    fn since(self, start: Self) -> Self {
        if self <= start {
            return Self::default();
        }
        let n_before = if self.n_ink == start.n_ink { start.n_blank } else { 0 };
        Self { n_ink: self.n_ink - start.n_ink, n_blank: self.n_blank - n_before }
    }
}

impl DrawnTokens {
    /// Adds a token whose text begins at `start`.
    pub(crate) fn push(&mut self, start: Place, logprob: f32) {
        // Rounding may yield a probability above 1.
        let logprob = if logprob.is_nan() { f32::NEG_INFINITY } else { logprob.min(0.0) };
        self.0.push(DrawnToken { start, logprob: logprob.into() });
    }

    /// The likelihood of `text`, which follows `before`.
    pub(crate) fn likelihood(&self, before: &str, text: &str) -> Likelihood {
        let from = Place::end_of(before);
        let (mut to, mut line_end) = (from, from);
        to.pass(text);
        line_end.pass(first_line(text).0);
        let mut first = self.0.partition_point(|it| it.start < from);
        if self.0.get(first).is_none_or(|it| it.start > from) {
            // A token that began before it.
            first = first.saturating_sub(1);
        }
        let n_before = |end| self.0.partition_point(|it| it.start < end);
        let tokens = self.0.get(first..n_before(to)).unwrap_or_default();
        Likelihood {
            tokens: Self(tokens.iter().map(|it| DrawnToken { start: it.start.since(from), ..*it }).collect()),
            n_first_line: n_before(line_end).saturating_sub(first),
        }
    }
}

impl Likelihood {
    /// What is left of it if the beginning of the text has been typed, so that `rest` remains.
    #[must_use]
    pub fn after(&self, typed: &str, rest: &str) -> Self {
        self.tokens.likelihood(typed, rest)
    }

    /// Its size in memory.
    pub fn n_bytes(&self) -> usize {
        self.tokens.0.len() * size_of::<DrawnToken>()
    }

    /// One for each token, in order.
    pub fn logprobs(&self) -> impl Iterator<Item = f64> {
        self.tokens.0.iter().map(|it| it.logprob)
    }

    /// The log probability of the first token; `None` if there are no tokens.
    pub fn first(&self) -> Option<f64> {
        self.logprobs().next()
    }

    /// The mean of the log probabilities; `None` if there are no tokens.
    pub fn mean(&self) -> Option<f64> {
        let n_tokens = self.tokens.0.len();
        (n_tokens > 0).then(|| self.logprobs().sum::<f64>() / n_tokens as f64)
    }

    /// The probability, from 0 to 1, that the model gives to the first line; `None` if there are no tokens.
    pub fn confidence(&self) -> Option<f64> {
        let line = self.logprobs().take(self.n_first_line);
        (self.n_first_line > 0).then(|| line.sum::<f64>().exp())
    }
}

/// The first line of a text that is not blank, with any blank lines before it; and whether it has ended.
pub(crate) fn first_line(text: &str) -> (&str, bool) {
    let n_blank = text.len() - text.trim_start().len();
    match text[n_blank..].find(['\n', '\r']) {
        Some(at) => (&text[..n_blank + at], true),
        None => (text, false),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]

    use super::*;

    /// Tokens with these texts, of which each has the log probability of its number.
    fn drawn(texts: &[&str]) -> DrawnTokens {
        let mut tokens = DrawnTokens::default();
        let mut place = Place::default();
        for (number, text) in (1_u8..).zip(texts) {
            tokens.push(place, -f32::from(number));
            place.pass(text);
        }
        tokens
    }

    fn numbers(likelihood: &Likelihood) -> Vec<f64> {
        likelihood.logprobs().map(|it| -it).collect()
    }

    #[test]
    fn only_the_tokens_that_spell_the_text_count() {
        let tokens = drawn(&["a", "bc", " ", "d", "\n", "e"]);
        assert_eq!(numbers(&tokens.likelihood("", "abc d")), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(numbers(&tokens.likelihood("", "ab")), [1.0, 2.0], "a token that is cut counts");
        assert_eq!(numbers(&tokens.likelihood("", "abc ")), [1.0, 2.0, 3.0]);
        assert_eq!(numbers(&tokens.likelihood("", "abc")), [1.0, 2.0]);
        assert_eq!(numbers(&tokens.likelihood("abc", " d")), [3.0, 4.0]);
        assert_eq!(numbers(&tokens.likelihood("ab", "c d")), [2.0, 3.0, 4.0], "and one that is half typed");
        assert_eq!(numbers(&tokens.likelihood("", "")), [0.0; 0]);
    }

    #[test]
    fn white_space_that_was_converted_moves_no_token() {
        let tokens = drawn(&["{", "\n", "        ", "a", ";", "\n", "    ", "}", "\n", "b"]);
        for text in ["{\n\t\ta;\n\t}", "{\r\n\t\ta;\r\n\t}", "{\n        a;\n    }"] {
            assert_eq!(numbers(&tokens.likelihood("", text)), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        }
    }

    #[test]
    fn a_character_of_several_tokens_needs_all_of_them() {
        // The first two are no character yet.
        let tokens = drawn(&["x", "", "", "é", "y"]);
        assert_eq!(numbers(&tokens.likelihood("", "xé")), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(numbers(&tokens.likelihood("x", "éy")), [2.0, 3.0, 4.0, 5.0]);
        assert_eq!(numbers(&tokens.likelihood("xé", "y")), [5.0]);
        assert_eq!(numbers(&tokens.likelihood("", "x")), [1.0]);
    }

    #[test]
    fn the_confidence_is_the_probability_of_the_first_line_that_is_not_blank() {
        let tokens = drawn(&["\n", " ", "a", "b\n", "c", "\n"]);
        let confidence = |likelihood: &Likelihood| likelihood.confidence().unwrap().ln().round();
        let all = tokens.likelihood("", "\n ab\nc");
        assert_eq!((confidence(&all), all.mean(), all.first()), (-10.0, Some(-3.0), Some(-1.0)));
        assert_eq!(confidence(&tokens.likelihood("", "\r\n ab\r\nc")), -10.0);
        assert_eq!(confidence(&all.after("\n a", "b\nc")), -4.0);
        assert_eq!(confidence(&all.after("\n ab\n", "c")), -5.0);
        assert_eq!(tokens.likelihood("", "").confidence(), None);
    }

    #[test]
    fn a_probability_that_is_no_number_is_no_confidence() {
        let mut tokens = DrawnTokens::default();
        tokens.push(Place::default(), f32::NAN);
        assert_eq!(tokens.likelihood("", "a").confidence(), Some(0.0));
        let mut tokens = DrawnTokens::default();
        tokens.push(Place::default(), 1e-6);
        assert_eq!(tokens.likelihood("", "a").confidence(), Some(1.0));
    }
}
