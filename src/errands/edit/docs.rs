//! Docstrings and doc comments. A grammar tells where one goes, the model only writes its words, and everything else
//! stays as it is.

use runabout_assist::{Format, Message};
use runabout_context::{Defined, Language};

use super::insertion::{Insertion, line_range, margin, targets};
use super::instruction::{has_word, tokens};
use crate::check::{Source, asked};
use crate::fault::Fault;
use crate::lines::dedented;
use crate::prompts;

/// Beginnings of the words for documentation.
const WORDS_FOR_DOCS: [&str; 4] = ["docstring", "jsdoc", "javadoc", "rustdoc"];
/// Beginnings of words that ask for a new one.
const WORDS_FOR_NEW: [&str; 7] = ["add", "writ", "document", "giv", "insert", "put", "provid"];
/// Beginnings of words that ask for a change of what is there, or for more than documentation.
const WORDS_FOR_OTHER: [&str; 12] = [
    "remov", "delet", "rewrit", "translat", "fix", "updat", "improv", "shorten", "correct", "hint",
    "annotat", "renam",
];
/// Beginnings of words that ask for one line.
const WORDS_FOR_SHORT: [&str; 4] = ["one", "short", "single", "brief"];
/// Beginnings of words that ask for more than what a function does.
const WORDS_FOR_LONG: [&str; 8] = ["param", "arg", "return", "result", "rais", "exampl", "google", "numpy"];

/// The columns up to which text is wrapped.
const MAX_COLUMNS: usize = 88;
/// The most lines of an answer.
const MAX_LINES: usize = 12;

/// A definition to document.
#[derive(Clone, Debug)]
pub(crate) struct Undocumented {
    pub(crate) name: String,
    /// Its code as the model is shown it.
    pub(crate) code: String,
    at: usize,
    margin: String,
    style: Style,
}

/// How a language marks documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// In triple quotes inside the definition.
    Quotes,
    /// `/** … */` above it.
    Stars,
    /// Behind this mark above it.
    Lines(&'static str),
}

/// The definitions to document, if that is what the instruction asks for; `None` if it asks for something else, or if all
/// are documented.
pub(crate) fn read(source: &Source, instruction: &str) -> Option<Vec<Undocumented>> {
    let is_asked = has_word(instruction, &WORDS_FOR_DOCS)
        || instruction.to_lowercase().contains("doc comment")
        || instruction.trim_start().to_lowercase().starts_with("document ");
    if !is_asked || !has_word(instruction, &WORDS_FOR_NEW) || has_word(&asked(instruction), &WORDS_FOR_OTHER)
    {
        return None;
    }
    let style = match source.language? {
        Language::Python => Style::Quotes,
        Language::Rust => Style::Lines("///"),
        Language::Go => Style::Lines("//"),
        Language::C | Language::Java | Language::JavaScript | Language::Tsx | Language::TypeScript => {
            Style::Stars
        }
    };
    let tokens = tokens(instruction);
    let names_types = has_word(instruction, &["class", "struct", "type"]);
    let is_wanted = |it: &Defined| {
        let is_named = tokens.iter().any(|token| token.is_name && token.text == it.name);
        it.is_function || (it.is_type && (names_types || is_named))
    };
    let found: Vec<Undocumented> = targets(source, &tokens, is_wanted)
        .into_iter()
        .filter_map(|it| undocumented(source, it, style))
        .collect();
    (!found.is_empty()).then_some(found)
}

/// The place for the documentation; `None` if there is some.
fn undocumented(source: &Source, definition: &Defined, style: Style) -> Option<Undocumented> {
    let text = &source.text;
    let whole = line_range(text, definition.range.start).start..definition.range.end;
    let code = dedented(&text[whole.clone()]);
    let name = definition.name.clone();
    if style == Style::Quotes {
        let behind = text.get(definition.head.end..definition.range.end)?;
        let first =
            behind.lines().skip(1).find(|it| !it.trim().is_empty() && !it.trim_start().starts_with('#'))?;
        let is_one_line =
            !behind.lines().next().is_some_and(|it| it.trim().is_empty() || it.trim().starts_with('#'));
        let bare = first.trim_start().trim_start_matches(['r', 'R', 'b', 'u', 'f']);
        if is_one_line || bare.starts_with(['"', '\'']) {
            return None;
        }
        let at = line_range(text, definition.head.end).end + 1;
        let margin = margin(first).to_owned();
        return (at <= text.len()).then_some(Undocumented { name, code, at, margin, style });
    }
    let start = whole.start;
    let above = text[..start].lines().next_back().unwrap_or_default().trim();
    if above.ends_with("*/") || above.starts_with("//") {
        return None;
    }
    let margin = margin(&text[line_range(text, start)]).to_owned();
    Some(Undocumented { name, code, at: start, margin, style })
}

impl Undocumented {
    /// Asks for the words, and shows this code.
    pub(crate) fn messages(&self, instruction: &str, path: &str, code: &str) -> Vec<Message> {
        prompts::documentation(instruction, path, &self.name, code, is_long(instruction))
    }

