//! Ends completions that repeat themselves.
//!
//! A run of lines that repeats the lines right before it is held back until it differs from them, and cut once it has
//! repeated all of them. Lines of the prefix count as lines before it. If a few characters repeat over and over within
//! a line, the completion ends before the last repetition.

use std::collections::VecDeque;

use super::lines::{MAX_LINE_BYTES, left_of, words};
use super::rule::Rule;
use super::seen::{Seen, Verdict};

/// The number of lines of the longest block whose repetition is recognized.
const MAX_PERIOD: usize = 8;
/// The least number of repeated lines, so that a line may occur twice in a row, but not three times.
const MIN_RUN: usize = 2;
/// The number of letters, digits and `_` that repeated lines must have: lines of closing brackets do repeat.
const MIN_WORDS: usize = 4;
/// The greatest length of characters whose repetition within a line is recognized, in bytes.
const MAX_UNIT: usize = 32;
/// How often they must repeat at least.
const MIN_UNITS: usize = 4;
/// The number of bytes that all repetitions must have together: tables of numbers do repeat.
const MIN_REPEATED: usize = 48;
/// The number of repetitions of a single character, in bytes, that ends the text. Shorter ones are separators.
const MAX_SEPARATOR: usize = 120;

#[derive(Clone, Debug)]
pub(super) struct Repetition {
    /// The last complete lines, at first those of the prefix, each with the offset at which it begins in the
    /// completion. `None`: a line so long that it is taken for data, and equals no other.
    lines: VecDeque<(Option<String>, usize)>,
    /// The part of the cursor's line before the cursor. `None`: it is so long that it is taken for data.
    left: Option<String>,
    /// How the last line compares with lines before it, up to its last character that is not whitespace.
    compared: Compared,
    /// At index `period - 1`, how many of the last lines equal the line `period` lines before them.
    runs: [usize; MAX_PERIOD],
}

