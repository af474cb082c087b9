//! Writing changes: all of a set or none, and none to a file that has changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use runabout_files::{Change, Options, Problem, Snapshot};

use crate::Folders;

fn snapshot(folders: &Folders, path: &str) -> Snapshot {
    folders.roots.read(&folders.roots.locate(path).unwrap()).unwrap()
}

fn edit(folders: &Folders, path: &str, text: &str) -> Change {
    Change::edit(&snapshot(folders, path), text.to_owned())
}

fn create(folders: &Folders, path: &str, text: &str) -> Change {
    Change::create(folders.roots.locate(path).unwrap(), text.to_owned())
}

#[test]
fn a_set_of_changes_is_applied_and_leaves_nothing_behind() {
    let folders = Folders::new();
    folders.write("a.txt", "one");
    folders.write("b.sh", "two");
    fs::set_permissions(folders.path("b.sh"), fs::Permissions::from_mode(0o751)).unwrap();
    let changes = [
        edit(&folders, "a.txt", "ONE"),
        edit(&folders, "b.sh", "TWO"),
        create(&folders, "new/deep/c.txt", "three"),
        create(&folders, "new/deep/d.txt", ""),
    ];
    folders.roots.apply(&changes).unwrap();
    assert_eq!((folders.text("a.txt"), folders.text("b.sh")), ("ONE".to_owned(), "TWO".to_owned()));
    assert_eq!(
        (folders.text("new/deep/c.txt"), folders.text("new/deep/d.txt")),
        ("three".to_owned(), String::new())
    );
    let mode = fs::metadata(folders.path("b.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o751);
    assert_eq!(folders.names(), ["a.txt", "b.sh", "new"]);
    assert_eq!(crate::names(&folders.path("new/deep")), ["c.txt", "d.txt"]);
}

#[test]
fn a_file_that_changed_since_it_was_read_is_refused() {
    let folders = Folders::new();
    folders.write("a.txt", "one");
    let change = edit(&folders, "a.txt", "ONE");
    folders.write("a.txt", "won");
    assert_eq!(
        folders.roots.apply(std::slice::from_ref(&change)).unwrap_err().error.problem,
        Problem::Changed
    );
    assert_eq!(folders.text("a.txt"), "won");
    fs::remove_file(folders.path("a.txt")).unwrap();
    assert_eq!(
        folders.roots.apply(std::slice::from_ref(&change)).unwrap_err().error.problem,
        Problem::Changed
    );
    // The same content again is what was read, whoever wrote it.
    folders.write("a.txt", "one");
    folders.roots.apply(&[change]).unwrap();
    assert_eq!(folders.text("a.txt"), "ONE");
}

#[test]
fn if_one_change_is_refused_none_is_applied() {
    let folders = Folders::new();
    folders.write("a.txt", "one");
    folders.write("b.txt", "two");
    let changes = [
        create(&folders, "new/c.txt", "three"),
        edit(&folders, "a.txt", "ONE"),
        edit(&folders, "b.txt", "TWO"),
    ];
    folders.write("b.txt", "won");
    let error = folders.roots.apply(&changes).unwrap_err();
    assert_eq!((error.error.path.as_str(), &error.error.problem), ("b.txt", &Problem::Changed));
    assert!(error.left_changed.is_empty());
    assert_eq!(folders.text("a.txt"), "one");
    assert_eq!(folders.names(), ["a.txt", "b.txt"]);
}

#[test]
fn a_new_file_replaces_none() {
    let folders = Folders::new();
    folders.write("a.txt", "one");
    let error = folders.roots.apply(&[create(&folders, "a.txt", "x")]).unwrap_err();
    assert_eq!(error.error.problem, Problem::Exists);
    assert_eq!(folders.text("a.txt"), "one");
}

#[test]
fn write_protected_long_and_doubled_changes_are_refused() {
    let folders = Folders::with(Options { max_file_bytes: 10, ..Options::default() });
    folders.write("a.txt", "one");
    let long = edit(&folders, "a.txt", "12345678901");
    let problem = |changes: &[Change]| folders.roots.apply(changes).unwrap_err().error.problem;
    assert_eq!(problem(&[long]), Problem::TooLarge { n_bytes: 11, limit_bytes: 10 });
    assert_eq!(problem(&[edit(&folders, "a.txt", "1"), edit(&folders, "./a.txt", "2")]), Problem::Twice);
    fs::set_permissions(folders.path("a.txt"), fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(problem(&[edit(&folders, "a.txt", "1")]), Problem::WriteProtected);
    assert_eq!(folders.names(), ["a.txt"]);
    assert_eq!(folders.text("a.txt"), "one");
}

#[test]
fn a_change_does_not_reach_the_other_name_of_a_file() {
    let folders = Folders::new();
    folders.write("a.txt", "one");
    fs::hard_link(folders.path("a.txt"), folders.outside().join("same.txt")).unwrap();
    folders.roots.apply(&[edit(&folders, "a.txt", "ONE")]).unwrap();
    assert_eq!(fs::read_to_string(folders.outside().join("same.txt")).unwrap(), "one");
}

#[test]
fn someone_who_writes_at_the_same_time_never_loses_a_whole_file() {
    let folders = Folders::new();
    folders.write("a.txt", "0");
    // Both replace the file by renaming; each writes only a text that is greater than the one it read.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                let before = snapshot(&folders, "a.txt");
                let next = before.text.parse::<u64>().unwrap() + 1;
                let _ = folders.roots.apply(&[Change::edit(&before, next.to_string())]);
            }
        });
        let mut n_applied = 0;
        for _ in 0..100 {
            let before = snapshot(&folders, "a.txt");
            let next = before.text.parse::<u64>().unwrap() + 1;
            n_applied += u64::from(folders.roots.apply(&[Change::edit(&before, next.to_string())]).is_ok());
        }
        assert!(n_applied > 0);
    });
    assert_eq!(folders.names(), ["a.txt"]);
}
