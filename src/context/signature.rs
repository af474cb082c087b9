//! The parts of functions' first lines, for those who write types into them: [`signatures`]. Python only.

use std::ops::Range;

use tree_sitter::{Node, Parser};

use crate::document::parse;
use crate::language::Language;

/// The first line of a function in parts. All ranges are in bytes of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub name: String,
    /// From `def` or `async` to the colon before the body, included.
    pub range: Range<usize>,
    /// Without `self` and `cls`, and without the marks `/` and `*`.
    pub parameters: Vec<Parameter>,
    /// Where the type of the result stands.
    pub returns: Option<Range<usize>>,
    /// Where it would be put: behind the closing parenthesis.
    pub returns_at: usize,
}

/// A parameter of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub has_type: bool,
    /// Where its type would be put: behind its name.
    pub type_at: usize,
    /// Whether it has a default value directly behind its name.
    pub has_default: bool,
}

/// The functions of a file in its order; `None` if it cannot be parsed.
pub fn signatures(language: Language, text: &str) -> Option<Vec<Signature>> {
    if language != Language::Python {
        return Some(Vec::new());
    }
    let tree = parse(&mut Parser::new(), language, text, None)?;
    let mut found = Vec::new();
    let mut cursor = tree.root_node().walk();
    'nodes: loop {
        let node = cursor.node();
        if node.kind() == "function_definition" {
            found.extend(signature(node, text));
        }
        if cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                break 'nodes;
            }
        }
    }
    Some(found)
}

fn signature(node: Node<'_>, text: &str) -> Option<Signature> {
    let name = text.get(node.child_by_field_name("name")?.byte_range())?.to_owned();
    let list = node.child_by_field_name("parameters")?;
    let mut cursor = node.walk();
    let colon = node.children(&mut cursor).find(|it| it.kind() == ":")?;
    let mut cursor = list.walk();
    let mut parameters: Vec<Parameter> =
        list.named_children(&mut cursor).filter_map(|it| parameter(it, text)).collect();
    let is_first_a_receiver = parameters.first().is_some_and(|it| it.name == "self" || it.name == "cls");
    if is_first_a_receiver {
        parameters.remove(0);
    }
    Some(Signature {
        name,
        range: node.start_byte()..colon.end_byte(),
        parameters,
        returns: node.child_by_field_name("return_type").map(|it| it.byte_range()),
        returns_at: list.end_byte(),
    })
}

fn parameter(node: Node<'_>, text: &str) -> Option<Parameter> {
    let has_default = matches!(node.kind(), "default_parameter" | "typed_default_parameter");
    let has_type = matches!(node.kind(), "typed_parameter" | "typed_default_parameter");
    let named = match node.kind() {
        "identifier" => node,
        "default_parameter" | "typed_default_parameter" => node.child_by_field_name("name")?,
        "list_splat_pattern" | "dictionary_splat_pattern" | "typed_parameter" => node.named_child(0)?,
        _ => return None,
    };
    let name = text.get(named.byte_range())?.to_owned();
    Some(Parameter { name, has_type, type_at: named.end_byte(), has_default })
}

/// Where an import can be added to a file: behind its first imports, or else behind its docstring.
pub fn import_place(language: Language, text: &str) -> Option<usize> {
    let tree = parse(&mut Parser::new(), language, text, None)?;
    let mut cursor = tree.root_node().walk();
    let line_end = |at: usize| text[at..].find('\n').map_or(text.len(), |it| at + it + 1);
    let mut place = 0;
    for (idx, node) in tree.root_node().named_children(&mut cursor).enumerate() {
        let is_docstring = node.kind() == "expression_statement"
            && node.named_child(0).is_some_and(|it| it.kind() == "string")
            && text[..node.start_byte()].lines().all(|it| it.trim().is_empty() || it.starts_with('#'));
        match node.kind() {
            _ if is_docstring => place = line_end(node.end_byte()),
            "import_statement" | "import_from_statement" | "future_import_statement" => {
                place = line_end(node.end_byte());
            }
            // A mark for the interpreter or for the encoding, and a licence.
            "comment" if idx == 0 || text[..node.start_byte()].lines().all(|it| it.starts_with('#')) => {
                place = line_end(node.end_byte());
            }
            "comment" => {}
            _ => break,
        }
    }
    Some(place)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_places_for_types_are_found() {
        let text = "class A:\n    @property\n    async def f(self, a, b: int, c=1, *d, e: str = '', **g) -> None:\n        def h(x): pass\n";
        let found = signatures(Language::Python, text).unwrap();
        let [f, h] = &found[..] else { panic!("{found:?}") };
        assert!(
            text[f.range.clone()].starts_with("async def f(") && text[f.range.clone()].ends_with("None:")
        );
        let names: Vec<_> = f.parameters.iter().map(|it| (it.name.as_str(), it.has_type)).collect();
        let expected = [("a", false), ("b", true), ("c", false), ("d", false), ("e", true), ("g", false)];
        assert_eq!(names, expected);
        assert!(f.parameters.iter().all(|it| text[..it.type_at].ends_with(&it.name)));
        assert!(text[..f.returns_at].ends_with("**g)") && f.returns.is_some());
        assert_eq!((h.name.as_str(), h.returns.is_none()), ("h", true));
    }

    #[test]
    fn an_import_goes_behind_the_others() {
        let place = |text: &str| text[import_place(Language::Python, text).unwrap()..].to_owned();
        assert_eq!(
            place("\"\"\"Doc.\"\"\"\n\nimport os\nimport sys\n\nx = 1\nimport re\n"),
            "\nx = 1\nimport re\n"
        );
        assert_eq!(place("# mark\n\"\"\"Doc.\"\"\"\nx = 1\n"), "x = 1\n");
        assert_eq!(place("x = 1\n"), "x = 1\n");
    }
}
