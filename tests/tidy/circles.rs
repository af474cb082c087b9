//! Finds circular imports among files, see [`circles`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;

/// The imported names, by the importing file and the imported file.
pub(crate) type Imports = BTreeMap<(String, String), BTreeSet<String>>;

/// Finds the groups of files that import each other, directly or through others, and describes each by its shortest
/// circle.
pub(crate) fn circles(imports: &Imports) -> Vec<String> {
    let mut imported: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in imports.keys() {
        imported.entry(from).or_default().push(to);
    }

    let mut told: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    for &start in imported.keys() {
        if told.contains(start) || path_back(start, &imported).is_none() {
            continue;
        }
        let group: Vec<&str> = imported
            .keys()
            .copied()
            .filter(|file| {
                *file == start
                    || (path(start, file, &imported).is_some() && path(file, start, &imported).is_some())
            })
            .collect();
        let shortest = group
            .iter()
            .filter_map(|file| path_back(file, &imported))
            .min_by_key(Vec::len)
            .unwrap_or_default();
        found.push(text(&group, &shortest, imports));
        told.extend(group);
    }
    found
}

fn text(group: &[&str], circle: &[&str], imports: &Imports) -> String {
    let mut text = format!("{} files import each other; the shortest circle:", group.len());
    for step in circle.windows(2) {
        let names: Vec<&str> =
            imports[&(step[0].to_owned(), step[1].to_owned())].iter().map(String::as_str).collect();
        let _ = write!(text, "\n    {} uses {} of {}", step[0], names.join(", "), step[1]);
    }
    text + &format!("\n  all of them: {}", group.join(", "))
}

/// The shortest circle through `file`, which is its first and last entry; `None` if there is none.
fn path_back<'a>(file: &'a str, imported: &BTreeMap<&'a str, Vec<&'a str>>) -> Option<Vec<&'a str>> {
    let after =
        imported.get(file)?.iter().filter_map(|next| path(next, file, imported)).min_by_key(Vec::len)?;
    Some([vec![file], after].concat())
}

/// The shortest path from one file to another, both included; `None` if there is none.
fn path<'a>(from: &'a str, to: &str, imported: &BTreeMap<&'a str, Vec<&'a str>>) -> Option<Vec<&'a str>> {
    let mut before: BTreeMap<&str, Option<&str>> = BTreeMap::from([(from, None)]);
    let mut waiting = VecDeque::from([from]);
    while let Some(file) = waiting.pop_front() {
        if file == to {
            let mut path: Vec<&str> = std::iter::successors(Some(file), |file| before[file]).collect();
            path.reverse();
            return Some(path);
        }
        for &next in imported.get(file).into_iter().flatten() {
            if !before.contains_key(next) {
                before.insert(next, Some(file));
                waiting.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> Imports {
        let named = |(from, to): &(&str, &str)| {
            ((String::from(*from), String::from(*to)), BTreeSet::from([to.to_uppercase()]))
        };
        edges.iter().map(named).collect()
    }

    #[test]
    fn a_diamond_is_no_circle() {
        assert!(circles(&graph(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")])).is_empty());
    }

    #[test]
    fn the_shortest_circle_of_a_group_is_told_with_its_names() {
        let found = circles(&graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "b"), ("d", "a")]));
        assert_eq!(
            found,
            [
                "3 files import each other; the shortest circle:\n    b uses C of c\n    c uses B of b\n  all of them: a, b, c"
            ]
        );
    }

    #[test]
    fn two_circles_apart_are_two_faults() {
        assert_eq!(circles(&graph(&[("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "c")])).len(), 2);
    }
}
