//! Type hints of Python. A grammar holds the model to the functions' first lines as they are, with types in them.

use std::fmt::Write as _;

use regex::Regex;
use runabout_assist::{Format, Message};
use runabout_context::{Language, Signature, import_place, signatures};
use serde_json::Value;

use super::insertion::{Insertion, targets};
use super::instruction::{has_word, tokens};
use crate::check::{Source, asked, words};
use crate::fault::Fault;
use crate::lines::dedented;
use crate::prompts;

/// Beginnings of words that ask for something else.
const WORDS_FOR_OTHER: [&str; 10] =
    ["remov", "delet", "fix", "updat", "improv", "correct", "docstring", "renam", "chang", "replac"];

/// Types that need no import.
const BUILT_IN: [&str; 12] = [
    "int",
    "str",
    "float",
    "bool",
    "bytes",
    "object",
    "complex",
    "list",
    "dict",
    "set",
    "tuple",
    "frozenset",
];
/// Types with one argument.
const OF_ONE: [&str; 6] = ["list", "set", "frozenset", "Iterable", "Iterator", "Sequence"];
/// Types with two.
const OF_TWO: [&str; 2] = ["dict", "Mapping"];
/// What the module `collections.abc` has.
const ABSTRACT: [&str; 5] = ["Callable", "Iterable", "Iterator", "Mapping", "Sequence"];

/// A function whose first line lacks types.
#[derive(Clone, Debug)]
pub(crate) struct Untyped {
    pub(crate) name: String,
    /// Its code as the model is shown it.
    pub(crate) code: String,
    signature: Signature,
    /// The first line in parts, between which types stand.
    parts: Vec<String>,
    slots: Vec<Slot>,
    /// The file's own types.
    types: Vec<String>,
}

/// Whether `None` is a type of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NoneType {
    No,
    Maybe,
    /// Besides others.
    Yes,
    /// And nothing else.
    Only,
}

/// A place for a type in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    at: usize,
    before: &'static str,
    none: NoneType,
    /// Whether an equals sign without spaces follows. Behind a type it has them.
    is_tight: bool,
}

/// The functions to give types, if that is what the instruction asks for; `None` if it asks for something else, or if all
/// have them.
pub(crate) fn read(source: &Source, instruction: &str) -> Option<Vec<Untyped>> {
    let said = instruction.to_lowercase();
    let is_asked =
        ["type hint", "type annotation", "typehint", "annotate"].iter().any(|it| said.contains(it));
    if source.language != Some(Language::Python)
        || !is_asked
        || has_word(&asked(instruction), &WORDS_FOR_OTHER)
    {
        return None;
    }
    let syntax = source.syntax.as_ref()?;
    let types: Vec<String> =
        syntax.definitions.iter().filter(|it| it.is_type).map(|it| it.name.clone()).collect();
    let all = signatures(Language::Python, &source.text)?;
    let wanted = targets(source, &tokens(instruction), |it| it.is_function);
    let is_wanted = |it: &Signature| {
        wanted
            .iter()
            .any(|of| of.name == it.name && of.range.start <= it.range.start && it.range.end <= of.head.end)
    };
    let found: Vec<Untyped> = all
        .into_iter()
        .filter(|it| is_wanted(it))
        .filter_map(|it| {
            let range = wanted.iter().find(|of| of.range.contains(&it.range.start))?.range.clone();
            Untyped::of(
                source,
                it,
                dedented(&source.text[line_start(&source.text, range.start)..range.end]),
                &types,
            )
        })
        .collect();
    (!found.is_empty()).then_some(found)
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |it| it + 1)
}

impl Untyped {
    fn of(source: &Source, signature: Signature, code: String, types: &[String]) -> Option<Self> {
        let text = &source.text;
        let is_tight = |at: usize| text[at..].starts_with('=') && !text[at..].starts_with("= ");
        let default = |at: usize| text[at..].trim_start().strip_prefix('=').map(str::trim_start);
        let of_parameter = |at: usize| {
            if default(at).is_some_and(|it| it.starts_with("None")) { NoneType::Yes } else { NoneType::No }
        };
        let slot = |at: usize, before, none| Slot { at, before, none, is_tight: is_tight(at) };
        let parameters = signature.parameters.iter().filter(|it| !it.has_type);
        let mut slots: Vec<Slot> =
            parameters.map(|it| slot(it.type_at, ": ", of_parameter(it.type_at))).collect();
        if signature.returns.is_none() && signature.name != "__init__" {
            slots.push(slot(signature.returns_at, " -> ", result(&code)));
        }
        if slots.is_empty() {
            return None;
        }
        let mut parts = Vec::new();
        let mut end = signature.range.start;
        let mut equals = "";
        for Slot { at, before, is_tight, .. } in &slots {
            parts.push(format!("{equals}{}{before}", on_one_line(&text[end..*at])));
            (equals, end) = if *is_tight { (" = ", at + 1) } else { ("", *at) };
        }
        parts.push(format!("{equals}{}", on_one_line(&text[end..signature.range.end])));
        let types = types.to_vec();
        Some(Self { name: signature.name.clone(), code, signature, parts, slots, types })
    }

