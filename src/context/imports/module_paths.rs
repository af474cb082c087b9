//! Imports by a dotted or slashed module path: Python's, Go's and Java's.

use std::path::{Path, PathBuf};

use super::wanted::{MAX_NAMES, MAX_WANTED, Wanted, quoted, up_to};

/// `import a.b, c` and `from ..a import b, c`: the module, and what is imported from it in case it is one itself.
pub(super) fn of_python(statement: &str, folder: &Path, root: &Path) -> Vec<Wanted> {
    if let Some(rest) = statement.strip_prefix("from") {
        let Some((module, names)) = rest.split_once("import") else { return Vec::new() };
        let module = module.trim();
        let names = listed(names);
        let bases = python_bases(module, folder, root);
        let inner =
            |name: &str| Wanted::FirstOf(bases.iter().flat_map(|it| python_files(&it.join(name))).collect());
        let mut all = vec![Wanted::FirstOf(bases.iter().flat_map(|it| python_files(it)).collect())];
        all.extend(names.iter().take(MAX_WANTED).map(|it| inner(it)));
        return all;
    }
    let Some(modules) = statement.strip_prefix("import") else { return Vec::new() };
    let files =
        |module: &String| python_bases(module, folder, root).iter().flat_map(|it| python_files(it)).collect();
    listed(modules).iter().map(|it| Wanted::FirstOf(files(it))).collect()
}

/// The names of a list such as `(a, b as c)`.
fn listed(names: &str) -> Vec<String> {
    let names = names.split('#').next().unwrap_or_default();
    let parts = names
        .split([',', '\n'])
        .map(|it| it.trim_matches(|it: char| it.is_whitespace() || "()\\;".contains(it)));
    parts.filter_map(|it| it.split_whitespace().next()).filter(|it| *it != "*").map(str::to_owned).collect()
}

/// The paths, without extension, at which a module may lie.
fn python_bases(module: &str, folder: &Path, root: &Path) -> Vec<PathBuf> {
    let n_dots = module.len() - module.trim_start_matches('.').len();
    let inner: PathBuf = module.trim_start_matches('.').split('.').filter(|it| !it.is_empty()).collect();
    if inner.components().count() > MAX_NAMES {
        return Vec::new();
    }
    if n_dots > 0 {
        let base = folder.ancestors().nth(n_dots - 1);
        return base.filter(|it| it.starts_with(root)).map(|it| it.join(&inner)).into_iter().collect();
    }
    let mut bases: Vec<PathBuf> = up_to(folder, root).map(|it| it.join(&inner)).collect();
    let in_src = root.join("src").join(&inner);
    if !bases.contains(&in_src) {
        bases.push(in_src);
    }
    bases
}

fn python_files(base: &Path) -> Vec<PathBuf> {
    let Some(name) = base.file_name().map(|it| it.to_string_lossy().into_owned()) else { return Vec::new() };
    vec![
        base.with_file_name(format!("{name}.py")),
        base.with_file_name(format!("{name}.pyi")),
        base.join("__init__.py"),
    ]
}

/// A package's folder is the end of its import path, after the path of its module, which is not looked up.
pub(super) fn of_go(statement: &str, root: &Path) -> Vec<Wanted> {
    let paths = statement.lines().filter_map(quoted).filter(|it| it.contains('/'));
    let folders = paths.flat_map(|path| {
        let parts: Vec<&str> = path.split('/').filter(|it| !it.is_empty() && *it != "..").collect();
        let first = parts.len().saturating_sub(MAX_NAMES).max(1);
        (first..parts.len()).map(move |n| parts[n..].iter().collect::<PathBuf>()).collect::<Vec<_>>()
    });
    folders.map(|it| Wanted::Folder { path: root.join(it), extension: "go" }).collect()
}

/// `import a.b.C;`: from the folders above, since a source folder may have any name.
pub(super) fn of_java(statement: &str, folder: &Path, root: &Path) -> Vec<Wanted> {
    let Some(name) = statement.strip_prefix("import") else { return Vec::new() };
    let name = name.trim().trim_end_matches(';').trim_start_matches("static ").trim();
    let inner: PathBuf = name.split('.').collect();
    vec![Wanted::FirstOf(up_to(folder, root).map(|it| it.join(&inner).with_extension("java")).collect())]
}