    /// Lines of words, with nothing that would end a comment or a string.
    pub(crate) fn format(&self, instruction: &str) -> Format {
        let first = match self.style {
            // Go's begin with the name.
            Style::Lines("//") => format!("{} [a-z][^\\n\"`\\\\*]{{6,200}}", regex::escape(&self.name)),
            _ => "[A-Z][^\\n\"`\\\\*]{9,200}".to_owned(),
        };
        let is_short = has_word(instruction, &WORDS_FOR_SHORT) || !is_long(instruction);
        let more =
            if is_short { String::new() } else { format!("(\\n[^\\n\"`\\\\*]{{0,120}}){{0,{MAX_LINES}}}") };
        Format::Regex(first + &more)
    }

    /// The documentation of an answer.
    pub(crate) fn insertion(&self, answer: &str) -> Result<Insertion, Fault> {
        let answer = answer.trim();
        if answer.is_empty() {
            return Err(Fault::NoAnswer);
        }
        let width = MAX_COLUMNS.saturating_sub(self.margin.len() + 4).max(40);
        let lines: Vec<String> = answer.lines().flat_map(|it| wrapped(it.trim_end(), width)).collect();
        let mut text = String::new();
        let margin = &self.margin;
        let mut push = |line: &str| {
            let line = format!("{margin}{line}");
            text.push_str(line.trim_end());
            text.push('\n');
        };
        match (self.style, &lines[..]) {
            (Style::Quotes, [line]) => push(&format!("\"\"\"{line}\"\"\"")),
            (Style::Quotes, [first, rest @ ..]) => {
                push(&format!("\"\"\"{first}"));
                for it in rest {
                    push(it);
                }
                push("\"\"\"");
            }
            (Style::Stars, lines) => {
                push("/**");
                for it in lines {
                    push(&format!(" * {it}"));
                }
                push(" */");
            }
            (Style::Lines(mark), lines) => lines.iter().for_each(|it| push(&format!("{mark} {it}"))),
            (Style::Quotes, []) => return Err(Fault::NoAnswer),
        }
        Ok(Insertion { at: self.at, text })
    }
}

fn is_long(instruction: &str) -> bool {
    has_word(instruction, &WORDS_FOR_LONG)
}

/// A line in lines of at most `width` characters, if words allow.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    let margin = margin(line);
    let mut lines = vec![margin.to_owned()];
    for word in line.split_whitespace() {
        let Some(last) = lines.last_mut() else { break };
        if last.trim().is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(format!("{margin}{word}"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::edit::insertion::inserted;

    fn documented(file: &str, text: &str, instruction: &str) -> Option<String> {
        let source = Source::new(file, text.to_owned());
        let found = read(&source, instruction)?;
        let insertions = found.iter().map(|it| it.insertion("Does it.").unwrap()).collect();
        Some(inserted(text, insertions))
    }

    #[test]
    fn a_docstring_goes_where_the_body_begins() {
        let text = "class A:\n    @x\n    def f(\n        self,\n    ):  # why\n        # how\n        return 1\n\n    def g(self):\n        'Yes.'\n\n    def h(self): return 2\n";
        let new = documented("m.py", text, "Add docstrings to all functions.").unwrap();
        assert_eq!(new, text.replace("# why\n", "# why\n        \"\"\"Does it.\"\"\"\n"));
    }

    #[test]
    fn other_languages_have_comments_above() {
        let text = "export function f() {\n  return 1;\n}\n\n// Yes.\nfunction g() {\n  return 2;\n}\n";
        let new = documented("m.js", text, "Add a JSDoc comment to every function.").unwrap();
        assert_eq!(new, format!("/**\n * Does it.\n */\n{text}"));
        let text = "impl A {\n    fn f() {\n        1;\n    }\n}\n";
        let new = documented("m.rs", text, "Write doc comments.").unwrap();
        assert_eq!(new, text.replace("    fn f", "    /// Does it.\n    fn f"));
    }

    #[test]
    fn only_those_that_are_named_and_undocumented_are_meant() {
        let text = "def f():\n    return 1\n\ndef g():\n    return 2\n\ndef h():\n    'Yes.'\n    return 3\n";
        let with = |name: &str| {
            text.replace(&format!("def {name}():\n"), &format!("def {name}():\n    \"\"\"Does it.\"\"\"\n"))
        };
        assert_eq!(documented("m.py", text, "Write a docstring for `f`; `h` has one.").unwrap(), with("f"));
        assert_eq!(
            documented("m.py", text, "Add docstrings to all functions except `f`.").unwrap(),
            with("g")
        );
        assert_eq!(documented("m.py", text, "Add a docstring to `h`."), None);
        assert_eq!(documented("m.py", text, "Remove the docstring of `h`."), None);
    }

    #[test]
    fn long_lines_are_wrapped() {
        assert_eq!(wrapped("  one two three", 9), ["  one two", "  three"]);
        assert_eq!(wrapped("", 9), [""]);
    }
}
