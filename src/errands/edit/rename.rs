//! Renames, which need no model: an instruction names the old and the new name, and a grammar tells where the old one
//! stands. [`read`] reads the instruction, and [`apply`] changes a file.

use std::ops::Range;

use runabout_assist::Format;
use runabout_context::{Defined, NameRole, Occurrence, occurrences};
use serde_json::json;

use super::instruction::{Token, excepted, has_word, is_spelled_as_name, tokens};
use crate::check::{Source, asked, words};
use crate::fault::Fault;
use crate::formats;
use crate::map::json_of;

/// Names to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Renaming {
    /// Old and new names.
    pub(crate) pairs: Vec<(String, String)>,
    /// Definitions that the instruction names besides, in which a variable of theirs may be meant.
    pub(crate) inside: Vec<String>,
    /// Definitions that stay as they are.
    pub(crate) except: Vec<String>,
}

/// Beginnings of words that ask for more than a rename.
const WORDS_FOR_MORE: [&str; 12] = [
    "add", "remov", "delet", "fix", "convert", "document", "writ", "insert", "simplif", "replac", "extract",
    "split",
];
/// Words between an old name and a new one.
const WORDS_FOR_TO: [&str; 3] = ["to", "into", "as"];
/// Words between a name and what it belongs to.
const WORDS_FOR_OF: [&str; 5] = ["of", "in", "inside", "from", "within"];

/// Whether an instruction asks for a rename and for nothing else.
pub(crate) fn is_asked(instruction: &str) -> bool {
    let first = words(instruction).next().unwrap_or_default().to_lowercase();
    first.starts_with("renam") && !asks_for_more(instruction)
}

/// Whether there is more to do than to rename. Names do not count.
fn asks_for_more(instruction: &str) -> bool {
    let tokens = tokens(&asked(instruction));
    let outside: Vec<&str> = tokens.iter().filter(|it| !it.is_name).map(|it| it.text.as_str()).collect();
    has_word(&outside.join(" "), &WORDS_FOR_MORE)
}

/// The form of names that the model says: one of the file's, and a new one.
pub(crate) fn format_of_names(text: &str) -> Format {
    let mut known: Vec<&str> =
        words(text).filter(|it| !it.starts_with(|it: char| it.is_ascii_digit())).collect();
    known.sort_unstable();
    known.dedup();
    let schema = json!({
        "type": "object",
        "properties": {
            "old_name": {"enum": known},
            "new_name": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{1,40}$"},
        },
        "required": ["old_name", "new_name"],
        "additionalProperties": false,
    });
    formats::json(&schema.to_string())
}

/// The renaming that the model says.
pub(crate) fn of_answer(answer: &str) -> Result<Renaming, Fault> {
    let names = json_of(answer)?;
    match (names["old_name"].as_str(), names["new_name"].as_str()) {
        (Some(old), Some(new)) => Ok(Renaming {
            pairs: vec![(old.to_owned(), new.to_owned())],
            inside: Vec::new(),
            except: Vec::new(),
        }),
        _ => Err(Fault::InvalidJson { message: "it has not both names".to_owned() }),
    }
}

