//! Ends the line, the statement or the block that is being completed.

use super::extent::{Block, Extent, block_below, indentation_below};
use super::language::Language;
use super::lines::{indentation, left_of};
use super::rule::{Cursor, Rule};
use super::seen::{Seen, Verdict};

/// The number of bytes of code before the cursor that are kept. They only have to tell whether a word or sign opens a
/// block.
const MAX_CODE_BYTES: usize = 64;

#[derive(Clone, Debug)]
pub(super) struct Scope {
    language: &'static Language,
    off: Vec<Rule>,
    extent: Extent,
    /// The indentation of the cursor's line in columns, and whether nothing else precedes the cursor in it.
    left_indentation: usize,
    is_left_blank: bool,
    /// The end of the code before the cursor in its line.
    left_code: String,
    /// The indentation of the next line below the cursor that is not blank.
    below: Option<usize>,
    /// Whether the line being read closes the block.
    is_closing: bool,
    /// Whether the line being read may begin with a word such as `else`.
    is_word_pending: bool,
}

impl Scope {
    pub(super) fn new(
        cursor: &Cursor<'_>,
        left_code: &str,
        extent: Extent,
        language: &'static Language,
        off: &[Rule],
    ) -> Self {
        let n_before = left_code.len().saturating_sub(MAX_CODE_BYTES);
        Self {
            language,
            off: off.to_vec(),
            extent,
            left_indentation: indentation(left_of(cursor.prefix)),
            is_left_blank: left_of(cursor.prefix).trim().is_empty(),
            left_code: left_code[left_code.ceil_char_boundary(n_before)..].to_owned(),
            below: indentation_below(cursor.suffix),
            is_closing: false,
            is_word_pending: false,
        }
    }

    pub(super) fn judge(&mut self, seen: &Seen) -> Verdict {
        match (self.extent, seen.last()) {
            (Extent::Line, Some('\n')) => self.cut(seen, Rule::Line),
            (Extent::Statement { n_left_open, n_to_close }, Some('\n')) => {
                let is_open = seen.opened.len() > n_left_open || seen.n_closed_outer < n_to_close;
                if is_open || !seen.is_line_over() {
                    return Verdict::Clear;
                }
                self.end_statement(seen)
            }
            (Extent::Statement { .. }, _) => {
                let is_out = seen.is_first_of_line()
                    && seen.line_start > 0
                    && seen.is_line_over()
                    && indentation(seen.line()) < self.left_indentation;
                if is_out { self.cut(seen, Rule::Indentation) } else { Verdict::Clear }
            }
            (Extent::Block(_), Some('\n')) => self.end_line(seen),
            (Extent::Block(block), _) if seen.is_first_of_line() => self.begin_line(block, seen),
            (Extent::Block(_), _) if self.is_word_pending => self.judge_word(seen),
            (Extent::Line | Extent::Block(_), _) => Verdict::Clear,
        }
    }

    /// Where to cut at the end of the completion, if its last word could have become one such as `else` and did not.
    pub(super) fn at_end(&self, seen: &Seen) -> Option<usize> {
        let is_out = self.is_word_pending && !self.language.continues_block(seen.line());
        is_out.then(|| seen.without_trailing(seen.line_start))
    }

    /// Judges the end of a line that completes the statement, or opens a block below it.
    fn end_statement(&mut self, seen: &Seen) -> Verdict {
        let is_first = seen.line_start == 0;
        let (of_line, code) = if is_first {
            (self.left_indentation, format!("{}{}", self.left_code, seen.ended_code))
        } else {
            (indentation(seen.ended_line()), seen.ended_code.clone())
        };
        if let Some(block) = block_below(&code, of_line, self.language, self.below) {
            self.extent = Extent::Block(block);
            return Verdict::Hold(seen.without_trailing(seen.text.len()));
        }
        self.cut(seen, if is_first { Rule::Line } else { Rule::Statement })
    }

