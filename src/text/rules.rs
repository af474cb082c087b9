//! Rules that end a completion where a person would end it, while it is generated: [`Rules`].
//!
//! After each character, every rule judges the text: it may hold back text that could still turn out wrong, and it may
//! cut the text at a place that is still held back. So emitted text is never taken back, text that a rule cuts is never
//! emitted, and the result does not depend on how the text is split into pieces. Rules are pure: they know the text
//! around the cursor, and neither tokens nor models. All text is in LF, including the text they emit.

mod blank;
mod brackets;
mod extent;
mod form;
mod language;
mod lexer;
mod lines;
mod repetition;
mod rule;
mod scope;
mod seen;
mod suffix;

pub(crate) use self::lines::left_of;
pub use self::rule::{Cursor, Goal, Rule};

use self::blank::Blank;
use self::brackets::Brackets;
use self::extent::Extent;
use self::form::Form;
use self::language::Language;
use self::lexer::Lexer;
use self::repetition::Repetition;
use self::scope::Scope;
use self::seen::{Seen, Verdict};
use self::suffix::Suffix;

/// The result of one piece of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleOutput {
    /// Text that no rule can cut any more.
    pub emit: String,
    /// The rule that ended the text, if one did.
    pub stopped: Option<Rule>,
}

/// The rules for one completion.
#[derive(Clone, Debug)]
pub struct Rules {
    form: Form,
    seen: Seen,
    judges: Vec<Judge>,
    trims: Option<Blank>,
    /// The number of bytes emitted so far.
    n_emitted: usize,
    is_over: bool,
}

#[derive(Clone, Debug)]
enum Judge {
    Brackets(Brackets),
    Suffix(Suffix),
    Repetition(Repetition),
    Scope(Scope),
    Blank,
}

impl Rules {
    /// The rules for a completion at `cursor`, except those in `off`.
    pub fn new(cursor: &Cursor<'_>, goal: Goal, off: &[Rule]) -> Self {
        let cursor = &cursor.near();
        let language = Language::find(cursor.language, cursor.path);
        let mut lexer = Lexer::new(language);
        let mut brackets = Brackets::read(&mut lexer, cursor);
        let is_on = |rule: Rule| !off.contains(&rule);
        let extent = Extent::choose(cursor, goal, language, &lexer, &brackets);
        let scope = Scope::new(cursor, &brackets.take_code(), extent, language, off);
        let mut judges = Vec::new();
        if is_on(Rule::Bracket) {
            judges.push(Judge::Brackets(brackets));
        }
        if is_on(Rule::Suffix) {
            judges.push(Judge::Suffix(Suffix::new(cursor, &lexer)));
        }
        if is_on(Rule::Repetition) {
            judges.push(Judge::Repetition(Repetition::new(cursor.prefix)));
        }
        judges.push(Judge::Scope(scope));
        let trims = is_on(Rule::Blank).then(|| Blank::new(cursor));
        if trims.is_some() {
            judges.push(Judge::Blank);
        }
        let form = Form::new(cursor, lexer.clone());
        let seen = Seen::new(lexer);
        Self { form, seen, judges, trims, n_emitted: 0, is_over: false }
    }

    /// Takes the next piece of text, and puts it into the form of the file (indentation, for instance). After a rule
    /// has ended the text, everything further is dropped.
    pub fn push(&mut self, text: &str) -> RuleOutput {
        let text = self.form.push(text);
        self.push_formed(&text)
    }

    fn push_formed(&mut self, text: &str) -> RuleOutput {
        let mut output = RuleOutput::default();
        for next in text.chars() {
            if self.is_over {
                break;
            }
            self.seen.push(next);
            let (end, rule) = self.judge();
            self.is_over = rule.is_some();
            output.stopped = rule;
            self.emit_to(end, &mut output.emit);
        }
        output
    }

