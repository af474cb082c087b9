//! Finding files by paths, directories and globs.

use runabout_files::{Options, Problem, Roots};

use crate::Folders;

fn project() -> Folders {
    let folders = Folders::new();
    for path in
        ["src/a.rs", "src/b.rs", "src/deep/c.rs", "README.md", "target/out.rs", ".github/ci.yml", "x/[id].ts"]
    {
        folders.write(path, path);
    }
    folders.write(".gitignore", "target/\n*.log\n");
    folders.write("src/deep/.gitignore", "!kept.log\n");
    folders.write("src/deep/kept.log", "");
    folders.write("src/lost.log", "");
    folders
}

#[test]
fn a_glob_finds_files_in_the_order_of_their_paths() {
    let folders = project();
    assert_eq!(folders.find(&["**/*.rs"]), ["src/a.rs", "src/b.rs", "src/deep/c.rs"]);
    assert_eq!(folders.find(&["src/*.rs"]), ["src/a.rs", "src/b.rs"]);
    assert_eq!(folders.find(&["src/{b,a}.rs", "*.md"]), ["src/a.rs", "src/b.rs", "README.md"]);
}

#[test]
fn the_order_of_the_patterns_counts_and_no_file_is_found_twice() {
    let folders = project();
    assert_eq!(folders.find(&["src/b.rs", "./src/*.rs", "src/a.rs"]), ["src/b.rs", "src/a.rs"]);
}

#[test]
fn a_directory_means_all_files_below_it() {
    let folders = project();
    assert_eq!(folders.find(&["src"]), ["src/a.rs", "src/b.rs", "src/deep/c.rs", "src/deep/kept.log"]);
    let absolute = folders.path("src/deep").display().to_string();
    assert_eq!(folders.find(&[&absolute]), ["src/deep/c.rs", "src/deep/kept.log"]);
    assert_eq!(folders.find(&["."]).len(), 6);
}

#[test]
fn ignore_files_count_unless_a_file_is_named_by_its_path() {
    let folders = project();
    assert_eq!(folders.find(&["**/*.log"]), ["src/deep/kept.log"]);
    assert_eq!(folders.find(&["src/lost.log", "target/out.rs"]), ["src/lost.log", "target/out.rs"]);
}

#[test]
fn hidden_files_are_found_only_by_a_pattern_with_a_dot() {
    let folders = project();
    assert_eq!(folders.find(&["**/*.yml"]), [""; 0]);
    assert_eq!(folders.find(&[".github/*.yml"]), [".github/ci.yml"]);
}

#[test]
fn patterns_with_an_exclamation_mark_take_away() {
    let folders = project();
    assert_eq!(folders.find(&["**/*.rs", "!src/deep", "!**/b.*"]), ["src/a.rs"]);
}

#[test]
fn a_name_that_looks_like_a_glob_is_found_by_itself() {
    assert_eq!(project().find(&["x/[id].ts"]), ["x/[id].ts"]);
}

#[test]
fn what_is_not_found_is_told() {
    let folders = project();
    let patterns = ["nothing.rs", "*.cpp", "../*", "/etc/*.conf", "a{b"].map(str::to_owned);
    let found = folders.roots.find(&patterns).unwrap();
    assert!(found.files.is_empty());
    let problems: Vec<&str> = found.left_out.iter().map(|it| it.problem.name()).collect();
    assert_eq!(problems, ["not_found", "no_match", "parent_name", "outside", "invalid_glob"]);
}

#[test]
fn too_many_files_are_an_error_and_not_a_part_of_them() {
    let folders = Folders::with(Options { max_files: 2, ..Options::default() });
    for name in ["a", "b", "c"] {
        folders.write(name, "");
    }
    let error = folders.roots.find(&["*".to_owned()]).unwrap_err();
    assert_eq!(error.problem, Problem::TooManyFiles { limit: 2 });
    let folders = Folders::with(Options { max_entries: 2, ..Options::default() });
    for name in ["a", "b", "c"] {
        folders.write(name, "");
    }
    let error = folders.roots.find(&["*.rs".to_owned()]).unwrap_err();
    assert_eq!(error.problem, Problem::TooManyEntries { limit: 2 });
}

#[test]
fn with_several_roots_a_file_is_told_by_its_absolute_path() {
    let folders = project();
    let others = [folders.path("src"), folders.path("x"), folders.outside()];
    let roots = Roots::open(&others, Options::default()).unwrap();
    let found = roots.find(&["*.txt".to_owned(), "a.rs".to_owned()]).unwrap();
    let shown: Vec<String> = found.files.iter().map(|it| it.shown().to_owned()).collect();
    let expected = [folders.outside().join("secret.txt"), folders.path("src/a.rs")];
    assert_eq!(shown, expected.map(|it| it.display().to_string()));
    assert_eq!(roots.read(&found.files[1]).unwrap().text, "src/a.rs");
}