    /// Judges the end of a line in a block.
    fn end_line(&mut self, seen: &Seen) -> Verdict {
        if self.is_word_pending {
            let verdict = self.judge_word(seen);
            if verdict != Verdict::Clear {
                return verdict;
            }
        }
        if std::mem::take(&mut self.is_closing)
            && seen.opened.is_empty()
            && !self.language.opens_block(&seen.ended_code)
        {
            return self.cut(seen, Rule::Block);
        }
        Verdict::Hold(seen.without_trailing(seen.text.len()))
    }

    /// Judges the first character of a line that is not whitespace.
    fn begin_line(&mut self, block: Block, seen: &Seen) -> Verdict {
        if !seen.is_line_over() {
            return Verdict::Clear;
        }
        let before = seen.without_trailing(seen.line_start);
        let of_cursor = if seen.line_start == 0 { self.left_indentation } else { 0 };
        if seen.line_start == 0 && !self.is_left_blank {
            return Verdict::Clear;
        }
        let of_line = of_cursor + indentation(seen.line());
        let first = seen.last().unwrap_or_default();
        let is_outermost = seen.opened.len() <= usize::from("([{".contains(first));

        let Some(inner) = block.indentation else {
            if block.outer.is_none_or(|outer| of_line > outer) {
                self.extent = Extent::Block(Block { indentation: Some(of_line), ..block });
                return Verdict::Clear;
            }
            return self.begin_outer_line(block, of_line, first, seen);
        };
        let is_gap = before > 0 && seen.text[before..seen.line_start].matches('\n').count() > 1;
        if block.ends_at_gap && is_gap && is_outermost && of_line <= inner && self.is_on(Rule::Block) {
            return Verdict::Cut(before, Rule::Block);
        }
        if of_line < inner { self.begin_outer_line(block, of_line, first, seen) } else { Verdict::Clear }
    }

    /// Judges a line that is indented less than the block: it closes the block, continues it, or is not part of it.
    fn begin_outer_line(&mut self, block: Block, of_line: usize, first: char, seen: &Seen) -> Verdict {
        if ")]}".contains(first)
            && (block.outer.is_some_and(|outer| of_line >= outer) || !seen.opened.is_empty())
        {
            self.is_closing = true;
            return Verdict::Clear;
        }
        if block.outer.is_some_and(|outer| of_line == outer) && self.language.may_continue_block(seen.line())
        {
            self.is_word_pending = true;
            return Verdict::Hold(seen.without_trailing(seen.line_start));
        }
        self.cut(seen, Rule::Indentation)
    }

    /// Judges the first word of a line once it is complete: either it continues the block, or the line is not part of
    /// it.
    fn judge_word(&mut self, seen: &Seen) -> Verdict {
        let line = seen.line();
        let is_complete = !line.ends_with(|it: char| it.is_alphanumeric() || it == '_');
        if is_complete && self.language.continues_block(line) {
            self.is_word_pending = false;
            self.is_closing = true;
            return Verdict::Clear;
        }
        if !is_complete && self.language.may_continue_block(line) {
            return Verdict::Hold(seen.without_trailing(seen.line_start));
        }
        self.is_word_pending = false;
        self.cut(seen, Rule::Indentation)
    }

    /// Ends the completion before its last line, or before the newline that it ends with.
    fn cut(&self, seen: &Seen, rule: Rule) -> Verdict {
        if !self.is_on(rule) {
            return Verdict::Clear;
        }
        let end = match rule {
            Rule::Indentation => seen.line_start,
            _ => seen.text.len() - 1,
        };
        // The newline is dropped even if the rule for whitespace is off.
        let kept = seen.text[..end].trim_end_matches('\n').len();
        Verdict::Cut(kept, rule)
    }

    fn is_on(&self, rule: Rule) -> bool {
        !self.off.contains(&rule)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_whole};
    use super::*;