    /// The end of the text: returns what was held back, up to where a rule cuts it at its end.
    pub fn flush(&mut self) -> String {
        let held = self.form.flush();
        let mut emit = self.push_formed(&held).emit;
        if !self.is_over {
            self.is_over = true;
            let ends = self.judges.iter().filter_map(|it| it.at_end(&self.seen));
            let end = ends.min().unwrap_or(self.seen.text.len());
            let end = self.trims.as_ref().map_or(end, |it| it.trim_at_end(&self.seen.text[..end]));
            self.emit_to(end, &mut emit);
        }
        emit
    }

    /// The end of the text that may be emitted, and the rule that ended the text there, if one did.
    fn judge(&mut self) -> (usize, Option<Rule>) {
        let mut end = self.seen.text.len();
        let mut cut: Option<(usize, Rule)> = None;
        for judge in &mut self.judges {
            match judge.judge(&self.seen) {
                Verdict::Clear => {}
                Verdict::Hold(from) => end = end.min(from),
                // If two rules cut at the same place, the first one is named.
                Verdict::Cut(at, rule) => cut = cut.filter(|it| it.0 <= at).or(Some((at, rule))),
            }
        }
        let limit = self.judges.iter().find_map(Judge::limit).unwrap_or(usize::MAX);
        let (end, rule) = match cut {
            Some((at, _)) if limit < at => (limit, Some(Rule::Bracket)),
            Some((at, rule)) => (at, Some(rule)),
            None => (end, None),
        };
        let trims = self.trims.as_ref();
        let end = match rule {
            Some(_) => trims.map_or(end, |it| it.trim_at_end(&self.seen.text[..end])),
            None => trims.map_or(end, |_| self.seen.without_trailing(end)),
        };
        (end, rule)
    }

    /// Emits the text up to `end`. A cut before what was already emitted would be a mistake of a rule; nothing is
    /// emitted then.
    fn emit_to(&mut self, end: usize, emit: &mut String) {
        if let Some(text) = self.seen.text.get(self.n_emitted..end) {
            emit.push_str(text);
            self.n_emitted = self.n_emitted.max(end);
        }
    }
}

impl Judge {
    fn judge(&mut self, seen: &Seen) -> Verdict {
        match self {
            Self::Brackets(it) => it.judge(seen),
            Self::Suffix(it) => it.judge(seen),
            Self::Repetition(it) => it.judge(seen),
            Self::Scope(it) => it.judge(seen),
            Self::Blank => Blank::judge(seen),
        }
    }

    /// The latest end of a text that is cut now.
    fn limit(&self) -> Option<usize> {
        match self {
            Self::Brackets(it) => Some(it.limit()),
            _ => None,
        }
    }

    /// Where to cut the text if there is no more of it.
    fn at_end(&self, seen: &Seen) -> Option<usize> {
        match self {
            Self::Suffix(it) => it.at_end(seen),
            Self::Repetition(it) => it.at_end(seen),
            Self::Scope(it) => it.at_end(seen),
            Self::Brackets(it) => Some(it.at_end(seen)),
            Self::Blank => None,
        }
    }
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::rule::MAX_BYTES;
    use super::testing::run;
    use super::*;

    #[test]
    fn a_rule_has_one_name() {
        for rule in Rule::ALL {
            assert_eq!(Rule::named(rule.name()), Some(rule));
        }
        assert_eq!(Rule::named("lines"), None);
    }

    #[test]
    fn what_rules_know_of_a_file_does_not_grow_with_it() {
        for piece in ["x", "(", " ", "`${", "a1 ", "é", "\"{(", "word\n", "\n", "(\n"] {
            for (n_before, n_behind) in [(1 << 20, 0), (0, 1 << 20), (1 << 20, 1 << 20)] {
                let text = |n_bytes: usize| piece.repeat(n_bytes / piece.len());
                let (prefix, suffix) = (text(n_before), text(n_behind));
                for suffix in [suffix.clone(), format!("}} {suffix}"), format!("= {suffix}")] {
                    let cursor =
                        Cursor { prefix: &prefix, suffix: &suffix, language: Some("js"), path: None };
                    // Everything that a character is compared with is in here.
                    let known = format!("{:?}", Rules::new(&cursor, Goal::Auto, &[]));
                    assert!(known.len() < MAX_BYTES, "{} bytes of {piece:?}", known.len());
                }
            }
        }
    }