    pub(crate) fn messages(&self, instruction: &str, path: &str, code: &str) -> Vec<Message> {
        prompts::types(instruction, path, &self.name, code)
    }

    /// The first line as it is, for a guess of its length.
    pub(crate) fn head(&self) -> &str {
        self.code.split_once(":\n").map_or(&self.code, |it| it.0)
    }

    /// The first line with a type at each place that lacks one. Small models like to add `None`, so it is only allowed
    /// where the code has it, or the instruction.
    pub(crate) fn format(&self, instruction: &str) -> Format {
        let quoted = |it: &str| Value::from(it).to_string();
        let list = |names: &[&str]| names.iter().map(|it| quoted(it)).collect::<Vec<_>>().join(" | ");
        let is_said = has_word(instruction, &["none", "optional"]);
        let mut start = quoted(&self.parts[0]);
        for (slot, part) in self.slots.iter().zip(&self.parts[1..]) {
            let of = match slot.none {
                NoneType::No if !is_said => "union",
                NoneType::No | NoneType::Maybe => "optional",
                NoneType::Yes => "union \" | None\"",
                NoneType::Only => "\"None\"",
            };
            let _ = write!(start, " {of} {}", quoted(part));
        }
        let own: Vec<&str> = self.types.iter().map(String::as_str).collect();
        let simple = [&BUILT_IN[..], &["Any", "Callable"], &own[..]].concat();
        Format::Lark(format!(
            "start: {start}\noptional: \"None\" | union (\" | None\")?\nunion: type (\" | \" type){{0,2}}\ntype: simple | one | two | tuple\nsimple: {}\none: ({}) \"[\" union \"]\"\ntwo: ({}) \"[\" union \", \" union \"]\"\ntuple: \"tuple[\" union (\", \" union){{0,3}} (\", ...\")? \"]\"\n",
            list(&simple),
            list(&OF_ONE),
            list(&OF_TWO),
        ))
    }

    /// The types of an answer, at their places.
    pub(crate) fn insertions(&self, answer: &str) -> Result<Vec<Insertion>, Fault> {
        let line = answer.lines().find(|it| it.trim_start().starts_with(['d', 'a'])).ok_or(Fault::NoCode)?;
        let pattern: Vec<String> = self.parts.iter().map(|it| regex::escape(it)).collect();
        let pattern = format!("^{}", pattern.join("(.+?)"));
        let captures =
            Regex::new(&pattern).ok().and_then(|it| it.captures(line.trim())).ok_or(Fault::NoCode)?;
        let types = captures.iter().skip(1).flatten().map(|it| it.as_str());
        let mut insertions = Vec::new();
        for (Slot { at, before, is_tight, .. }, of) in self.slots.iter().zip(types) {
            let space = if *is_tight { " " } else { "" };
            insertions.push(Insertion { at: *at, text: format!("{before}{of}{space}") });
            if *is_tight {
                insertions.push(Insertion { at: at + 1, text: space.to_owned() });
            }
        }
        if self.signature.name == "__init__" && self.signature.returns.is_none() {
            insertions.push(Insertion { at: self.signature.returns_at, text: " -> None".to_owned() });
        }
        Ok(insertions)
    }
}

/// Whether a function returns `None`: it says so, it can end without `return`, or it has no value to return.
fn result(code: &str) -> NoneType {
    let lines = || code.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with('#'));
    let is_bare = |it: &str| it == "return" || it == "return None";
    let has_value = lines().any(|it| it.starts_with("return ") && !is_bare(it));
    if words(code).any(|it| it == "yield") {
        return NoneType::No;
    }
    if has_value && lines().any(is_bare) {
        return NoneType::Yes;
    }
    let margin = |it: &str| it.len() - it.trim_start().len();
    let is_code = |it: &&str| !it.trim().is_empty() && !it.trim().starts_with('#');
    let outermost = code.lines().filter(is_code).map(margin).filter(|it| *it > 0).min();
    let last = code.lines().rev().filter(is_code).find(|it| Some(margin(it)) == outermost);
    let last = last.unwrap_or_default().trim();
    let ends_with = |words: &[&str]| words.iter().any(|it| last.starts_with(it));
    if !has_value {
        // What is only declared may return anything.
        return if ends_with(&["raise", "...", "pass"]) { NoneType::Maybe } else { NoneType::Only };
    }
    if ends_with(&["return", "raise"]) && !code.contains("else None") {
        NoneType::No
    } else {
        NoneType::Maybe
    }
}

