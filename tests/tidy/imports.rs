//! Finds which files of a crate use items of which others, see [`imports`].
//!
//! Names are resolved as by the compiler, through `use`, re-exports and globs, to the file that defines the item. One
//! use goes unnoticed: a method that another file adds to a type, called with a dot.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::circles::Imports;
use crate::modules::{Meaning, Module, Modules, attributes, flat, is_for_tests, is_private};

/// The imports among the files of a crate, without code for tests. Module declarations and re-exports (`pub use`,
/// `pub(crate) use`) are not imports.
pub(crate) fn imports(modules: &Modules) -> Imports {
    let mut visitor = Visitor { modules, module: 0, imports: Imports::new() };
    for (index, module) in modules.0.iter().enumerate() {
        visitor.module = index;
        module.items.iter().for_each(|item| visitor.visit_item(item));
    }
    visitor.imports
}

struct Visitor<'a> {
    modules: &'a Modules,
    /// The index of the module that contains the visited code.
    module: usize,
    imports: Imports,
}

/// What a path refers to.
#[derive(Clone, Debug, PartialEq)]
enum Target {
    Module(usize),
    Item { module: usize, name: String },
}

impl Visitor<'_> {
    /// Notes the items that `path` refers to, if other files define them.
    fn note(&mut self, path: &[String]) {
        for target in find(self.modules, self.module, path, &mut Vec::new()) {
            let Target::Item { module, name } = target else { continue };
            let (from, to) = (&self.modules.0[self.module].file, &self.modules.0[module].file);
            if from != to {
                self.imports.entry((from.clone(), to.clone())).or_default().insert(name);
            }
        }
    }

    /// Notes the paths in the arguments of macros and attributes, which are not parsed.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(it) if it.as_char() == ':' => colons += 1,
                TokenTree::Ident(it) => {
                    if colons != 2 {
                        self.note(&std::mem::take(&mut path));
                    }
                    path.push(it.to_string());
                    colons = 0;
                }
                other => {
                    self.note(&std::mem::take(&mut path));
                    colons = 0;
                    match other {
                        TokenTree::Group(it) => self.note_tokens(it.stream()),
                        // A path in a string, as in serde's attributes.
                        TokenTree::Literal(it) => {
                            let path = it.to_string();
                            if let Ok(path) = syn::parse_str::<syn::Path>(path.trim_matches('"')) {
                                self.visit_path(&path);
                            }
                        }
                        // What follows a dot is a field or a method.
                        TokenTree::Punct(_) | TokenTree::Ident(_) => {}
                    }
                }
            }
        }
        self.note(&path);
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        // Inline modules are visited separately.
        if !is_for_tests(attributes(item)) && !matches!(item, syn::Item::Mod(_)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if is_private(&item.vis) {
            for import in flat(&item.tree) {
                self.note(&import.path);
            }
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let names: Vec<String> = path.segments.iter().map(|it| it.ident.to_string()).collect();
            self.note(&names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.visit_path(&item.path);
        self.note_tokens(item.tokens.clone());
    }

    fn visit_attribute(&mut self, item: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &item.meta {
            self.note_tokens(list.tokens.clone());
        }
    }
}

/// What `path` refers to in `module`; empty if that is outside the crate. `searched` has the names that are being
/// looked up, so that a circular one ends.
fn find(
    modules: &Modules,
    module: usize,
    path: &[String],
    searched: &mut Vec<(usize, String)>,
) -> Vec<Target> {
    let mut rest = path;
    let mut start = None;
    while let Some((first, after)) = rest.split_first() {
        start = match first.as_str() {
            "crate" => Some(0),
            "self" => Some(start.unwrap_or(module)),
            "super" => Some(modules.0[start.unwrap_or(module)].parent),
            _ => break,
        };
        rest = after;
    }
    let mut targets = match (start, rest.split_first()) {
        (Some(module), _) => vec![Target::Module(module)],
        (None, Some((first, after))) => {
            rest = after;
            meanings(modules, module, first, searched)
        }
        (None, None) => Vec::new(),
    };
    for name in rest {
        let step = |target: Target| match target {
            Target::Module(module) => {
                let found = meanings(modules, module, name, searched);
                // The names of items that macros define are not known here.
                if found.is_empty() { vec![Target::Item { module, name: name.clone() }] } else { found }
            }
            // A variant or an associated item belongs to its type.
            item @ Target::Item { .. } => vec![item],
        };
        // Only a module or a type can be followed by `::`, and the two cannot share a name.
        if targets.iter().any(|it| matches!(it, Target::Module(_))) {
            targets.retain(|it| matches!(it, Target::Module(_)));
        }
        targets = targets.into_iter().flat_map(step).collect();
    }
    targets
}

/// What `name` means in `module`.
fn meanings(
    modules: &Modules,
    module: usize,
    name: &str,
    searched: &mut Vec<(usize, String)>,
) -> Vec<Target> {
    let key = (module, name.to_owned());
    // `use a::a` looks up `a` to say what `a` is.
    let is_circular = searched.contains(&key);
    searched.push(key);
    let Module { names, globs, .. } = &modules.0[module];
    let found = if let Some(meanings) = names.get(name) {
        let target = |meaning: &Meaning| match meaning {
            Meaning::Item => vec![Target::Item { module, name: name.to_owned() }],
            Meaning::Module(module) => vec![Target::Module(*module)],
            Meaning::Alias(_) if is_circular => Vec::new(),
            Meaning::Alias(path) => find(modules, module, path, searched),
        };
        meanings.iter().flat_map(target).collect()
    } else {
        let mut found = Vec::new();
        for glob in globs.iter().filter(|_| !is_circular) {
            for target in find(modules, module, glob, searched) {
                if let Target::Module(module) = target {
                    found.extend(meanings(modules, module, name, searched));
                }
            }
        }
        found
    };
    searched.pop();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circles::circles;

    /// The imports of a crate with these files, as `from -> to: names`.
    fn imports_of(files: &[(&str, &str)]) -> Vec<String> {
        let text = |path: &str| files.iter().find(|(it, _)| *it == path).map(|(_, text)| *text);
        imports(&Modules::read("src/lib.rs", &text))
            .into_iter()
            .map(|((from, to), names)| format!("{from} -> {to}: {}", Vec::from_iter(names).join(", ")))
            .collect()
    }

    #[test]
    fn a_module_that_uses_its_parent_makes_a_circle() {
        let text = |path: &str| match path {
            "src/lib.rs" => Some("mod a; struct Options; fn run() { a::start(&Options); }"),
            "src/a.rs" => Some("use super::Options; pub fn start(_: &Options) {}"),
            _ => None,
        };
        let found = circles(&imports(&Modules::read("src/lib.rs", &text)));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("src/a.rs uses Options of src/lib.rs"), "{}", found[0]);
        assert!(found[0].contains("src/lib.rs uses start of src/a.rs"), "{}", found[0]);
    }

    #[test]
    fn declarations_and_re_exports_are_no_imports() {
        let found =
            imports_of(&[("src/lib.rs", "mod a; pub use a::A; pub(crate) use a::B;"), ("src/a.rs", "")]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_name_is_followed_through_re_exports_to_where_it_is_defined() {
        let found = imports_of(&[
            ("src/lib.rs", "mod a; mod b; pub use a::Deep;"),
            ("src/a.rs", "mod c; pub use c::*;"),
            ("src/a/c.rs", "pub struct Deep;"),
            ("src/b.rs", "use crate::Deep; use crate::a::Deep as Other;"),
        ]);
        assert_eq!(found, ["src/b.rs -> src/a/c.rs: Deep"]);
    }

    #[test]
    fn paths_in_code_types_macros_and_attributes_count() {
        let of = |code: &str| {
            imports_of(&[
                ("src/lib.rs", "mod a; mod b;"),
                ("src/a.rs", "pub fn f() {} pub enum E { V } pub mod inner { pub const N: u32 = 1; }"),
                ("src/b.rs", code),
            ])
        };
        assert_eq!(of("fn g() { crate::a::f(); }"), ["src/b.rs -> src/a.rs: f"]);
        assert_eq!(of("use crate::a; fn g() -> a::E { a::E::V }"), ["src/b.rs -> src/a.rs: E"]);
        assert_eq!(of("fn g() { use super::a::inner::N; }"), ["src/b.rs -> src/a.rs: N"]);
        assert_eq!(of("fn g() { println!(\"{}\", 1 + super::a::inner::N); }"), ["src/b.rs -> src/a.rs: N"]);
        assert_eq!(of("struct S { #[serde(with = \"crate::a::f\")] x: u8 }"), ["src/b.rs -> src/a.rs: f"]);
        assert_eq!(of("use super::a::*; fn g() { matches!(x, E::V); }"), ["src/b.rs -> src/a.rs: E"]);
        assert_eq!(of("use crate::a::{self, inner};"), Vec::<String>::new());
    }

    #[test]
    fn code_for_tests_does_not_count() {
        let found = imports_of(&[
            ("src/lib.rs", "mod a; #[cfg(test)] mod tests; pub fn f() {}"),
            ("src/a.rs", "#[cfg(test)] use super::f; #[cfg(all(test, unix))] mod tests { use crate::f; }"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn names_of_other_crates_and_of_methods_do_not_count() {
        let found = imports_of(&[
            ("src/lib.rs", "mod a; mod f; use std::fmt; fn g(x: S) { x.f(); serde::f(); }"),
            ("src/a.rs", "use half::f16; fn h() { ::f::f(); }"),
            ("src/f.rs", "pub fn f() {}"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_module_and_a_function_may_share_a_name() {
        let found = imports_of(&[
            ("src/lib.rs", "mod a; mod b; pub use a::a;"),
            ("src/a.rs", "pub fn a() {}"),
            ("src/b.rs", "fn b() { crate::a(); }"),
        ]);
        assert_eq!(found, ["src/b.rs -> src/a.rs: a"]);
    }

    #[test]
    fn a_path_through_a_module_does_not_use_the_function_of_the_same_name() {
        let found = imports_of(&[
            ("src/lib.rs", "mod a; mod b; pub use a::a;"),
            ("src/a.rs", "pub mod c; pub fn a() {}"),
            ("src/a/c.rs", "pub fn f() {}"),
            ("src/b.rs", "use crate::a::c::f;"),
        ]);
        assert_eq!(found, ["src/b.rs -> src/a/c.rs: f"]);
    }

    #[test]
    fn a_file_may_lie_where_its_declaration_says() {
        let found = imports_of(&[
            (
                "src/lib.rs",
                "#[path = \"other/place.rs\"] mod a; mod b { mod c; } #[path = \"b/../../up.rs\"] mod up;",
            ),
            ("src/other/place.rs", "pub struct A;"),
            ("src/b/c.rs", "use crate::a::A;"),
            ("up.rs", "use crate::a::A;"),
        ]);
        assert_eq!(found, ["src/b/c.rs -> src/other/place.rs: A", "up.rs -> src/other/place.rs: A"]);
    }
}
