//! The rules of this repository that the compiler does not check: which crate may depend on which, no circular imports
//! among files, the length, header and name of files, and no folders or hosts that only one machine knows.
//!
//! Each rule is a function that returns a list of faults, and has a test with a bad example. To change a rule, start
//! with the tables below.
//!
//! They are tests of the package `xtask`, which is built before anything else, without MLX, and needs no model. Run
//! them with `cargo test -p xtask --test tidy`.
#![allow(clippy::unwrap_used)]

mod circles;
mod directions;
mod files;
mod imports;
mod modules;
mod workspace;

use circles::circles;
use directions::wrong_directions;
use imports::imports;
use modules::Modules;
use workspace::Workspace;

/// The folders in `src`, and which of the others each may depend on.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("rpc", &[]),
    ("text", &[]),
    ("kernels", &[]),
    ("context", &[]),
    ("files", &[]),
    ("engine", &["text"]),
    ("store", &["text"]),
    ("assist", &["engine", "text"]),
    // `engine` only for the scripted model of its tests.
    ("errands", &["assist", "context", "files", "text", "engine"]),
    ("mlx", &["engine", "text", "kernels"]),
    ("ranks", &["engine", "text"]),
    // `engine` and `text` are allowed only until all code that uses them has moved to `assist`.
    (
        "worker",
        &["api", "rpc", "assist", "context", "errands", "files", "mlx", "ranks", "store", "engine", "text"],
    ),
    ("fuzz", &["api", "context", "engine", "files", "mlx", "rpc", "store", "text", "worker"]),
    ("xtask", &["store", "context"]),
];

const MOST_LINES: usize = 600;

/// Files that may be longer than [`MOST_LINES`], each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

#[test]
fn crates_depend_on_each_other_in_one_direction() {
    let workspace = Workspace::read();
    let dependencies: Vec<(&str, &str)> = workspace
        .packages
        .iter()
        .flat_map(|package| package.depends_on.iter().map(|other| (package.folder.as_str(), other.as_str())))
        .collect();
    let folders: Vec<&str> = workspace.packages.iter().map(|package| package.folder.as_str()).collect();

    none(&wrong_directions(&folders, &dependencies, MAY_DEPEND_ON));
}

#[test]
fn files_of_a_crate_do_not_import_each_other_in_a_circle() {
    let workspace = Workspace::read();
    let mut faults = Vec::new();
    for package in &workspace.packages {
        for root in &package.roots {
            let found = circles(&imports(&Modules::read(root, &|path| workspace.text(path))));
            faults.extend(found.into_iter().map(|circle| format!("{}: {circle}", package.folder)));
        }
    }

    none(&faults);
}

#[test]
fn files_of_rust_are_short() {
    none(&files::too_long(&Workspace::read().files, MOST_LINES, LONG_FILES));
}

#[test]
fn files_of_rust_open_with_what_they_are() {
    none(&files::without_header(&Workspace::read().files));
}

#[test]
fn files_are_named_for_what_they_hold() {
    none(&files::badly_named(&Workspace::read().files));
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    none(&files::paths_of_a_machine(&Workspace::read().files));
}

#[test]
fn no_file_names_a_host_that_is_not_on_the_list() {
    none(&files::unknown_hosts(&Workspace::read().files));
}

/// Fails with the faults, one a line.
#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
