//! What a file defines, and where: found in its syntax tree without looking into the bodies of functions.

use std::ops::Range;

use tree_sitter::{Node, Tree};

use crate::language::{Language, Role};

/// More definitions than this are those of generated code.
const MAX_DEFINITIONS: usize = 5_000;
/// Deeper nesting is not read, since code nested by a machine must not exhaust the stack.
const MAX_DEPTH: usize = 24;
/// The most bytes shown of one definition. A long parameter list with comments is longer.
const MAX_SHOWN: usize = 800;
/// The most bytes shown of a variable: its beginning names it, and the rest is data.
const MAX_VALUE: usize = 200;

/// A definition: something that has a name and can be used elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) name: String,
    /// The name of the type that it is a member of.
    pub(crate) owner: Option<String>,
    /// The index of the definition of that type in the same file, which is shown above it.
    pub(crate) parent: Option<usize>,
    /// Whether it has a body that is not shown, with code in it.
    pub(crate) is_function: bool,
    /// Whether it has members.
    pub(crate) is_type: bool,
    /// All of it, in bytes of the file.
    pub(crate) whole: Range<usize>,
    /// The part of it before its body.
    pub(crate) head: Range<usize>,
    /// What is shown of it: its text without its body.
    pub(crate) shown: String,
}

/// What a file defines and imports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outline {
    /// In the order of the file; a type before its members.
    pub(crate) definitions: Vec<Definition>,
    /// The statements that import, in bytes of the file.
    pub(crate) imports: Vec<Range<usize>>,
}

impl Outline {
    pub(crate) fn of(tree: &Tree, text: &str, language: Language) -> Self {
        let mut reader = Reader { text, language, outline: Self::default() };
        reader.children(tree.root_node(), Place { start: None, parent: None, depth: 0 });
        reader.outline
    }

    /// The innermost definition around a position of `text`. In a language without closing brackets, an empty line below
    /// a definition belongs to it if the cursor is indented more than it.
    pub(crate) fn around(&self, text: &str, at: usize) -> Option<&Definition> {
        let before = self.definitions.iter().rev().filter(|it| it.whole.start <= at);
        let column = |at: usize| at - text[..at].rfind('\n').map_or(0, |it| it + 1);
        let mut n_ended = 0;
        for definition in before {
            if at <= definition.whole.end {
                return Some(definition);
            }
            n_ended += 1;
            let between = text.get(definition.whole.end..at).unwrap_or_default();
            if n_ended == 1 && between.trim().is_empty() && column(at) > column(definition.whole.start) {
                return Some(definition);
            }
        }
        None
    }
}

/// Where the reader is.
#[derive(Clone, Copy)]
struct Place {
    /// Where the statement around the next definition begins.
    start: Option<usize>,
    parent: Option<usize>,
    depth: usize,
}

struct Reader<'t> {
    text: &'t str,
    language: Language,
    outline: Outline,
}

