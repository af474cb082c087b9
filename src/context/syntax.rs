//! The syntax of a whole file, for those who change it: [`Syntax`], its definitions and its faults.

use std::ops::Range;

use tree_sitter::{Node, Parser};

use crate::document::parse;
use crate::language::Language;
use crate::outline::Outline;

/// More faults than this are not told apart: the text is not in that language.
const MAX_FAULTS: usize = 100;

/// What a file's grammar says of its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Syntax {
    /// In the order of the file; a type before its members.
    pub definitions: Vec<Defined>,
    /// Where the text breaks the grammar, at most 100 places. Grammars are incomplete, so correct code may have some:
    /// what counts is whether a change adds any.
    pub faults: Vec<SyntaxFault>,
}

/// A definition in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defined {
    pub name: String,
    /// The name of the type that it is a member of.
    pub owner: Option<String>,
    /// Whether it is a function with a body.
    pub is_function: bool,
    /// Whether it has members.
    pub is_type: bool,
    /// All of it with its decorators, in bytes of the text.
    pub range: Range<usize>,
    /// The part before its body; in Python, up to the colon.
    pub head: Range<usize>,
}

/// A place where a text breaks its grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxFault {
    /// Counted from 1.
    pub line: usize,
    /// The kind of node that is missing; `None` if there is text that fits nowhere.
    pub missing: Option<String>,
}

impl Syntax {
    /// Parses a text; `None` if it is too long, or is no code and takes too long.
    pub fn of(language: Language, text: &str) -> Option<Self> {
        let tree = parse(&mut Parser::new(), language, text, None)?;
        let outline = Outline::of(&tree, text, language);
        let definitions = outline.definitions.into_iter().map(|it| Defined {
            name: it.name,
            owner: it.owner,
            is_function: it.is_function,
            is_type: it.is_type,
            range: it.whole,
            head: it.head,
        });
        let faults = if tree.root_node().has_error() { faults(tree.root_node()) } else { Vec::new() };
        Some(Self { definitions: definitions.collect(), faults })
    }
}

/// Goes through the tree without recursion, since code nested by a machine must not exhaust the stack.
fn faults(root: Node<'_>) -> Vec<SyntaxFault> {
    let mut found: Vec<(Range<usize>, SyntaxFault)> = Vec::new();
    let mut cursor = root.walk();
    'nodes: while found.len() < MAX_FAULTS {
        let node = cursor.node();
        if node.is_error() || node.is_missing() {
            let missing = node.is_missing().then(|| node.kind().to_owned());
            let fault = SyntaxFault { line: node.start_position().row + 1, missing };
            // A fault often makes the rest of the file one around it, which says less.
            if found.last().is_some_and(|(around, _)| around.end >= node.end_byte()) {
                found.pop();
            }
            found.push((node.byte_range(), fault));
        }
        if node.has_error() && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                break 'nodes;
            }
        }
    }
    found.into_iter().map(|(_, fault)| fault).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn definitions_have_their_decorators_and_owners() {
        let text = "import os\n\nclass A:\n    @property\n    def b(self):\n        return 1\n\ndef c():\n    pass\n";
        let syntax = Syntax::of(Language::Python, text).unwrap();
        assert!(syntax.faults.is_empty());
        let found: Vec<_> = syntax
            .definitions
            .iter()
            .map(|it| (it.name.as_str(), it.owner.as_deref(), it.is_function))
            .collect();
        assert_eq!(found, [("A", None, false), ("b", Some("A"), true), ("c", None, true)]);
        assert!(text[syntax.definitions[1].range.clone()].starts_with("@property"));
    }

    #[test]
    fn every_fault_has_its_line() {
        let syntax = Syntax::of(Language::Rust, "fn a() {}\n\nfn b( {}\n\nfn c() { let x = ; }\n").unwrap();
        let lines: Vec<usize> = syntax.faults.iter().map(|it| it.line).collect();
        assert!(lines.contains(&3) && lines.contains(&5), "{lines:?}");
        assert!(!lines.contains(&1));
    }
}
