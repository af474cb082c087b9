//! Texts that go round in circles.
//!
//! A run of lines that repeats the lines right before it is held until it breaks off, and cut when it has repeated all
//! of them; lines of the prefix count as lines before it. Within a line, the same few characters over and over end the
//! text where they are.

use std::collections::VecDeque;

use super::lines::{left_of, words};
use super::{Rule, Seen, Verdict};

/// The longest block whose repetition is seen.
const MAX_PERIOD: usize = 8;
/// A line may come twice, but not three times.
const MIN_RUN: usize = 2;
/// Letters and digits that a repetition must have: closing brackets do repeat.
const MIN_WORDS: usize = 4;
/// Characters that are repeated within a line,
const MAX_UNIT: usize = 32;
/// how often,
const MIN_UNITS: usize = 4;
/// and how many characters that must be: tables of numbers do repeat.
const MIN_REPEATED: usize = 48;
/// A line of one character is a separator, up to this length.
const MAX_SEPARATOR: usize = 120;

#[derive(Clone, Debug)]
pub(super) struct Repetition {
    /// The last whole lines, of the prefix at first; each with where it begins in the text.
    lines: VecDeque<(String, usize)>,
    /// What the cursor's line begins with.
    left: String,
    /// By period, less one: how many of the last lines are those before them.
    runs: [usize; MAX_PERIOD],
}

impl Repetition {
    pub(super) fn new(prefix: &str) -> Self {
        let left = left_of(prefix);
        let before = &prefix[..prefix.len() - left.len()];
        let n_kept = 2 * MAX_PERIOD;
        let mut lines: VecDeque<_> = before
            .rsplit('\n')
            .filter(|it| !it.trim().is_empty())
            .take(n_kept)
            .map(|it| (it.trim_end().to_owned(), 0))
            .collect();
        lines.make_contiguous().reverse();
        Self { lines, left: left.to_owned(), runs: [0; MAX_PERIOD] }
    }

    pub(super) fn judge(&mut self, seen: &Seen) -> Verdict {
        if seen.last() != Some('\n') {
            if let Some(at) = repeated_unit(seen.line()) {
                return Verdict::Cut(seen.line_start + at, Rule::Repetition);
            }
            return self.held_from(seen).map_or(Verdict::Clear, Verdict::Hold);
        }
        let line = self.whole_line(seen, seen.ended_line());
        if !line.trim().is_empty() {
            self.take(line, seen.line_start);
        }
        match self.cut() {
            Some(at) => Verdict::Cut(at, Rule::Repetition),
            None => self.held_from(seen).map_or(Verdict::Clear, Verdict::Hold),
        }
    }

    /// A repetition that the end of the text made whole, or broke off.
    pub(super) fn at_end(&self, seen: &Seen) -> Option<usize> {
        let mut at_end = self.clone();
        let line = self.whole_line(seen, seen.line());
        if !seen.text.ends_with('\n') && !line.trim().is_empty() {
            at_end.take(line, seen.line_start);
        }
        at_end.cut()
    }

    /// A line with what stands before it in the prefix.
    fn whole_line(&self, seen: &Seen, line: &str) -> String {
        let left = if seen.line_start == 0 { self.left.as_str() } else { "" };
        format!("{left}{}", line.trim_end())
    }

    fn take(&mut self, line: String, start: usize) {
        for (run, period) in self.runs.iter_mut().zip(1..) {
            let same = self.lines.len().checked_sub(period).and_then(|idx| self.lines.get(idx));
            *run = if same.is_some_and(|(before, _)| *before == line) { *run + 1 } else { 0 };
        }
        self.lines.push_back((line, start));
        if self.lines.len() > 2 * MAX_PERIOD {
            self.lines.pop_front();
        }
    }