impl Reader<'_> {
    fn children(&mut self, node: Node<'_>, place: Place) {
        if place.depth > MAX_DEPTH {
            return;
        }
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            if self.outline.definitions.len() >= MAX_DEFINITIONS {
                return;
            }
            self.node(child, Place { depth: place.depth + 1, ..place });
        }
    }

    fn node(&mut self, node: Node<'_>, place: Place) {
        if node.is_error() {
            // An unfinished statement often swallows the definitions around it.
            self.children(node, place);
            return;
        }
        let Some(role) = self.language.role(node.kind()) else { return };
        let start = place.start.unwrap_or(node.start_byte());
        match role {
            Role::Inside => self.children(node, Place { start: None, ..place }),
            Role::Around => {
                if node.child_by_field_name("source").is_some() {
                    self.outline.imports.push(node.byte_range());
                }
                let mut cursor = node.walk();
                let children = node.named_children(&mut cursor);
                let n_definitions = children.filter(|it| self.language.role(it.kind()).is_some()).count();
                self.children(node, Place { start: (n_definitions == 1).then_some(start), ..place });
            }
            Role::Import => match node.child_by_field_name("body") {
                Some(body) if !self.is_for_tests(node) => self.children(body, Place { start: None, ..place }),
                Some(_) => {}
                None => self.outline.imports.push(node.byte_range()),
            },
            Role::Function | Role::Type | Role::Whole => {
                self.definition(node, start..node.end_byte(), role, place);
            }
            Role::Value => self.value(node, start, place),
        }
    }

    /// A variable's value may be a function or a class; in C, a declaration may be a function's.
    fn value(&mut self, node: Node<'_>, start: usize, place: Place) {
        let value = node.child_by_field_name("value").or_else(|| node.child_by_field_name("right"));
        let in_type = node.child_by_field_name("type").filter(|it| it.child_by_field_name("body").is_some());
        if let Some(inner) = in_type {
            // `struct s { ... } variable;`
            self.node(inner, Place { start: None, ..place });
        }
        let is_require = |it: Node<'_>| {
            let function = it.child_by_field_name("function");
            function.and_then(|it| self.text.get(it.byte_range())) == Some("require")
        };
        if value.is_some_and(is_require) {
            self.outline.imports.push(start..node.end_byte());
            return;
        }
        if value.is_some_and(|it| it.kind() == "identifier") && node.kind() == "assignment_expression" {
            // `exports.name = name`: what is exported is defined elsewhere.
            return;
        }
        let role = match value {
            Some(it) if it.child_by_field_name("parameters").is_some() => Role::Function,
            Some(it) if it.kind() == "arrow_function" => Role::Function,
            _ => Role::Value,
        };
        self.definition(node, start..node.end_byte(), role, place);
    }

    fn definition(&mut self, node: Node<'_>, whole: Range<usize>, role: Role, place: Place) {
        let has_own_body = node.child_by_field_name("body").is_some();
        if node.kind().ends_with("_specifier") && !has_own_body {
            // `struct s;` only says that there is one.
            return;
        }
        let Some(name) = self.name(node, 0) else { return };
        let holder = if role == Role::Function && !has_own_body {
            node.child_by_field_name("value").or_else(|| node.child_by_field_name("right"))
        } else {
            Some(node)
        };
        let body = match role {
            Role::Function | Role::Type => holder.and_then(|it| it.child_by_field_name("body")),
            _ => None,
        };
        let owner = match place.parent {
            Some(parent) => Some(self.outline.definitions[parent].name.clone()),
            None => self.receiver(node),
        };
        // In Python, comments may stand between the colon and the body.
        let mut cursor = node.walk();
        let colon =
            node.children(&mut cursor).find(|it| it.kind() == ":" && self.language == Language::Python);
        let head_end = colon.map(|it| it.end_byte()).filter(|_| body.is_some());
        let head_end = head_end.or_else(|| body.map(|it| it.start_byte())).unwrap_or(whole.end);
        let head = whole.start..head_end.max(whole.start);
        let shown = self.shown(&self.text[head.clone()], role, body.is_some());
        let is_function = role == Role::Function && body.is_some();
        let is_type = role == Role::Type;
        let parent = place.parent;
        let definition = Definition { name, owner, parent, is_function, is_type, whole, head, shown };
        self.outline.definitions.push(definition);
        let idx = self.outline.definitions.len() - 1;
        if let (Role::Type, Some(body)) = (role, body) {
            self.children(body, Place { start: None, parent: Some(idx), ..place });
        }
    }

    /// What is shown of a definition whose text up to its body is `head`.
    fn shown(&self, head: &str, role: Role, has_body: bool) -> String {
        let head = head.trim_end();
        if !has_body {
            let most = if role == Role::Value { MAX_VALUE } else { MAX_SHOWN };
            return beginning(head, most).to_owned();
        }
        let head = beginning(head, MAX_SHOWN);
        match (self.language, role) {
            (Language::Python, _) => {
                format!("{}{}", head.trim_end_matches(':'), if role == Role::Type { ":" } else { ": ..." })
            }
            (_, Role::Type) => format!("{head} {{"),
            _ => format!("{}{}", head.trim_end_matches("=>").trim_end(), self.language.elision()),
        }
    }

    fn name(&self, node: Node<'_>, depth: usize) -> Option<String> {
        if depth > MAX_DEPTH {
            return None;
        }
        if node.named_child_count() == 0 {
            let text = self.text.get(node.byte_range())?;
            return text
                .starts_with(|it: char| it.is_alphabetic() || "_$#".contains(it))
                .then(|| text.to_owned());
        }
        if node.kind() == "impl_item" {
            return node.child_by_field_name("type").and_then(|it| self.name(it, depth + 1));
        }
        // `exports.name = ...`, `Type.prototype.name = ...`; generic types and declarators have their name further in.
        let fields = ["name", "declarator", "left", "property", "type"];
        let inner = fields.iter().find_map(|field| node.child_by_field_name(field));
        match inner.or_else(|| node.named_child(0)) {
            Some(inner) => self.name(inner, depth + 1),
            None => None,
        }
    }

    /// The type of a method's receiver in Go.
    fn receiver(&self, node: Node<'_>) -> Option<String> {
        let receiver = node.child_by_field_name("receiver")?;
        let text = self.text.get(receiver.byte_range())?;
        crate::words::names(text).map(|(_, name)| name.to_owned()).last()
    }

    fn is_for_tests(&self, node: Node<'_>) -> bool {
        self.name(node, 0).is_some_and(|it| it == "tests")
    }
}

/// The beginning of a text of at most `most` bytes, cut at the end of a line if there is one.
pub(crate) fn beginning(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|it| text.is_char_boundary(*it)).unwrap_or(0);
    let end = text[..end].rfind('\n').unwrap_or(end);
    text[..end].trim_end()
}
