//! How useful a completion is, and how many tokens it took.
//!
//! Two things are compared with the text that was cut out: the first line, and the block, which is the completion cut
//! to the same number of lines. If a program has a block mode, its answer in that mode is used for the block; its
//! normal answer has a row of its own. The text that an editor would show is what remains after the clean-up of a
//! careful plugin, whose rules are here and independent of the worker's; the texts of both programs go through them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::curve::Curve;
use super::holes::{Hole, Kind};

/// A program's completion of a hole.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) text: String,
    /// The text in block mode, if the hole is a block and the program has such a mode.
    pub(super) block: Option<String>,
    /// The text for the same file with CRLF line ends, if it was asked for.
    pub(super) in_crlf: Option<String>,
    /// The number of tokens generated for `text`.
    pub(super) n_tokens: u64,
    /// Why the text ended, if the program says so.
    pub(super) reason: String,
    /// How sure the program is of `text`, from 0 to 1, if it says so.
    pub(super) confidence: Option<f64>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        json!({"text": self.text, "block": self.block, "in_crlf": self.in_crlf, "n_tokens": self.n_tokens, "reason": self.reason, "confidence": self.confidence})
    }

    /// Reads an answer that [`Self::json`] wrote.
    pub(super) fn read(json: &Value) -> Option<Self> {
        let text = |key: &str| Some(json[key].as_str()?.to_owned());
        Some(Self {
            text: text("text")?,
            block: text("block"),
            in_crlf: text("in_crlf"),
            n_tokens: json["n_tokens"].as_u64()?,
            reason: text("reason")?,
            confidence: json["confidence"].as_f64(),
        })
    }
}

/// One program's answers with their scores.
pub(super) struct Scores {
    name: String,
    answers: Vec<Answer>,
    of_holes: Vec<Score>,
}

#[derive(Clone, Debug)]
struct Score {
    is_exact: bool,
    /// Whether it is exact in CRLF too, if that was asked for.
    is_exact_in_crlf: Option<bool>,
    line_similarity: f64,
    block_similarity: f64,
    /// For the text that was not asked for as a block.
    unasked_block_similarity: f64,
    /// What remains after the clean-up.
    shown: String,
    is_clean: bool,
}

impl Scores {
    pub(super) fn new(name: String, holes: &[Hole], answers: Vec<Answer>) -> Self {
        let of_holes = holes.iter().zip(&answers).map(|(hole, answer)| Score::new(hole, answer)).collect();
        Self { name, answers, of_holes }
    }

    pub(super) fn json(&self, holes: &[Hole]) -> Value {
        let answers = holes.iter().zip(&self.answers).zip(&self.of_holes).map(|((hole, answer), score)| {
            json!({
                "language": hole.language, "path": hole.path, "kind": hole.kind.name(), "in_word": hole.in_word,
                "left": hole.prefix.rsplit('\n').next(), "right": hole.suffix.split('\n').next(),
                "truth": hole.truth, "text": answer.text, "block": answer.block, "in_crlf": answer.in_crlf, "shown": score.shown, "n_tokens": answer.n_tokens,
                "reason": answer.reason, "confidence": answer.confidence, "exact": score.is_exact, "line_similarity": score.line_similarity,
                "block_similarity": score.block_similarity, "clean": score.is_clean,
            })
        });
        let rows: Value =
            ROWS.iter().map(|row| (row.name.to_owned(), json!((row.of)(self, holes)))).collect();
        let curve = self.curve().map(|it| it.json());
        json!({"name": self.name, "scores": rows, "curve": curve, "answers": answers.collect::<Vec<_>>()})
    }

    /// What a least confidence would do; `None` if the program has no confidences.
    fn curve(&self) -> Option<Curve> {
        let judged = self.answers.iter().zip(&self.of_holes);
        Curve::new(judged.map(|(answer, score)| (answer.confidence, score.is_exact)))
    }

    /// NaN if there are no values.
    fn mean(&self, holes: &[Hole], of: impl Fn(&Hole, &Score) -> Option<f64>) -> f64 {
        let values: Vec<f64> =
            holes.iter().zip(&self.of_holes).filter_map(|(hole, it)| of(hole, it)).collect();
        values.iter().sum::<f64>() / values.len() as f64
    }

    fn n_tokens(&self) -> u64 {
        self.answers.iter().map(|it| it.n_tokens).sum()
    }

    fn n_shown(&self) -> usize {
        self.of_holes.iter().map(|it| it.shown.chars().count()).sum()
    }
}