    /// Where a whole repetition begins.
    fn cut(&self) -> Option<usize> {
        let is_whole = |&(run, period): &(usize, usize)| {
            run >= period.max(MIN_RUN) && {
                let n_words: usize =
                    self.lines.iter().rev().take(run).map(|(line, _)| words(line).count()).sum();
                n_words >= MIN_WORDS
            }
        };
        let (run, _) = self.runs.iter().copied().zip(1..).find(is_whole)?;
        self.start_of(run)
    }

    /// Where the last `run` lines begin.
    fn start_of(&self, run: usize) -> Option<usize> {
        self.lines.len().checked_sub(run).and_then(|idx| self.lines.get(idx)).map(|(_, start)| *start)
    }

    /// Where the longest run begins that the last line may still go on with.
    fn held_from(&self, seen: &Seen) -> Option<usize> {
        let is_at_start = seen.text.ends_with('\n');
        let start = if is_at_start { seen.text.len() } else { seen.line_start };
        let line = if is_at_start { String::new() } else { self.whole_line(seen, seen.line()) };
        let goes_on = |period: usize| {
            let same = self.lines.len().checked_sub(period).and_then(|idx| self.lines.get(idx));
            same.is_some_and(|(before, _)| before.starts_with(&line))
        };
        let going = self.runs.iter().copied().zip(1..).filter(|(_, period)| goes_on(*period));
        going.filter_map(|(run, _)| if run == 0 { Some(start) } else { self.start_of(run) }).min()
    }
}

/// Where the last of the characters begin that a line repeats at its end.
fn repeated_unit(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    (1..=MAX_UNIT).find_map(|unit| {
        let n_needed = if unit == 1 { MAX_SEPARATOR } else { MIN_REPEATED.max(unit * MIN_UNITS) };
        let tail = &bytes[bytes.len().checked_sub(n_needed)?..];
        let at = bytes.len() - unit;
        let repeats = tail.iter().zip(&tail[unit..]).all(|(a, b)| a == b);
        // White space alone is for others to judge, and one character has a limit of its own.
        let is_blank = tail.iter().all(u8::is_ascii_whitespace);
        let is_one = unit > 1 && tail.iter().all(|it| Some(it) == tail.first());
        (repeats && !is_blank && !is_one && line.is_char_boundary(at)).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_whole};
    use super::*;

    const REPETITION: Option<Rule> = Some(Rule::Repetition);

    #[test]
    fn a_line_may_come_twice_and_not_three_times() {
        let prefix = "def f():\n    ";
        check("a.py", prefix, "", "a.bc()\n    a.bc()\n    a.bc()\n    a.bc()\n", "a.bc()", REPETITION);
        check("a.py", prefix, "", "a.bc()\n    a.bc()\n    d()", "a.bc()\n    a.bc()\n    d()", None);
    }

    #[test]
    fn a_block_is_not_written_again() {
        let once = "if a:\n        bcd()\n    x = 1";
        check("a.py", "def f():\n    ", "", &format!("{once}\n    {once}\n    y"), once, REPETITION);
        let changed = format!("{once}\n    if a:\n        bcd()\n    x = 2");
        check("a.py", "def f():\n    ", "", &changed, &changed, None);
    }

    #[test]
    fn lines_of_the_prefix_count() {
        let prefix = "def f():\n    alpha = 1\n    beta = 2\n    ";
        check("a.py", prefix, "", "alpha = 1\n    beta = 2\n    c", "", REPETITION);
        check_whole("a.py", prefix, "", "alpha = 1\n    gamma = 2", "alpha = 1\n    gamma = 2");
    }

    #[test]
    fn closing_brackets_repeat() {
        let text = "f(\n        [\n            1\n        ]\n    )";
        check_whole("a.py", "def f():\n    ", "", text, text);
    }

    #[test]
    fn the_same_characters_over_and_over_end_the_text() {
        let drawn = format!("[{}", "0, ".repeat(40));
        let expected = format!("[{}", "0, ".repeat(16));
        check("a.py", "x = ", "\n", &drawn, expected.trim_end(), REPETITION);
        let separator = "-".repeat(80);
        check_whole("a.py", "# ", "\n", &separator, &separator);
    }
}