/// The renaming that an instruction asks for, if that is all it asks for and the names are in it.
pub(crate) fn read(instruction: &str) -> Option<Renaming> {
    let tokens = tokens(instruction);
    let start = tokens.iter().position(|it| !it.is_name && it.text.to_lowercase().starts_with("renam"))?;
    if asks_for_more(instruction) {
        return None;
    }
    let mut pairs = Vec::new();
    let mut inside: Vec<String> = names(&tokens[..start]);
    let mut at = start + 1;
    while let Some((to, old)) = old_names(&tokens, at) {
        let (named, owners) = old;
        let new = listed(&tokens[to + 1..], named.len());
        if new.len() != named.len() {
            return None;
        }
        let last = new.last().map(|it| it.text.clone())?;
        pairs.extend(named.into_iter().zip(new.iter().map(|it| it.text.clone())));
        inside.extend(owners);
        let behind = tokens[to + 1..].iter().position(|it| it.text == last)?;
        at = to + 1 + behind + 1;
        // `rename a to b, and c to d`
        let goes_on = tokens.get(at).is_some_and(|it| {
            !it.before.contains(['.', ';']) && (it.is_name || it.text.eq_ignore_ascii_case("and"))
        });
        if !goes_on {
            break;
        }
    }
    if pairs.is_empty() || pairs.iter().any(|(old, new)| old == new) {
        return None;
    }
    // Of the names behind, those count that say where: `in both a and b`.
    let behind = tokens.get(at..).unwrap_or_default();
    if behind.first().is_some_and(|it| WORDS_FOR_OF.contains(&it.text.as_str())) {
        let end = behind.iter().skip(1).position(|it| it.before.contains(['.', ';', ',']));
        inside.extend(names(&behind[..end.map_or(behind.len(), |it| it + 1)]));
    }
    let except: Vec<String> = excepted(&tokens).into_iter().map(str::to_owned).collect();
    inside.retain(|it| !except.contains(it));
    Some(Renaming { pairs, inside, except })
}

/// Old names, and the names behind `of` or `in`.
type OldNames = (Vec<String>, Vec<String>);

/// The next old names from `at` on, and the index of the `to` behind them.
fn old_names(tokens: &[Token], at: usize) -> Option<(usize, OldNames)> {
    let rest = tokens.get(at..)?;
    let to = rest.iter().position(|it| !it.is_name && WORDS_FOR_TO.contains(&it.text.as_str()))?;
    let before = &rest[..to];
    if before.iter().skip(1).any(|it| it.before.contains(['.', ';'])) {
        return None;
    }
    let of = before.iter().position(|it| !it.is_name && WORDS_FOR_OF.contains(&it.text.as_str()));
    let (named, owners) = before.split_at(of.unwrap_or(before.len()));
    let mut found = names(named);
    if found.is_empty() {
        // `rename load to read`: a plain word can only be the last one.
        found.extend(named.last().map(|it| it.text.clone()));
    }
    (!found.is_empty()).then_some((at + to, (found, names(owners))))
}

fn names(tokens: &[Token]) -> Vec<String> {
    tokens.iter().filter(|it| it.is_name).map(|it| it.text.clone()).collect()
}

/// The first `n` words of a list like `a, b and c`.
fn listed(tokens: &[Token], n: usize) -> Vec<&Token> {
    tokens.iter().filter(|it| it.is_name || it.text != "and").take(n).collect()
}

/// A text with the new names.
pub(crate) fn apply(source: &Source, renaming: &Renaming) -> Result<String, Fault> {
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    for (old, new) in &renaming.pairs {
        let places = Places::of(source, old, renaming);
        changes.extend(places.changes(new)?);
    }
    changes.sort_by_key(|it| it.0.start);
    let mut text = source.text.clone();
    for (range, new) in changes.into_iter().rev() {
        text.replace_range(range, &new);
    }
    Ok(text)
}

/// Where an old name stands.
struct Places<'a> {
    source: &'a Source,
    old: &'a str,
    found: Vec<Occurrence>,
    /// The definitions of that name.
    definitions: Vec<&'a Defined>,
    /// The parts of the file that are meant; empty for all of it.
    within: Vec<Range<usize>>,
    /// The functions in them.
    functions: Vec<&'a str>,
    except: Vec<Range<usize>>,
}

