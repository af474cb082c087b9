//! Where a name stands in a file: [`occurrences`], for those who rename it.

use std::ops::Range;

use tree_sitter::{Node, Parser};

use crate::document::parse;
use crate::language::Language;
use crate::words::is_part;

/// A place where a name stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// In bytes of the text.
    pub range: Range<usize>,
    pub role: NameRole,
}

/// What a name means at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameRole {
    /// A definition's name, a variable or a type.
    Plain,
    /// What something has, such as `name` in `it.name`.
    Member,
    /// A key of an object.
    Key,
    /// The name of an argument in a call of this function.
    Argument { function: String },
    /// A key and a variable of one name at once, as JavaScript has them in `{name}`.
    Shorthand,
    /// A word of a comment.
    Comment,
    /// A word of a string.
    String,
    /// A word of a string that is a statement of its own, as Python's docstrings are.
    Docstring,
}

/// Nodes whose text is that of a string, although escapes are nodes in them.
const STRINGS: [&str; 4] = ["string_content", "string_fragment", "regex_pattern", "char_literal"];

/// All places of a name in a text, in their order; `None` if the text cannot be parsed.
pub fn occurrences(language: Language, text: &str, name: &str) -> Option<Vec<Occurrence>> {
    let tree = parse(&mut Parser::new(), language, text, None)?;
    let mut found = Vec::new();
    let mut cursor = tree.root_node().walk();
    'nodes: loop {
        let node = cursor.node();
        let words = |role: NameRole, found: &mut Vec<Occurrence>| {
            let places = places(&text[node.byte_range()], name).map(|it| node.start_byte() + it);
            found.extend(places.map(|it| Occurrence { range: it..it + name.len(), role: role.clone() }));
        };
        let kind = node.kind();
        let is_leaf = node.child_count() == 0;
        if kind.contains("comment") {
            words(NameRole::Comment, &mut found);
        } else if STRINGS.contains(&kind) || (is_leaf && kind.contains("string")) {
            let statement = node.parent().and_then(|it| it.parent()).map(|it| it.kind());
            let is_doc = statement == Some("expression_statement");
            words(if is_doc { NameRole::Docstring } else { NameRole::String }, &mut found);
        } else if is_leaf && kind.ends_with("identifier") && &text[node.byte_range()] == name {
            found.push(Occurrence { range: node.byte_range(), role: role_of(node, text) });
        } else if is_leaf
            && kind == "shorthand_property_identifier_pattern"
            && &text[node.byte_range()] == name
        {
            found.push(Occurrence { range: node.byte_range(), role: NameRole::Shorthand });
        }
        if !kind.contains("comment") && !STRINGS.contains(&kind) && cursor.goto_first_child() {
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

/// Where `name` stands in a text as a whole word.
fn places<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = usize> + 't {
    text.match_indices(name)
        .map(|(at, _)| at)
        .filter(move |at| !text[..*at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part))
}

fn role_of(node: Node<'_>, text: &str) -> NameRole {
    let Some(parent) = node.parent() else { return NameRole::Plain };
    let is = |field: &str| parent.child_by_field_name(field) == Some(node);
    match (node.kind(), parent.kind()) {
        ("shorthand_property_identifier", _) => NameRole::Shorthand,
        (_, "keyword_argument") if is("name") => {
            let call = parent.parent().and_then(|it| it.parent());
            let callee = call.and_then(|it| it.child_by_field_name("function"));
            let callee = callee.and_then(|it| text.get(it.byte_range())).unwrap_or_default();
            let function = callee.rsplit(|it| !is_part(it)).next().unwrap_or_default().to_owned();
            NameRole::Argument { function }
        }
        (_, "attribute") if is("attribute") => NameRole::Member,
        (_, "method_invocation") if is("name") && parent.child_by_field_name("object").is_some() => {
            NameRole::Member
        }
        (_, "field_access") if is("field") => NameRole::Member,
        ("property_identifier", "pair" | "pair_pattern" | "property_signature")
        | ("field_identifier", "field_initializer" | "keyed_element" | "field_designator") => NameRole::Key,
        ("property_identifier" | "private_property_identifier" | "field_identifier", _) => NameRole::Member,
        _ => NameRole::Plain,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn roles(language: Language, text: &str, name: &str) -> Vec<NameRole> {
        let found = occurrences(language, text, name).unwrap();
        assert!(found.iter().all(|it| &text[it.range.clone()] == name));
        found.into_iter().map(|it| it.role).collect()
    }

    #[test]
    fn a_name_is_found_with_its_role() {
        use NameRole::{Argument, Comment, Docstring, Member, Plain, String};
        let text = "# size\ndef f(size):\n    \"the size\"\n    return it.size + size\n\nf('size', size=2)\n";
        let argument = Argument { function: "f".to_owned() };
        assert_eq!(
            roles(Language::Python, text, "size"),
            [Comment, Plain, Docstring, Member, Plain, String, argument]
        );
    }

    #[test]
    fn a_longer_name_is_another_one() {
        assert!(roles(Language::Python, "y_index = x.y_index  # y_index\n", "y").is_empty());
    }

    #[test]
    fn keys_and_variables_of_one_name_are_told_apart() {
        use NameRole::{Key, Member, Plain, Shorthand};
        let text =
            "const size = 1;\nconst a = {size}, b = {size: 2};\nconst {size: c} = a;\na.size = `${size}`;\n";
        assert_eq!(roles(Language::JavaScript, text, "size"), [Plain, Shorthand, Key, Key, Member, Plain]);
    }

    #[test]
    fn fields_and_methods_are_members_in_all_languages() {
        use NameRole::Member;
        assert_eq!(roles(Language::Rust, "fn f() { a.size(); }", "size"), [Member]);
        assert_eq!(roles(Language::Go, "package p\nfunc f() { a.size() }\n", "size"), [Member]);
        assert_eq!(roles(Language::Java, "class A { void f() { a.size(); } }", "size"), [Member]);
        assert_eq!(roles(Language::C, "void f() { a->size = 1; }", "size"), [Member]);
    }
}