    #[test]
    fn a_line_ends_at_its_end() {
        check("a.py", "x = foo(", ")\n", "1\ny", "1", Some(Rule::Line));
        check("a.py", "x = 1", "\n", "\ny = 2\n", "", Some(Rule::Line));
    }

    #[test]
    fn a_statement_goes_on_until_its_brackets_are_closed() {
        let statement = Some(Rule::Statement);
        check("a.py", "x = ", "\n", "f(\n    a,\n)\ny = 1\n", "f(\n    a,\n)", statement);
        check("a.py", "x = f(", "\n", "\n    a,\n)\ny = 1\n", "\n    a,\n)", statement);
        check("a.rs", "    let x", "\n", " = 1;\n    let", " = 1;", Some(Rule::Line));
        check("a.js", "if ", "\n", "(a) {\n  b();\n}\nc();", "(a) {\n  b();\n}", statement);
        check("a.py", "x = ", "\n", "\"\"\"a\nb\"\"\"\ny", "\"\"\"a\nb\"\"\"", statement);
    }

    #[test]
    fn a_bracket_that_the_suffix_closes_stays_open() {
        check("a.js", "items.each", "\n  x();\n});\n", "((it) => {\n  y();", "((it) => {", Some(Rule::Line));
    }

    #[test]
    fn a_line_that_opens_a_block_goes_on_with_it_unless_it_is_there() {
        let indentation = Some(Rule::Indentation);
        check("a.py", "for x in", "\ny = 2\n", " xs:\n    f(x)\ny = 1\n", " xs:\n    f(x)", indentation);
        check("a.py", "for x in", "\n    f(x)\n", " xs:\n    g(x)\n", " xs:", Some(Rule::Line));
    }

    #[test]
    fn a_line_of_less_indentation_ends_a_block() {
        let indentation = Some(Rule::Indentation);
        check("a.py", "def f():\n    ", "", "x = 1\n    y = 2\nz = 3", "x = 1\n    y = 2", indentation);
        check("a.py", "def f():\n", "", "    x = 1\nz = 3", "    x = 1", indentation);
        check("a.py", "def f():", "", "\n    x = 1\nz = 3", "\n    x = 1", indentation);
        check("a.py", "if a:\n\t", "", "b()\n\telse_(c)\nd", "b()\n\telse_(c)", indentation);
        check("a.go", "func f() {\n\t", "\n}\n", "x()\n}\n", "x()", indentation);
    }

    #[test]
    fn a_block_ends_with_its_closing_line() {
        let block = Some(Rule::Block);
        check("a.rs", "fn f() {", "", "\n    x();\n}\n\nfn g", "\n    x();\n}", block);
        check("a.rs", "fn f() {\n    ", "", "x();\n}\n\nfn g", "x();\n}", block);
        check(
            "a.js",
            "if (a) {",
            "",
            "\n  b();\n} else {\n  c();\n}\nd",
            "\n  b();\n} else {\n  c();\n}",
            block,
        );
        check("a.rb", "def f", "", "\n  x\nend\n", "", Some(Rule::Line));
        check("a.rb", "if a then", "", "\n  b\nelse\n  c\nend\nd", "\n  b\nelse\n  c\nend", block);
        check(
            "a.py",
            "if a:",
            "",
            "\n    b\nelif c:\n    d\nelsewhere()",
            "\n    b\nelif c:\n    d",
            Some(Rule::Indentation),
        );
        check_whole("a.py", "if a:", "", "\n    b\nels", "\n    b");
    }

    #[test]
    fn an_empty_line_ends_a_block_before_one_of_its_own_level() {
        let block = Some(Rule::Block);
        check("a.py", "", "", "def f():\n    x\n\n    y\n\n\nz", "def f():\n    x\n\n    y", block);
        check("a.py", "def f():\n    ", "", "x()\n\n    y()", "x()", block);
        check_whole("a.py", "def f():\n    ", "", "x(\n\n    y)", "x(\n\n    y)");
    }
}
