//! Checks of a changed file: that it parses, that nothing is left out, and that no definition is lost.

use runabout_context::{Language, Syntax};

use crate::evidence::ParseCheck;
use crate::fault::Fault;

/// A file before it is changed, with what its grammar says.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) text: String,
    /// The language that the file's name stands for, if there is a grammar.
    pub(crate) language: Option<Language>,
    /// `None` if the text could not be parsed at all.
    pub(crate) syntax: Option<Syntax>,
}

/// Words of an instruction that let definitions disappear.
const WORDS_FOR_REMOVAL: [&str; 12] = [
    "remove", "delete", "drop", "unused", "dead", "merge", "inline", "replace", "move", "split", "extract",
    "rewrite",
];

/// Beginnings of comments.
const COMMENTS: [&str; 6] = ["#", "//", "/*", "<!--", "--", "*"];

/// What a comment says that stands for code.
const ELISIONS: [&str; 9] = [
    "rest of",
    "existing code",
    "remaining code",
    "other code",
    "code remains",
    "unchanged",
    "same as before",
    "your code here",
    "implementation here",
];

impl Source {
    pub(crate) fn new(file_name: &str, text: String) -> Self {
        let language = Language::of(None, file_name);
        let syntax = language.and_then(|it| Syntax::of(it, &text));
        Self { text, language, syntax }
    }

    /// Checks the whole changed text.
    pub(crate) fn check(&self, changed: &str, instruction: &str) -> Result<(), Fault> {
        self.check_elisions(changed)?;
        self.check_syntax(changed, instruction)
    }

    /// What the grammar says before and after.
    pub(crate) fn parse_check(&self, changed: &str) -> Option<ParseCheck> {
        let (language, before) = (self.language?, self.syntax.as_ref()?);
        let now = Syntax::of(language, changed)?;
        Some(ParseCheck {
            language: name_of(language).to_lowercase(),
            faults_before: Some(before.faults.len()),
            faults_now: now.faults.len(),
        })
    }

    /// Checks that a text breaks the grammar at no new place.
    pub(crate) fn check_new_faults(&self, changed: &str) -> Result<(), Fault> {
        self.parsed(changed).map(|_| ())
    }

    /// Checks that the lines that are nothing but a comment are all there, in their order.
    pub(crate) fn check_comments(&self, changed: &str) -> Result<(), Fault> {
        let mark = if matches!(self.language, None | Some(Language::Python)) { "#" } else { "//" };
        let is_comment = |it: &&str| it.starts_with(mark);
        let mut now = changed.lines().map(str::trim);
        let mut comments = self.text.lines().map(str::trim).filter(is_comment);
        match comments.find(|comment| !now.any(|it| it == *comment)) {
            Some(line) => Err(Fault::Touched { line: line.to_owned() }),
            None => Ok(()),
        }
    }

    /// The syntax of a changed text, if it can be told and has no more faults than before.
    fn parsed(&self, changed: &str) -> Result<Option<Syntax>, Fault> {
        let (Some(language), Some(before)) = (self.language, &self.syntax) else { return Ok(None) };
        let Some(now) = Syntax::of(language, changed) else { return Ok(None) };
        if now.faults.len() > before.faults.len() {
            let known: Vec<&str> = before.faults.iter().map(|it| line_at(&self.text, it.line)).collect();
            let new = now.faults.iter().find(|it| !known.contains(&line_at(changed, it.line)));
            let line = new.or(now.faults.first()).map_or(1, |it| it.line);
            let text = line_at(changed, line).trim().to_owned();
            return Err(Fault::DoesNotParse { language: name_of(language), line, text });
        }
        Ok(Some(now))
    }

    fn check_syntax(&self, changed: &str, instruction: &str) -> Result<(), Fault> {
        let (Some(before), Some(now)) = (&self.syntax, self.parsed(changed)?) else { return Ok(()) };
        let words: Vec<String> = words(&asked(instruction)).map(str::to_lowercase).collect();
        if words.iter().any(|it| WORDS_FOR_REMOVAL.iter().any(|word| it.starts_with(word))) {
            return Ok(());
        }
        let names = |syntax: &Syntax| syntax.definitions.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        let kept = names(&now);
        let is_renamed = |it: &String| words.contains(&it.to_lowercase());
        match names(before).into_iter().find(|it| !kept.contains(it) && !is_renamed(it)) {
            Some(name) => Err(Fault::Lost { name }),
            None => Ok(()),
        }
    }

