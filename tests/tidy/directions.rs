//! Which crate may depend on which.

/// Finds `dependencies` (pairs of a folder and one that it depends on) that the table `may_depend_on` does not allow,
/// and `folders` that have no row in it.
pub(crate) fn wrong_directions(
    folders: &[&str],
    dependencies: &[(&str, &str)],
    may_depend_on: &[(&str, &[&str])],
) -> Vec<String> {
    let row = |folder: &str| may_depend_on.iter().find(|(it, _)| *it == folder);
    let without_row = folders
        .iter()
        .filter(|folder| row(folder).is_none())
        .map(|folder| format!("src/{folder}: has no row in the table of dependencies"));
    let forbidden = dependencies
        .iter()
        .filter(|(from, to)| row(from).is_some_and(|(_, allowed)| !allowed.contains(to)))
        .map(|(from, to)| format!("src/{from}/Cargo.toml: may not depend on src/{to}"));
    without_row.chain(forbidden).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[(&str, &[&str])] = &[("engine", &["text"]), ("text", &[])];

    #[test]
    fn a_dependency_in_the_table_is_right() {
        assert!(wrong_directions(&["engine", "text"], &[("engine", "text")], TABLE).is_empty());
    }

    #[test]
    fn a_dependency_that_points_back_is_a_fault() {
        let faults = wrong_directions(&["engine", "text"], &[("text", "engine")], TABLE);
        assert_eq!(faults, ["src/text/Cargo.toml: may not depend on src/engine"]);
    }

    #[test]
    fn a_crate_without_a_row_is_a_fault() {
        let faults = wrong_directions(&["engine", "new", "text"], &[("new", "text")], TABLE);
        assert_eq!(faults, ["src/new: has no row in the table of dependencies"]);
    }
}
