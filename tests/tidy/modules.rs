//! The modules of one crate as the compiler sees them, without those for tests, see [`Modules`].

use std::collections::BTreeMap;

use syn::{Item, UseTree, Visibility};

/// All modules of a crate; the first is its root.
pub(crate) struct Modules(pub(crate) Vec<Module>);

/// A module: a file, or an inline module in one.
pub(crate) struct Module {
    /// The path of the file that contains it.
    pub(crate) file: String,
    pub(crate) parent: usize,
    pub(crate) items: Vec<Item>,
    /// The meanings of each name in it. There are several if a module and a function share the name, or if each
    /// platform has its own item.
    pub(crate) names: BTreeMap<String, Vec<Meaning>>,
    /// The paths that it imports with `*`.
    pub(crate) globs: Vec<Vec<String>>,
}

/// What a name in a module means.
pub(crate) enum Meaning {
    /// An item that the module defines.
    Item,
    Module(usize),
    /// Another name for what is at this path.
    Alias(Vec<String>),
}

/// One import of a `use`.
pub(crate) struct Use {
    pub(crate) path: Vec<String>,
    /// The name it gets; `None` for all names in `path`.
    pub(crate) name: Option<String>,
}

impl Modules {
    /// Reads the crate that starts at the file `root`. `text` returns the text of a file, or `None` if there is no such
    /// file.
    pub(crate) fn read<'a>(root: &str, text: &dyn Fn(&str) -> Option<&'a str>) -> Self {
        let mut modules = Self(Vec::new());
        let folder = parent(root);
        modules.add_file(root, &folder, 0, text);
        modules
    }

    /// Adds the module in `file`, whose child modules are in `folder`, and returns its index.
    fn add_file<'a>(
        &mut self,
        file: &str,
        folder: &str,
        parent: usize,
        text: &dyn Fn(&str) -> Option<&'a str>,
    ) -> usize {
        let source = text(file).unwrap_or_else(|| panic!("{file} is declared, but is not there"));
        let parsed = syn::parse_file(source).unwrap_or_else(|e| panic!("{file}: {e}"));
        self.add(file, folder, parent, parsed.items, text)
    }

    fn add<'a>(
        &mut self,
        file: &str,
        folder: &str,
        parent_module: usize,
        items: Vec<Item>,
        text: &dyn Fn(&str) -> Option<&'a str>,
    ) -> usize {
        let index = self.0.len();
        self.0.push(Module {
            file: file.to_owned(),
            parent: parent_module,
            items: Vec::new(),
            names: BTreeMap::new(),
            globs: Vec::new(),
        });
        for item in &items {
            if is_for_tests(attributes(item)) {
                continue;
            }
            if let Item::Mod(module) = item {
                let name = module.ident.to_string();
                let child = if let Some((_, items)) = &module.content {
                    self.add(file, &format!("{folder}/{name}"), index, items.clone(), text)
                } else if let Some(path) = path_attribute(&module.attrs) {
                    let path = without_steps_up(&format!("{}/{path}", parent(file)));
                    self.add_file(&path, &parent(&path), index, text)
                } else {
                    self.add_file(&format!("{folder}/{name}.rs"), &format!("{folder}/{name}"), index, text)
                };
                self.define(index, name, Meaning::Module(child));
            } else if let Item::Use(item) = item {
                for import in flat(&item.tree) {
                    match import.name {
                        Some(name) => self.define(index, name, Meaning::Alias(import.path)),
                        None => self.0[index].globs.push(import.path),
                    }
                }
            } else {
                for name in defined(item) {
                    self.define(index, name, Meaning::Item);
                }
            }
        }
        self.0[index].items = items;
        index
    }

    fn define(&mut self, module: usize, name: String, meaning: Meaning) {
        self.0[module].names.entry(name).or_default().push(meaning);
    }
}

/// The imports of a `use`, one by one.
pub(crate) fn flat(tree: &UseTree) -> Vec<Use> {
    fn add(tree: &UseTree, before: &[String], all: &mut Vec<Use>) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        // `a::{self}` imports `a`.
        let import = |name: &syn::Ident| if name == "self" { before.to_vec() } else { with(name) };
        match tree {
            UseTree::Path(path) => add(&path.tree, &with(&path.ident), all),
            UseTree::Name(name) => {
                let path = import(&name.ident);
                all.push(Use { name: path.last().cloned(), path });
            }
            UseTree::Rename(name) => {
                all.push(Use { name: Some(name.rename.to_string()), path: import(&name.ident) });
            }
            UseTree::Glob(_) => all.push(Use { path: before.to_vec(), name: None }),
            UseTree::Group(group) => group.items.iter().for_each(|tree| add(tree, before, all)),
        }
    }
    let mut all = Vec::new();
    add(tree, &[], &mut all);
    all
}

/// Whether an item with these attributes is compiled for tests only.
pub(crate) fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().filter(|it| it.path().is_ident("cfg")).any(|it| {
        let condition: String =
            it.meta.require_list().unwrap().tokens.to_string().split_whitespace().collect();
        condition == "test"
            || (condition.starts_with("all(") && condition.contains("test") && !condition.contains("not("))
    })
}

pub(crate) fn is_private(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Inherited)
}

/// The attributes of `item`.
pub(crate) fn attributes(item: &Item) -> &[syn::Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::ForeignMod(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Union(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

/// The names that `item` defines in its module.
fn defined(item: &Item) -> Vec<String> {
    let name = match item {
        Item::Const(it) => &it.ident,
        Item::Enum(it) => &it.ident,
        Item::Fn(it) => &it.sig.ident,
        Item::Static(it) => &it.ident,
        Item::Struct(it) => &it.ident,
        Item::Trait(it) => &it.ident,
        Item::Type(it) => &it.ident,
        Item::Union(it) => &it.ident,
        Item::Macro(it) => return it.ident.iter().map(ToString::to_string).collect(),
        Item::ForeignMod(it) => return it.items.iter().filter_map(foreign_name).collect(),
        _ => return Vec::new(),
    };
    vec![name.to_string()]
}

fn foreign_name(item: &syn::ForeignItem) -> Option<String> {
    match item {
        syn::ForeignItem::Fn(it) => Some(it.sig.ident.to_string()),
        syn::ForeignItem::Static(it) => Some(it.ident.to_string()),
        syn::ForeignItem::Type(it) => Some(it.ident.to_string()),
        _ => None,
    }
}

/// The file that `#[path = ".."]` names.
fn path_attribute(attributes: &[syn::Attribute]) -> Option<String> {
    let value =
        &attributes.iter().find(|it| it.path().is_ident("path"))?.meta.require_name_value().ok()?.value;
    match value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) => Some(path.value()),
        _ => None,
    }
}

/// The path with each `..` carried out.
fn without_steps_up(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// The folder that contains the file at `path`.
fn parent(path: &str) -> String {
    path.rsplit_once('/').map_or_else(String::new, |(folder, _)| folder.to_owned())
}