/// How the last line, which is not complete, compares with lines before it.
#[derive(Clone, Debug, Default)]
struct Compared {
    /// At index `period - 1`, whether the line `period` lines before begins like the last one.
    goes_on: [bool; MAX_PERIOD],
    /// The number of bytes compared of the last line, including its part in the prefix.
    n_bytes: usize,
    /// The offset in the completion from which on nothing has been compared.
    from: usize,
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
            .map(|it| (comparable(it), 0))
            .collect();
        lines.make_contiguous().reverse();
        let left = (left.len() <= MAX_LINE_BYTES).then(|| left.to_owned());
        let mut it = Self { lines, left, compared: Compared::default(), runs: [0; MAX_PERIOD] };
        it.begin_line(0, it.left.as_ref().map(|it| it.trim_end().to_owned()).as_deref());
        it
    }

    pub(super) fn judge(&mut self, seen: &Seen) -> Verdict {
        if seen.last() != Some('\n') {
            if let Some(at) = repeated_unit(seen.line()) {
                return Verdict::Cut(seen.line_start + at, Rule::Repetition);
            }
            self.compare(seen);
            return self.held_from(seen).map_or(Verdict::Clear, Verdict::Hold);
        }
        if !self.is_blank(seen, seen.ended_line()) {
            self.take(self.whole_line(seen, seen.ended_line()), seen.line_start);
        }
        self.begin_line(seen.text.len(), Some(""));
        match self.cut() {
            Some(at) => Verdict::Cut(at, Rule::Repetition),
            None => self.held_from(seen).map_or(Verdict::Clear, Verdict::Hold),
        }
    }

    /// Where to cut at the end of the completion, if its last line completes a repetition.
    pub(super) fn at_end(&self, seen: &Seen) -> Option<usize> {
        let mut at_end = self.clone();
        if !seen.text.ends_with('\n') && !self.is_blank(seen, seen.line()) {
            at_end.take(self.whole_line(seen, seen.line()), seen.line_start);
        }
        at_end.cut()
    }

    /// The part in the prefix of the line being read; empty after the first line. `None`: it is taken for data.
    fn left_of(&self, seen: &Seen) -> Option<&str> {
        if seen.line_start == 0 { self.left.as_deref() } else { Some("") }
    }

    fn is_blank(&self, seen: &Seen, line: &str) -> bool {
        line.trim().is_empty() && self.left_of(seen).is_some_and(|it| it.trim().is_empty())
    }

    /// A line with its part in the prefix. `None`: it is taken for data.
    fn whole_line(&self, seen: &Seen, line: &str) -> Option<String> {
        let left = self.left_of(seen)?;
        comparable(line).and_then(|line| comparable(&format!("{left}{line}")))
    }

    fn take(&mut self, line: Option<String>, start: usize) {
        for (run, period) in self.runs.iter_mut().zip(1..) {
            let same = line.is_some() && line_before(&self.lines, period) == line.as_deref();
            *run = if same { *run + 1 } else { 0 };
        }
        self.lines.push_back((line, start));
        if self.lines.len() > 2 * MAX_PERIOD {
            self.lines.pop_front();
        }
    }

    /// The offset at which a complete repetition begins.
    fn cut(&self) -> Option<usize> {
        let is_whole = |&(run, period): &(usize, usize)| {
            run >= period.max(MIN_RUN) && {
                let n_words: usize = self
                    .lines
                    .iter()
                    .rev()
                    .take(run)
                    .filter_map(|(it, _)| it.as_deref())
                    .map(|it| words(it).count())
                    .sum();
                n_words >= MIN_WORDS
            }
        };
        let (run, _) = self.runs.iter().copied().zip(1..).find(is_whole)?;
        self.start_of(run)
    }

    /// The offset at which the last `run` lines begin.
    fn start_of(&self, run: usize) -> Option<usize> {
        self.lines.len().checked_sub(run).and_then(|idx| self.lines.get(idx)).map(|(_, start)| *start)
    }

    /// The offset at which the longest run of repeated lines begins that the last line may still continue.
    fn held_from(&self, seen: &Seen) -> Option<usize> {
        let start = if seen.text.ends_with('\n') { seen.text.len() } else { seen.line_start };
        let going = self.runs.iter().zip(self.compared.goes_on).filter(|(_, goes_on)| *goes_on);
        going.filter_map(|(run, _)| if *run == 0 { Some(start) } else { self.start_of(*run) }).min()
    }

    /// Begins a new line at the offset `start`. Its part in the prefix is `left`.
    fn begin_line(&mut self, start: usize, left: Option<&str>) {
        let goes_on = |period: usize| {
            let before = line_before(&self.lines, period);
            left.zip(before).is_some_and(|(left, before)| before.starts_with(left))
        };
        let goes_on = std::array::from_fn(|idx| goes_on(idx + 1));
        self.compared = Compared { goes_on, n_bytes: left.map_or(0, str::len), from: start };
    }

    /// Compares the last character, with the whitespace before it. Whitespace is not compared before something follows
    /// it.
    fn compare(&mut self, seen: &Seen) {
        if seen.last().is_none_or(char::is_whitespace) {
            return;
        }
        // Whitespace at the end of the prefix was not compared either.
        let left = if self.compared.from == 0 { self.left.as_deref().unwrap_or_default() } else { "" };
        let left = &left[left.len().min(self.compared.n_bytes)..];
        let next = &seen.text[self.compared.from..];
        for (goes_on, period) in self.compared.goes_on.iter_mut().zip(1..) {
            let rest = line_before(&self.lines, period).and_then(|it| it.get(self.compared.n_bytes..));
            *goes_on &= rest.and_then(|it| it.strip_prefix(left)).is_some_and(|it| it.starts_with(next));
        }
        self.compared.n_bytes += left.len() + next.len();
        self.compared.from = seen.text.len();
    }
}

/// The part of a line that is compared. `None`: the line is taken for data.
fn comparable(line: &str) -> Option<String> {
    let line = line.trim_end();
    (line.len() <= MAX_LINE_BYTES).then(|| line.to_owned())
}

/// The line `period` lines before the last one, which is not complete and not in `lines`.
fn line_before(lines: &VecDeque<(Option<String>, usize)>, period: usize) -> Option<&str> {
    lines.len().checked_sub(period).and_then(|idx| lines.get(idx)).and_then(|(line, _)| line.as_deref())
}

/// The offset of the last repetition, if the line ends with the same characters over and over.
fn repeated_unit(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    (1..=MAX_UNIT).find_map(|unit| {
        let n_needed = if unit == 1 { MAX_SEPARATOR } else { MIN_REPEATED.max(unit * MIN_UNITS) };
        let tail = &bytes[bytes.len().checked_sub(n_needed)?..];
        let at = bytes.len() - unit;
        let repeats = tail.iter().zip(&tail[unit..]).all(|(a, b)| a == b);
        // Whitespace alone is judged by other rules, and a single character has its own limit.
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