    #[test]
    fn each_rule_can_be_switched_off() {
        // (prefix, suffix, text, rule that ends it)
        let table = [
            ("x = ", "\n", "1\ny = 2\n", Rule::Line),
            ("x = [", "", "\n    1,\n]\ny = 2\n", Rule::Statement),
            ("", "", "def f():\n    pass\n\n\ndef g():\n    pass", Rule::Block),
            ("def f():\n    ", "", "pass\nx = 1\n", Rule::Indentation),
            ("f(", ")\n", "x), g()", Rule::Bracket),
            ("x = a", " + b.cde\n", " + b.cde + d", Rule::Suffix),
            ("if x:\n    ", "", "a.b()\n    a.b()\n    a.b()\n    a.b()\n    c", Rule::Repetition),
            ("if x:\n    ", "", "a.b()\n\n\n\n    c()", Rule::Blank),
        ];
        for (prefix, suffix, text, rule) in table {
            let cursor = Cursor { prefix, suffix, language: Some("python"), path: None };
            let (short, stopped) = run(&cursor, Goal::Auto, &[], &[text]);
            assert_eq!(stopped, Some(rule), "{text}");
            let (long, stopped) = run(&cursor, Goal::Auto, &[rule], &[text]);
            assert_ne!(stopped, Some(rule), "{text}");
            assert!(long.len() > short.len() && long.starts_with(&short), "{long}");
        }
    }

    proptest! {
        #[test]
        fn white_space_is_found_wherever_a_text_is_ended(text in "([ab]| |\n|\t|\u{2003}){0,20}") {
            let cursor = Cursor { prefix: "", suffix: "", language: None, path: None };
            let mut seen = Rules::new(&cursor, Goal::Auto, &[]).seen;
            text.chars().for_each(|it| seen.push(it));
            for (end, _) in text.char_indices().chain([(text.len(), ' ')]) {
                prop_assert_eq!(seen.without_trailing(end), text[..end].trim_end().len());
            }
            let first = text.lines().last().unwrap_or_default().trim_start().chars().count() == 1;
            prop_assert_eq!(seen.is_first_of_line(), first && !text.ends_with(char::is_whitespace));
            let blank = &text[text.trim_end().len()..];
            prop_assert_eq!(seen.n_blank_newlines, blank.matches('\n').count());
        }

        #[test]
        fn every_chunking_gives_the_same_text(
            prefix in "([ab (){}:\n\"`]|    |f\"|\\$\\{){0,12}",
            suffix in "([ab (){}:\n\"`]|    ){0,12}",
            pieces in prop::collection::vec("([ab (){}:\n\"é`$]|    |\n    ab){0,5}", 0..10),
            goal in prop_oneof![Just(Goal::Auto), Just(Goal::Line), Just(Goal::Block)],
            off in prop::sample::subsequence(Rule::ALL.to_vec(), 0..3),
            language in prop_oneof![Just("python"), Just("rust"), Just("ruby"), Just("js"), Just("php")],
        ) {
            let cursor = Cursor { prefix: &prefix, suffix: &suffix, language: Some(language), path: None };
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let whole = pieces.concat();
            let got = run(&cursor, goal, &off, &pieces);
            prop_assert_eq!(&got, &run(&cursor, goal, &off, &[&whole]));
            let mut form = Rules::new(&cursor, goal, &off).form;
            let formed = form.push(&whole) + &form.flush();
            prop_assert!(formed.starts_with(&got.0), "a completion is the beginning of what was drawn");
        }
    }
}
