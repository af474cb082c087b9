//! Paths and files that must be refused: nothing outside the root is read or written, nothing blocks, and each has an
//! error of its own.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use runabout_files::{Change, Options, Problem, Roots};
use rustix::fs::{CWD, Mode, RenameFlags, mkfifoat, renameat_with};

use crate::{Folders, OUTSIDE, names};

#[test]
fn paths_that_lead_out_are_refused() {
    let folders = Folders::new();
    folders.write("a/b.txt", "b");
    let absolute = folders.outside().join("secret.txt").display().to_string();
    let twisted = format!("{}/../outside/secret.txt", folders.path("").display());
    for (path, problem) in [
        ("../outside/secret.txt", Problem::ParentName),
        ("a/../../outside/secret.txt", Problem::ParentName),
        ("a/../a/b.txt", Problem::ParentName),
        (&absolute, Problem::Outside),
        (&twisted, Problem::ParentName),
        ("/etc/passwd", Problem::Outside),
        ("", Problem::InvalidPath),
        ("a\0b", Problem::InvalidPath),
        (".", Problem::Directory),
        ("a", Problem::Directory),
        ("a/b.txt/c", Problem::NotADirectory),
        ("none/c", Problem::NotFound),
    ] {
        assert_eq!(folders.read(path), Err(problem), "{path:?}");
    }
    let inside = folders.path("a/b.txt").display().to_string();
    assert_eq!(folders.read(&inside).as_deref(), Ok("b"));
}

#[test]
fn links_are_followed_inside_the_root_and_never_out() {
    let folders = Folders::new();
    folders.write("a/b.txt", "b");
    folders.write(".env", "TOKEN=1");
    folders.write(".git/config", "[core]");
    for (target, link) in [
        ("a/b.txt", "in"),
        ("../a/./b.txt", "a/up"),
        ("a", "dir"),
        ("../outside/secret.txt", "out"),
        ("../outside", "out_dir"),
        ("a/../../outside/secret.txt", "twisted"),
        ("/etc/passwd", "absolute"),
        ("loop", "loop"),
        (".env", "harmless.txt"),
        (".git", "plain"),
        ("a/..", "self"),
        ("nowhere", "dangling"),
    ] {
        symlink(target, folders.path(link)).unwrap();
    }
    symlink(folders.path("a/b.txt"), folders.path("absolute_in")).unwrap();
    for path in ["in", "a/up", "dir/b.txt", "self/a/b.txt"] {
        assert_eq!(folders.read(path).as_deref(), Ok("b"), "{path}");
    }
    for (path, problem) in [
        ("out", Problem::LinkOut),
        ("out_dir/secret.txt", Problem::LinkOut),
        ("twisted", Problem::LinkOut),
        ("absolute", Problem::LinkOut),
        ("absolute_in", Problem::LinkOut),
        ("loop", Problem::TooManyLinks),
        ("harmless.txt", Problem::Secret),
        ("plain/config", Problem::VersionControl),
        ("self", Problem::Directory),
        ("dangling", Problem::NotFound),
    ] {
        assert_eq!(folders.read(path), Err(problem), "{path}");
    }
    // Globs pass over links, so that nothing is found twice or elsewhere.
    assert_eq!(folders.find(&["**"]), ["a/b.txt"]);
}

#[test]
fn nothing_is_written_through_links() {
    let folders = Folders::new();
    folders.write("a/b.txt", "b");
    let snapshot = folders.roots.read(&folders.roots.locate("a/b.txt").unwrap()).unwrap();
    symlink("a", folders.path("dir")).unwrap();
    symlink("../outside", folders.path("out_dir")).unwrap();
    symlink("../outside/new.txt", folders.path("out")).unwrap();
    for path in ["dir/new.txt", "out_dir/new.txt", "out"] {
        let change = Change::create(folders.roots.locate(path).unwrap(), "x".to_owned());
        assert_eq!(folders.roots.apply(&[change]).unwrap_err().error.problem, Problem::ThroughLink, "{path}");
    }
    fs::remove_file(folders.path("a/b.txt")).unwrap();
    symlink("../../outside/secret.txt", folders.path("a/b.txt")).unwrap();
    let change = Change::edit(&snapshot, "x".to_owned());
    assert_eq!(folders.roots.apply(&[change]).unwrap_err().error.problem, Problem::ThroughLink);
    assert_eq!(names(&folders.outside()), ["secret.txt"]);
    assert_eq!(fs::read_to_string(folders.outside().join("secret.txt")).unwrap(), OUTSIDE);
    assert_eq!(names(&folders.path("a")), ["b.txt"]);
}

#[test]
fn special_files_are_refused_without_waiting_for_them() {
    let folders = Folders::new();
    mkfifoat(CWD, folders.path("fifo"), Mode::from_raw_mode(0o600)).unwrap();
    let _listener = UnixListener::bind(folders.path("socket")).unwrap();
    assert_eq!(folders.read("fifo"), Err(Problem::Special { kind: "FIFO" }));
    assert_eq!(folders.read("socket"), Err(Problem::Special { kind: "socket" }));
    let devices = Roots::open(&["/dev".into()], Options::default()).unwrap();
    let null = devices.read(&devices.locate("/dev/null").unwrap()).unwrap_err();
    assert_eq!(null.problem, Problem::Special { kind: "device" });
    // Also where a glob meets them, and where an ignore file should be.
    mkfifoat(CWD, folders.path(".gitignore"), Mode::from_raw_mode(0o600)).unwrap();
    let found = folders.roots.find(&["*".to_owned()]).unwrap();
    assert_eq!((found.files.len(), found.left_out.len()), (0, 2));
}