/// White space and line ends as single spaces, so that the model has one line to write.
fn on_one_line(text: &str) -> String {
    let mut joined = String::new();
    for (idx, line) in text.split('\n').enumerate() {
        let line = line.trim_end();
        if idx == 0 {
            joined.push_str(line);
        } else {
            let line = line.trim_start();
            let is_tight = joined.ends_with(['(', '[']) || line.starts_with([')', ']']);
            if !is_tight && !line.is_empty() {
                joined.push(' ');
            }
            joined.push_str(line);
        }
    }
    // What came before a slot may have ended with white space that counts.
    if text.ends_with(' ') { joined + " " } else { joined }
}

/// The imports that these types need, at their place.
pub(crate) fn imports(source: &Source, insertions: &[Insertion]) -> Option<Insertion> {
    let uses = |name: &&str| {
        let is_part = |it: char| it.is_alphanumeric() || it == '_';
        let used = insertions.iter().any(|it| it.text.split(|it| !is_part(it)).any(|word| word == *name));
        used && !source.text.split(|it| !is_part(it)).any(|word| word == *name)
    };
    let missing: Vec<&str> = ABSTRACT.into_iter().filter(uses).collect();
    let mut text = String::new();
    if !missing.is_empty() {
        let _ = writeln!(text, "from collections.abc import {}", missing.join(", "));
    }
    if uses(&"Any") {
        text.push_str("from typing import Any\n");
    }
    if text.is_empty() {
        return None;
    }
    let at = import_place(Language::Python, &source.text)?;
    let is_first = source.text[..at].lines().next_back().is_none_or(|it| !it.contains("import"));
    if is_first {
        text.push('\n');
    }
    Some(Insertion { at, text })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::edit::insertion::inserted;

    const CODE: &str = "class Box:\n    def __init__(self, size=1):\n        self.size = size\n\n    def fits(self, other: int, *rest):\n        return True\n\n\ndef load(\n    path,  # where\n    mode='r',\n):\n    return [path]\n";

    fn typed(instruction: &str, answers: &[&str]) -> Option<String> {
        let source = Source::new("m.py", CODE.to_owned());
        let found = read(&source, instruction)?;
        assert_eq!(found.len(), answers.len(), "{found:?}");
        let mut insertions: Vec<Insertion> =
            found.iter().zip(answers).flat_map(|(it, answer)| it.insertions(answer).unwrap()).collect();
        insertions.extend(imports(&source, &insertions));
        Some(inserted(CODE, insertions))
    }

    #[test]
    fn types_go_to_their_places_and_nothing_else_changes() {
        let answers = [
            "def __init__(self, size: int = 1):",
            "def fits(self, other: int, *rest: int) -> bool:",
            "def load(path: str,  # where mode: str = 'r',) -> Iterable[str]:",
        ];
        let new = typed("Add type hints to all functions.", &answers).unwrap();
        let expected = CODE
            .replace("(self, size=1)", "(self, size: int = 1) -> None")
            .replace("*rest)", "*rest: int) -> bool")
            .replace("    path,", "    path: str,")
            .replace("mode='r',\n)", "mode: str = 'r',\n) -> Iterable[str]");
        assert_eq!(new, format!("from collections.abc import Iterable\n\n{expected}"));
    }

    #[test]
    fn none_is_a_result_only_where_the_code_can_end_with_it() {
        let of = |body: &str| result(&format!("def f(x):\n{body}"));
        assert_eq!(of("    if x:\n        return 1\n    return 2\n"), NoneType::No);
        assert_eq!(of("    if x:\n        return 1\n"), NoneType::Maybe);
        assert_eq!(of("    if x:\n        return\n    return 2\n"), NoneType::Yes);
        assert_eq!(of("    for y in x:\n        yield y\n"), NoneType::No);
        assert_eq!(of("    print(x)\n"), NoneType::Only);
        assert_eq!(of("    raise NotImplementedError\n"), NoneType::Maybe);
    }

    #[test]
    fn only_the_functions_that_are_named_are_meant() {
        let new =
            typed("Add type hints to `fits` only.", &["def fits(self, other: int, *rest: Box) -> bool:"]);
        assert_eq!(new.unwrap(), CODE.replace("*rest)", "*rest: Box) -> bool"));
        assert_eq!(typed("Fix the type hints of `fits`.", &[]), None);
    }
}