    fn check_elisions(&self, changed: &str) -> Result<(), Fault> {
        for line in changed.lines() {
            let bare = line.trim();
            let Some(comment) = COMMENTS.iter().find_map(|it| bare.strip_prefix(it)) else { continue };
            let comment =
                comment.trim_matches(|it: char| it.is_whitespace() || "*/#->".contains(it)).to_lowercase();
            let elides = comment.starts_with("...")
                || comment == "…"
                || (comment.len() < 80 && ELISIONS.iter().any(|it| comment.contains(it)));
            if elides && !self.text.lines().any(|it| it.trim() == bare) {
                return Err(Fault::Elided { line: bare.to_owned() });
            }
        }
        Ok(())
    }
}

/// A line, counted from 1; empty if there is none.
fn line_at(text: &str, line: usize) -> &str {
    text.lines().nth(line.saturating_sub(1)).unwrap_or_default()
}

/// The words and names in a text.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|it: char| !it.is_alphanumeric() && it != '_').filter(|it| !it.is_empty())
}

/// What an instruction asks for, without the clauses that say what not to do.
pub(crate) fn asked(instruction: &str) -> String {
    const NEGATIONS: [&str; 8] = ["not", "don", "never", "without", "nothing", "no", "keep", "leave"];
    let is_negation =
        |clause: &&str| words(clause).take(3).any(|it| NEGATIONS.contains(&it.to_lowercase().as_str()));
    let clauses = instruction.split_inclusive(['.', ';', ',', '\n']);
    clauses.filter(|it| !is_negation(it)).collect()
}

/// The language as people write it.
pub(crate) fn name_of(language: Language) -> &'static str {
    match language {
        Language::C => "C",
        Language::Go => "Go",
        Language::Java => "Java",
        Language::JavaScript => "JavaScript",
        Language::Python => "Python",
        Language::Rust => "Rust",
        Language::Tsx => "TSX",
        Language::TypeScript => "TypeScript",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const CODE: &str = "def a(x):\n    return x\n\n\ndef b(y):\n    return a(y)\n";

    fn check(changed: &str, instruction: &str) -> Result<(), Fault> {
        Source::new("m.py", CODE.to_owned()).check(changed, instruction)
    }

    #[test]
    fn a_change_that_no_longer_parses_is_refused_with_its_line() {
        let fault = check(&CODE.replace("return a(y)", "return a(y"), "Fix it.").unwrap_err();
        assert!(matches!(fault, Fault::DoesNotParse { language: "Python", .. }), "{fault}");
    }

    #[test]
    fn code_that_was_broken_before_may_stay_so() {
        let broken = format!("{CODE}\nx = = 1\n");
        let source = Source::new("m.py", broken.clone());
        source.check(&broken.replace("return x", "return x + 1"), "Add one.").unwrap();
    }

    #[test]
    fn a_lost_definition_is_refused_unless_the_instruction_allows_it() {
        let changed = CODE.split_once("\n\ndef b").unwrap().0;
        assert!(matches!(check(changed, "Add type hints."), Err(Fault::Lost { name }) if name == "b"));
        check(changed, "Remove the function that is not needed.").unwrap();
        check(&CODE.replace("def b", "def c"), "Rename `b` to `c`.").unwrap();
        let lost = check(changed, "Add type hints, but do not remove anything.");
        assert!(matches!(lost, Err(Fault::Lost { .. })), "{lost:?}");
    }

    #[test]
    fn a_comment_that_stands_for_code_is_refused() {
        let changed = CODE.replace("    return a(y)", "    # ... rest of the code\n    pass");
        assert!(matches!(check(&changed, "x"), Err(Fault::Elided { .. })));
        check(&CODE.replace("    return a(y)", "    # the caller waits\n    return a(y)"), "x").unwrap();
    }
}