#[test]
fn files_that_are_no_text_of_limited_size_are_refused() {
    let folders = Folders::with(Options { max_file_bytes: 10, ..Options::default() });
    let n_bytes = 2 << 30;
    File::create(folders.path("sparse")).unwrap().set_len(n_bytes).unwrap();
    folders.write("long", "12345678901");
    folders.write("binary", "a\0b");
    folders.write("latin1", b"caf\xe9");
    folders.write("full", "1234567890");
    assert_eq!(folders.read("sparse"), Err(Problem::TooLarge { n_bytes, limit_bytes: 10 }));
    assert_eq!(folders.read("long"), Err(Problem::TooLarge { n_bytes: 11, limit_bytes: 10 }));
    assert_eq!(folders.read("binary"), Err(Problem::Binary));
    assert_eq!(folders.read("latin1"), Err(Problem::NotUtf8 { at: 3 }));
    assert_eq!(folders.read("full").as_deref(), Ok("1234567890"));
}

#[test]
fn secrets_are_refused_unless_they_are_allowed() {
    let folders = Folders::new();
    folders.write(".env.local", "TOKEN=1");
    folders.write("keys/id_rsa", "x");
    folders.write("harmless.txt", format!("-----BEGIN RSA {}-----\n", "PRIVATE KEY"));
    for path in [".env.local", "keys/id_rsa", "harmless.txt"] {
        assert_eq!(folders.read(path), Err(Problem::Secret), "{path}");
    }
    let found = folders.roots.find(&["keys/*".to_owned()]).unwrap();
    assert_eq!((found.files.len(), found.left_out[0].problem.name()), (0, "secret"));
    let change = Change::create(folders.roots.locate(".env").unwrap(), String::new());
    assert_eq!(folders.roots.apply(&[change]).unwrap_err().error.problem, Problem::Secret);
    let options = Options { allow_secrets: true, ..Options::default() };
    let roots = Roots::open(&[folders.path("")], options).unwrap();
    assert_eq!(roots.read(&roots.locate(".env.local").unwrap()).unwrap().text, "TOKEN=1");
}

#[test]
fn a_root_that_is_a_link_is_resolved_once() {
    let folders = Folders::new();
    folders.write("a.txt", "inside");
    let link = folders.all.path().join("link");
    symlink("root", &link).unwrap();
    let roots = Roots::open(std::slice::from_ref(&link), Options::default()).unwrap();
    fs::remove_file(&link).unwrap();
    symlink("outside", &link).unwrap();
    // Both names of the root lead to the directory that was opened.
    for path in ["a.txt".into(), link.join("a.txt"), folders.path("a.txt")] {
        let located = roots.locate(path.to_str().unwrap()).unwrap();
        assert_eq!(roots.read(&located).unwrap().text, "inside");
    }
    let outside = roots.locate(link.join("secret.txt").to_str().unwrap()).unwrap();
    assert_eq!(roots.read(&outside).unwrap_err().problem, Problem::NotFound);
}

#[test]
fn a_file_that_is_swapped_for_a_link_never_shows_what_is_outside() {
    let folders = Folders::new();
    folders.write("a/file.txt", "inside");
    symlink("../../outside/secret.txt", folders.path("a/link")).unwrap();
    fs::create_dir(folders.path("b")).unwrap();
    symlink("../outside", folders.path("c")).unwrap();
    folders.write("b/secret.txt", "inside");
    let path = |name: &str| folders.roots.locate(name).unwrap();
    let (file, below) = (path("a/file.txt"), path("b/secret.txt"));
    let is_over = AtomicBool::new(false);
    let (mut n_read, mut n_refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let swap = |one: &str, other: &str| {
                let (one, other) = (folders.path(one), folders.path(other));
                // A change that is being applied may have the name just then.
                let _ = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
            };
            for _ in 0..8_000 {
                swap("a/file.txt", "a/link");
                swap("b", "c");
            }
            is_over.store(true, Ordering::Relaxed);
        });
        while !is_over.load(Ordering::Relaxed) {
            for path in [&file, &below] {
                match folders.roots.read(path) {
                    Ok(snapshot) => {
                        assert_eq!(snapshot.text, "inside");
                        n_read += 1;
                        let _ = folders.roots.apply(&[Change::edit(&snapshot, "inside".to_owned())]);
                    }
                    Err(error) => {
                        let is_named = matches!(error.problem, Problem::LinkOut | Problem::Changed);
                        assert!(is_named, "{error}");
                        n_refused += 1;
                    }
                }
            }
            let found = folders.roots.find(&["**".to_owned()]).unwrap();
            // Two names may be swapped between the looks at them, and then both lead inside.
            assert!(found.files.len() <= 4, "{found:?}");
        }
    });
    assert_eq!(names(&folders.outside()), ["secret.txt"]);
    assert_eq!(fs::read_to_string(folders.outside().join("secret.txt")).unwrap(), OUTSIDE);
    // The machine decides how often, but a race in which one side never won tested nothing.
    assert!(n_read > 0 && n_refused > 0, "{n_read} read, {n_refused} refused");
}