impl Score {
    fn new(hole: &Hole, answer: &Answer) -> Self {
        let text = &answer.text;
        let first = |it: &str| it.split('\n').next().unwrap_or_default().trim_end().to_owned();
        let n_lines = hole.truth.split('\n').count();
        let of_block = |text: &str| {
            let block = text.split('\n').take(n_lines).collect::<Vec<_>>().join("\n");
            strsim::normalized_levenshtein(block.trim_end(), hole.truth.trim_end())
        };
        let shown = clean(hole, text);
        Self {
            is_exact: first(text) == first(&hole.truth),
            is_exact_in_crlf: answer.in_crlf.as_ref().map(|it| {
                // A line break other than the file's own is a mistake.
                !it.replace("\r\n", "").contains('\n') && first(it) == first(&hole.truth)
            }),
            line_similarity: strsim::normalized_levenshtein(&first(text), &first(&hole.truth)),
            block_similarity: of_block(answer.block.as_ref().unwrap_or(text)),
            unasked_block_similarity: of_block(text),
            is_clean: shown == *text,
            shown,
        }
    }
}

/// What remains of a text after the clean-up of a careful plugin.
fn clean(hole: &Hole, text: &str) -> String {
    let left = hole.prefix.rsplit('\n').next().unwrap_or_default();
    let right = hole.suffix.split('\n').next().unwrap_or_default().trim();
    let below = hole.suffix.split('\n').skip(1).map(str::trim).find(|it| !it.is_empty());
    let indentation = |line: &str| line.len() - line.trim_start().len();

    let mut kept: Vec<&str> = Vec::new();
    let mut n_open = 0_usize;
    for line in text.split('\n') {
        if let Some(previous) = kept.last() {
            // On an empty line, or after an opening bracket or colon, a block is shown; otherwise a statement.
            let opens = left.trim().is_empty() || left.trim_end().ends_with(['{', ':', '(', '[']);
            let of_cursor = indentation(left);
            let goes_on = if right.is_empty() {
                n_open > 0
                    || previous.trim_end().ends_with(':')
                    || (opens && (line.trim().is_empty() || indentation(line) >= of_cursor))
            } else {
                false
            };
            let is_again = below == Some(line.trim()) || (line.len() > 8 && kept.ends_with(&[line, line]));
            if !goes_on || is_again {
                break;
            }
        }
        for next in line.chars() {
            match next {
                '(' | '[' | '{' => n_open += 1,
                ')' | ']' | '}' => n_open = n_open.saturating_sub(1),
                _ => {}
            }
        }
        kept.push(line);
    }
    let mut text = kept.join("\n");
    if right.is_empty() {
        text.truncate(text.trim_end().len());
    } else if let Some(before) = text.trim_end().strip_suffix(right) {
        // A bracket that belongs to the text is kept.
        let is_balanced = before.matches(['(', '[', '{']).count() > before.matches([')', ']', '}']).count();
        if !(is_balanced && right.starts_with([')', ']', '}'])) {
            text.truncate(before.len());
        }
    }
    text
}

/// A row of the table.
struct Row {
    name: &'static str,
    of: fn(&Scores, &[Hole]) -> f64,
}

const ROWS: [Row; 11] = [
    Row {
        name: "exact match of the first line",
        of: |it, holes| it.mean(holes, |_, score| Some(exact(score))),
    },
    Row {
        name: "  in the middle of a word",
        of: |it, holes| it.mean(holes, |hole, score| hole.in_word.then(|| exact(score))),
    },
    Row {
        name: "  with brackets behind the cursor",
        of: |it, holes| it.mean(holes, |hole, score| (hole.kind == Kind::Inline).then(|| exact(score))),
    },
    Row {
        name: "  in a file in CRLF",
        of: |it, holes| it.mean(holes, |_, score| score.is_exact_in_crlf.map(|it| f64::from(u8::from(it)))),
    },
    Row {
        name: "edit similarity of the first line",
        of: |it, holes| it.mean(holes, |_, score| Some(score.line_similarity)),
    },
    Row {
        name: "edit similarity of the block",
        of: |it, holes| {
            it.mean(holes, |hole, score| (hole.kind == Kind::Block).then_some(score.block_similarity))
        },
    },
    Row {
        name: "  not asked for a block",
        of: |it, holes| {
            it.mean(holes, |hole, score| (hole.kind == Kind::Block).then_some(score.unasked_block_similarity))
        },
    },
    Row {
        name: "need no clean-up",
        of: |it, holes| it.mean(holes, |_, score| Some(f64::from(u8::from(score.is_clean)))),
    },
    Row { name: "tokens per hole", of: |it, holes| it.n_tokens() as f64 / holes.len().max(1) as f64 },
    Row {
        name: "characters shown per hole",
        of: |it, holes| it.n_shown() as f64 / holes.len().max(1) as f64,
    },
    Row { name: "tokens per character shown", of: |it, _| it.n_tokens() as f64 / it.n_shown().max(1) as f64 },
];

