//! New lines as an answer gives them: [`Rewrite`].

/// The new text of a window, and where each part of it stands in the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rewrite {
    pub(super) text: String,
    /// In ascending order.
    parts: Vec<Part>,
}

/// A part of the text that stands in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    in_text: usize,
    in_answer: usize,
    n_bytes: usize,
}

impl Rewrite {
    /// Adds a part of the answer, which begins there at `offset`.
    pub(super) fn push(&mut self, part: &str, offset: usize) {
        self.parts.push(Part { in_text: self.text.len(), in_answer: offset, n_bytes: part.len() });
        self.text.push_str(part);
    }

    /// Adds a part of the answer without the marks in it.
    pub(super) fn push_without(&mut self, mark: &str, part: &str, offset: usize) {
        let mut rest = part;
        while let Some((before, after)) = rest.split_once(mark) {
            self.push(before, offset + part.len() - rest.len());
            rest = after;
        }
        self.push(rest, offset + part.len() - rest.len());
    }

    /// Adds text that is not from the answer.
    pub(super) fn push_kept(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Replaces the line ends at the end of the text by those of `window`. Answers differ from the window there more
    /// often by accident than on purpose.
    pub(super) fn end_like(&mut self, window: &str) {
        self.text.truncate(self.text.trim_end_matches('\n').len());
        self.text.push_str(&window[window.trim_end_matches('\n').len()..]);
    }

    /// The offset in the answer of what is at `offset` in the text; for text that is not from the answer, the end of the
    /// part before it.
    pub(super) fn in_answer(&self, offset: usize) -> usize {
        let idx = self.parts.partition_point(|it| it.in_text <= offset);
        let part = idx.checked_sub(1).map(|idx| self.parts[idx]);
        part.map_or(0, |it| it.in_answer + (offset - it.in_text).min(it.n_bytes))
    }
}