impl<'a> Places<'a> {
    fn of(source: &'a Source, old: &'a str, renaming: &Renaming) -> Self {
        let all = source.syntax.iter().flat_map(|it| &it.definitions);
        let named = |names: &[String]| -> Vec<&'a Defined> {
            all.clone().filter(|it| names.contains(&it.name) && it.name != old).collect()
        };
        let definitions: Vec<&Defined> = all.clone().filter(|it| it.name == old).collect();
        let scopes = named(&renaming.inside);
        // What is defined outside of functions has its name in the whole file.
        let within = if definitions.is_empty() {
            scopes.iter().map(|it| it.range.clone()).collect()
        } else {
            Vec::new()
        };
        Self {
            source,
            old,
            found: source.language.and_then(|it| occurrences(it, &source.text, old)).unwrap_or_default(),
            definitions,
            within,
            functions: scopes.iter().filter(|it| it.is_function).map(|it| it.name.as_str()).collect(),
            except: named(&renaming.except).iter().map(|it| it.range.clone()).collect(),
        }
    }

    fn is_within(&self, it: &Occurrence) -> bool {
        let is_in = |range: &Range<usize>| range.contains(&it.range.start);
        (self.within.is_empty() || self.within.iter().any(is_in)) && !self.except.iter().any(is_in)
    }

    /// What to put where.
    fn changes(&self, new: &str) -> Result<Vec<(Range<usize>, String)>, Fault> {
        let is_own = self.definitions.iter().any(|it| it.owner.is_none());
        let is_member = self.definitions.iter().any(|it| it.owner.is_some());
        let has_plain = self.found.iter().any(|it| it.role == NameRole::Plain && self.is_within(it));
        // A member is defined where its name is plain.
        let is_head = |it: &Occurrence| self.definitions.iter().any(|of| of.head.contains(&it.range.start));
        let is_meant = |it: &Occurrence| match &it.role {
            NameRole::Plain if is_member && !is_own => is_head(it),
            NameRole::Plain => true,
            NameRole::Member => is_member || (!is_own && !has_plain),
            NameRole::Shorthand => has_plain || is_own,
            NameRole::Key => is_member && is_head(it),
            NameRole::Argument { .. } | NameRole::Comment | NameRole::String | NameRole::Docstring => false,
        };
        let mut changes: Vec<(Range<usize>, String)> = Vec::new();
        for it in self.found.iter().filter(|it| self.is_within(it) && is_meant(it)) {
            let text = match it.role {
                NameRole::Shorthand => format!("{}: {new}", self.old),
                _ => new.to_owned(),
            };
            changes.push((it.range.clone(), text));
        }
        if changes.is_empty() {
            return Err(Fault::NoSuchName { name: self.old.to_owned() });
        }
        if self.is_taken(new, is_member) {
            return Err(Fault::NameTaken { name: new.to_owned() });
        }
        let others = self.found.iter().filter(|it| match &it.role {
            NameRole::Argument { function } => {
                self.definitions.is_empty()
                    && !self.is_excepted(it)
                    && self.functions.contains(&function.as_str())
            }
            NameRole::Comment | NameRole::Docstring => self.is_within(it) && self.is_surely_name(it),
            NameRole::String => self.is_within(it) && self.is_exported(it),
            _ => false,
        });
        changes.extend(others.map(|it| (it.range.clone(), new.to_owned())));
        Ok(changes)
    }

    fn is_excepted(&self, it: &Occurrence) -> bool {
        self.except.iter().any(|range| range.contains(&it.range.start))
    }

    /// Whether the new name has a meaning already where the old one is to have it.
    fn is_taken(&self, new: &str, is_member: bool) -> bool {
        let of_new = self.source.language.and_then(|it| occurrences(it, &self.source.text, new));
        of_new.unwrap_or_default().iter().any(|it| {
            self.is_within(it)
                && match it.role {
                    NameRole::Plain => !is_member,
                    NameRole::Member => is_member,
                    _ => false,
                }
        })
    }

    /// Whether a word of a comment is the name, and not an English word.
    fn is_surely_name(&self, it: &Occurrence) -> bool {
        let (before, behind) = (&self.source.text[..it.range.start], &self.source.text[it.range.end..]);
        is_spelled_as_name(self.old)
            || behind.starts_with('(')
            || (before.ends_with('`') && behind.starts_with('`'))
            || [":param ", ":type ", "@param "].iter().any(|mark| before.ends_with(mark))
    }

    /// Whether a string is the name in Python's list of what a module exports.
    fn is_exported(&self, it: &Occurrence) -> bool {
        let paragraph = self.source.text[..it.range.start].rsplit("\n\n").next().unwrap_or_default();
        paragraph.trim_start().starts_with("__all__")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn renamed(file: &str, text: &str, instruction: &str) -> Result<String, Fault> {
        apply(&Source::new(file, text.to_owned()), &read(instruction).unwrap())
    }

    fn pairs(instruction: &str) -> Vec<(String, String)> {
        read(instruction).map(|it| it.pairs).unwrap_or_default()
    }

    fn pair(old: &str, new: &str) -> (String, String) {
        (old.to_owned(), new.to_owned())
    }

    #[test]
    fn old_and_new_names_are_read_however_it_is_said() {
        assert_eq!(pairs("Rename `a` to `b`."), [pair("a", "b")]);
        assert_eq!(pairs("rename the function load to read everywhere"), [pair("load", "read")]);
        assert_eq!(
            pairs("Rename load_all into read_all, with all its uses."),
            [pair("load_all", "read_all")]
        );
        assert_eq!(pairs("Rename the method `Box.open` of `Box` to `unlock`"), [pair("open", "unlock")]);
        assert_eq!(pairs("Rename `a` and `b` to `c` and `d`."), [pair("a", "c"), pair("b", "d")]);
        assert_eq!(pairs("Rename `a` to `b`, and `c` to `d`."), [pair("a", "b"), pair("c", "d")]);
        let all = read("In `f`, rename `x` to `y`. `x_1` keeps its name.").unwrap();
        assert_eq!((all.pairs, all.inside), (vec![pair("x", "y")], vec!["f".to_owned()]));
        let all = read("Rename the parameter `n` of `f` to `limit`, and leave `g` as it is.").unwrap();
        assert_eq!((all.inside, all.except), (vec!["f".to_owned()], vec!["g".to_owned()]));
    }

    #[test]
    fn what_asks_for_more_or_names_nothing_is_left_to_the_model() {
        assert!(read("Rename `a` to `b` and add a docstring.").is_none());
        assert_eq!(pairs("Rename `a` to `b`. Do not remove anything."), [pair("a", "b")]);
        assert!(read("Rename the function.").is_none());
        assert!(read("Fix `a`.").is_none());
    }

    #[test]
    fn a_function_is_renamed_in_code_and_where_comments_surely_mean_it() {
        let text = "# load(x) may load much\ndef load(x):\n    '''Use `load`.'''\n    return it.load(x)\n\nload('load')\n\n__all__ = ['load']\n";
        let new = renamed("m.py", text, "Rename the function `load` to `read`.").unwrap();
        assert_eq!(
            new,
            "# read(x) may load much\ndef read(x):\n    '''Use `read`.'''\n    return it.load(x)\n\nread('load')\n\n__all__ = ['read']\n"
        );
    }

    #[test]
    fn a_method_is_renamed_where_it_is_a_member() {
        let text = "class A:\n    def next(self):\n        return self.next()\n\nnext(A())\nA().next()\n";
        let new = renamed("m.py", text, "Rename the method `next` to `advance`.").unwrap();
        assert_eq!(
            new,
            "class A:\n    def advance(self):\n        return self.advance()\n\nnext(A())\nA().advance()\n"
        );
    }

    #[test]
    fn a_parameter_is_renamed_in_its_function_and_in_calls_of_it() {
        let text = "def f(n):\n    return n\n\ndef g(n):\n    return f(n=n)\n";
        let new = renamed("m.py", text, "Rename the parameter `n` of `f` to `limit`.").unwrap();
        assert_eq!(new, "def f(limit):\n    return limit\n\ndef g(n):\n    return f(limit=n)\n");
    }

    #[test]
    fn a_shorthand_keeps_its_key() {
        let text = "function f(size) {\n  return {size};\n}\n";
        let new = renamed("m.js", text, "Rename `size` to `length`.").unwrap();
        assert_eq!(new, "function f(length) {\n  return {size: length};\n}\n");
    }

    #[test]
    fn a_name_that_is_taken_or_not_there_is_a_fault() {
        let text = "def f(a):\n    b = a\n    return b\n";
        assert!(matches!(renamed("m.py", text, "Rename `a` to `b`."), Err(Fault::NameTaken { .. })));
        assert!(matches!(renamed("m.py", text, "Rename `c` to `d`."), Err(Fault::NoSuchName { .. })));
    }
}
