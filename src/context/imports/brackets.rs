//! Rust's imports: `use` with its nested brackets, and `mod` without a body.

use std::path::{Path, PathBuf};

use super::wanted::{MAX_NAMES, Wanted, up_to};

/// More paths in one `use` are those of generated code.
const MAX_PATHS: usize = 64;

/// `mod name;`, `use crate::a::{B, c::D};`, and `use` from `self` and `super`.
pub(super) fn of_rust(statement: &str, path: &Path, root: &Path) -> Vec<Wanted> {
    let Some(folder) = path.parent() else { return Vec::new() };
    let stem = path.file_stem().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    // Where the modules inside this one lie.
    let inside =
        if ["lib", "main", "mod"].contains(&stem.as_str()) { folder.to_owned() } else { folder.join(&stem) };
    let words = statement.trim_end_matches(';');
    if let Some((before, name)) = words.split_once("mod ")
        && !before.contains("use ")
    {
        let base = inside.join(name.trim());
        return vec![Wanted::FirstOf(rust_files(&base))];
    }
    let Some((_, tree)) = words.split_once("use ") else { return Vec::new() };
    let mut all = Vec::new();
    for parts in paths(tree) {
        let (first, rest) = parts.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let (bases, rest): (Vec<PathBuf>, _) = match first {
            "crate" => (up_to(folder, root).map(Path::to_owned).collect(), rest),
            "self" => (vec![inside.clone()], rest),
            "super" => {
                let n_up = 1 + rest.iter().take_while(|it| *it == "super").count();
                let base = inside.ancestors().nth(n_up).map(Path::to_owned);
                (base.into_iter().collect(), &rest[n_up - 1..])
            }
            _ => continue,
        };
        // The last parts name items; how many is not known, so the longest path that is a file is taken.
        let mut files = Vec::new();
        for n in (1..=rest.len()).rev() {
            let inner: PathBuf = rest[..n].iter().collect();
            files.extend(bases.iter().flat_map(|it| rust_files(&it.join(&inner))));
        }
        if first == "super" {
            // An item of the parent module itself.
            files.extend(bases.iter().map(|it| it.with_extension("rs")));
            files.extend(
                bases.iter().flat_map(|it| ["mod.rs", "lib.rs", "main.rs"].map(|name| it.join(name))),
            );
        }
        files.extend(
            bases
                .iter()
                .filter(|_| first == "crate")
                .flat_map(|it| ["lib.rs", "main.rs"].map(|name| it.join(name))),
        );
        if !files.is_empty() {
            all.push(Wanted::FirstOf(files));
        }
    }
    all
}

fn rust_files(base: &Path) -> Vec<PathBuf> {
    let Some(name) = base.file_name().map(|it| it.to_string_lossy().into_owned()) else { return Vec::new() };
    vec![base.with_file_name(format!("{name}.rs")), base.join("mod.rs")]
}

/// The paths of a tree such as `a::{b, c::{d, e as f}}`.
fn paths(tree: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut above: Vec<Vec<String>> = vec![Vec::new()];
    let mut current: Vec<String> = Vec::new();
    let mut word = String::new();
    for next in tree.chars().chain([',']) {
        match next {
            '{' => {
                let mut path = above.last().cloned().unwrap_or_default();
                path.append(&mut current);
                if path.len() > MAX_NAMES {
                    break;
                }
                above.push(path);
                word.clear();
            }
            ',' | '}' => {
                let name = word.split_whitespace().next().unwrap_or_default();
                if !name.is_empty() || !current.is_empty() {
                    let mut path = above.last().cloned().unwrap_or_default();
                    path.append(&mut current);
                    path.extend((!["", "*", "self"].contains(&name)).then(|| name.to_owned()));
                    if path.len() <= MAX_NAMES {
                        found.push(path);
                    }
                }
                word.clear();
                if next == '}' && above.len() > 1 {
                    above.pop();
                }
            }
            ':' => {
                let name = word.trim();
                if !name.is_empty() {
                    current.push(name.to_owned());
                }
                word.clear();
            }
            it => word.push(it),
        }
        if found.len() >= MAX_PATHS {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_of_names_is_the_list_of_its_paths() {
        let joined = |tree| paths(tree).iter().map(|it| it.join("/")).collect::<Vec<_>>();
        assert_eq!(
            joined("crate::a::{B, c::{D as E, self}, f::*}"),
            ["crate/a/B", "crate/a/c/D", "crate/a/c", "crate/a/f"]
        );
        assert_eq!(joined("super::x"), ["super/x"]);
        assert_eq!(joined("{{{"), Vec::<String>::new());
    }
}