fn exact(score: &Score) -> f64 {
    f64::from(u8::from(score.is_exact))
}

/// The width of a program's column, and of the row names.
const COLUMN: usize = 12;
const NAMES: usize = 36;

pub(super) fn table(model: &str, columns: &[Scores], holes: &[Hole]) -> String {
    let mut text = format!("\n{model:<NAMES$}");
    for column in columns {
        // Writing to a string cannot fail.
        let _ = write!(text, " {:>width$}", column.name, width = COLUMN - 1);
    }
    text.push('\n');
    text.extend(ROWS.iter().map(|it| row(it.name, columns.iter().map(|column| (it.of)(column, holes)))));
    for curve in columns.iter().filter_map(Scores::curve) {
        let _ = write!(text, "\n{}", curve.table());
    }
    text
}

/// A line of a table.
pub(super) fn row(name: &str, values: impl Iterator<Item = f64>) -> String {
    let mut text = format!("{name:<NAMES$}");
    for value in values {
        let cell = if value.is_nan() { "-".to_owned() } else { format!("{value:.3}") };
        let _ = write!(text, "{cell:>COLUMN$}");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(prefix: &str, suffix: &str, truth: &str) -> Hole {
        Hole {
            package: "p",
            language: "python",
            path: "a.py".to_owned(),
            kind: Kind::Line,
            in_word: false,
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
            truth: truth.to_owned(),
            file: [String::new(), String::new()],
        }
    }

    #[test]
    fn the_clean_up_keeps_what_fits_at_the_cursor() {
        let table = [
            ("x = ", "\ny\n", "1\ny = 2\n", "1"),
            ("x = ", "\ny\n", "f(\n    1,\n)\nz", "f(\n    1,\n)"),
            ("if a:\n    ", "\nz\n", "b()\n    c()\nd()", "b()\n    c()"),
            ("if a:\n    ", "\n    c()\n", "b()\n    c()\n", "b()"),
            ("f(", ")\n", "a)\nb", "a"),
            ("f(", ")\n", "g()", "g()"),
        ];
        for (prefix, suffix, text, shown) in table {
            assert_eq!(clean(&hole(prefix, suffix, ""), text), shown, "after {prefix:?}");
        }
    }

    fn answer(text: &str) -> Answer {
        Answer {
            text: text.to_owned(),
            block: None,
            in_crlf: None,
            n_tokens: 12,
            reason: String::new(),
            confidence: None,
        }
    }

    #[test]
    fn the_first_line_is_compared_without_white_space_at_its_end() {
        let hole = hole("x = ", "\n", "foo(1)");
        let score = Score::new(&hole, &answer("foo(1) \nmore"));
        assert!(score.is_exact && !score.is_clean);
        let score = Score::new(&hole, &answer("foo(2)"));
        assert!(!score.is_exact && score.is_clean);
        assert!((score.line_similarity - 5.0 / 6.0).abs() < 1e-9);
    }

    #[test]
    fn in_crlf_the_text_must_be_the_same_with_crlf_line_ends() {
        let hole = hole("x = ", "\n", "foo(1)\nbar");
        let exact = |text: &str| {
            let in_crlf = Some(text.to_owned());
            Score::new(&hole, &Answer { in_crlf, ..answer("") }).is_exact_in_crlf
        };
        assert_eq!(exact("foo(1)\r\nbar"), Some(true));
        assert_eq!(exact("foo(1)\nbar"), Some(false));
        assert_eq!(exact("foo(2)\r\n"), Some(false));
        assert_eq!(Score::new(&hole, &answer("foo(1)")).is_exact_in_crlf, None);
    }

    #[test]
    fn the_block_score_uses_the_text_in_block_mode_cut_to_the_number_of_lines() {
        let hole = hole("x = ", "\n", "a\nb");
        let asked = Answer { block: Some("a\nb\nc".to_owned()), ..answer("a") };
        let score = Score::new(&hole, &asked);
        assert!((score.block_similarity - 1.0).abs() < 1e-9);
        assert!((score.unasked_block_similarity - 1.0 / 3.0).abs() < 1e-9);
        assert!((Score::new(&hole, &answer("a\nb\nc")).block_similarity - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_table_has_a_column_for_each_program_and_tokens_per_shown_character() {
        let holes = [hole("x = ", "\n", "foo(1)")];
        let scores = Scores::new("one".to_owned(), &holes, vec![answer("foo(1)\nbar")]);
        let table = table("m", &[scores], &holes);
        let of_block = table.lines().find(|it| it.starts_with("edit similarity of the block"));
        assert!(of_block.is_some_and(|it| it.ends_with(" -")), "there is no block");
        assert!(
            table.lines().any(|it| it.starts_with("tokens per character shown") && it.ends_with("2.000"))
        );
    }
}
