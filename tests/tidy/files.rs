//! Rules for one file at a time: length, header, name, and what its text may not contain.

use std::path::Path;

use crate::workspace::File;

/// Stems of file names that say nothing about what the file holds.
const EMPTY_NAMES: [&str; 8] = ["mod", "util", "utils", "common", "helper", "helpers", "types", "misc"];

/// Folders that have something different in them on each machine, so that a path into one is valid on one machine only.
/// Written in parts, so that this file contains no such path itself.
const FOLDERS_OF_A_MACHINE: [[&str; 3]; 5] = [
    ["/", "home", "/"],
    ["/", "root", "/"],
    ["/", "Users", "/"],
    ["/", "work", "/"],
    ["C:\\", "Users", "\\"],
];

/// Hosts that URLs may name: public documentation, model hubs and the local machine. Package indexes are not among
/// them: pip, npm and cargo use the one that the user has configured.
const HOSTS: [&str; 15] = [
    "127.0.0.1",
    "localhost",
    "agentclientprotocol.com",
    "arxiv.org",
    "doc.rust-lang.org",
    "docs.rs",
    "github.com",
    "huggingface.co",
    "json-schema.org",
    "microsoft.github.io",
    "modelcontextprotocol.io",
    "www.apache.org",
    "www.jsonrpc.org",
    "www.w3.org",
    "www.rfc-editor.org",
];

/// Hosts that the tests of URL parsing use, besides those under `.example`.
const HOSTS_IN_TESTS: [&str; 4] = ["a", "c", "evil", "mirror"];

/// Finds Rust files with more than `most` lines that are not in `exceptions` (pairs of a path and a reason), and
/// exceptions whose file is not that long.
pub(crate) fn too_long(files: &[File], most: usize, exceptions: &[(&str, &str)]) -> Vec<String> {
    let is_long = |file: &&File| is_rust(file) && file.text.lines().count() > most;
    let excepted = |path: &str| exceptions.iter().any(|(it, reason)| *it == path && !reason.is_empty());
    let long = files.iter().filter(is_long).filter(|file| !excepted(&file.path)).map(|file| {
        format!(
            "{}: has {} lines, more than {most}; split it by what it holds",
            file.path,
            file.text.lines().count()
        )
    });
    let idle = exceptions
        .iter()
        .filter(|(path, _)| !files.iter().filter(is_long).any(|file| file.path == *path))
        .map(|(path, _)| format!("{path}: is listed as a long file, but is none"));
    long.chain(idle).collect()
}

/// Finds Rust files that do not start with a `//!` comment.
pub(crate) fn without_header(files: &[File]) -> Vec<String> {
    let bare = files.iter().filter(|file| is_rust(file) && !file.text.starts_with("//! "));
    bare.map(|file| format!("{}: does not open with `//!` and what the file is", file.path)).collect()
}

/// Finds Rust files whose name does not say what they hold.
pub(crate) fn badly_named(files: &[File]) -> Vec<String> {
    let stem = |file: &&File| {
        file.path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")).map(str::to_owned)
    };
    let bad = files.iter().filter(|file| stem(file).is_some_and(|stem| EMPTY_NAMES.contains(&stem.as_str())));
    bad.map(|file| format!("{}: name it for what it holds; `foo/mod.rs` is `foo.rs` here", file.path))
        .collect()
}

/// Finds lines that name a folder of one machine or one person.
pub(crate) fn paths_of_a_machine(files: &[File]) -> Vec<String> {
    let folders = FOLDERS_OF_A_MACHINE.map(|parts| parts.concat());
    let found = |line: &str| {
        folders.iter().any(|folder| {
            line.match_indices(folder.as_str()).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                let after = line[at + folder.len()..].chars().next();
                // It must not be part of a longer path or URL, and a name must follow it.
                !before.is_some_and(|it| it.is_alphanumeric() || "._-~".contains(it))
                    && after.is_some_and(|it| it.is_alphanumeric() || "._".contains(it))
            })
        })
    };
    lines_with(files, |line| found(line).then(|| "names a folder of one machine".to_owned()))
}

/// Finds lines with a URL whose host is not on the list.
pub(crate) fn unknown_hosts(files: &[File]) -> Vec<String> {
    let unknown = |line: &str| {
        ["http://", "https://"].iter().find_map(|scheme| {
            line.match_indices(scheme)
                .map(|(at, _)| host(&line[at + scheme.len()..]))
                .find(|host| !is_known(host))
        })
    };
    lines_with(files, |line| {
        unknown(line).map(|host| format!("names the host `{host}`, which is not on the list"))
    })
}

/// The host of a URL, given the text after its scheme; empty if it is a placeholder that code fills in.
fn host(rest: &str) -> String {
    let authority: String =
        rest.chars().take_while(|it| it.is_alphanumeric() || ".-_@".contains(*it)).collect();
    authority.rsplit('@').next().unwrap_or_default().trim_end_matches('.').to_lowercase()
}

fn is_known(host: &str) -> bool {
    host.is_empty()
        || HOSTS.contains(&host)
        || HOSTS_IN_TESTS.contains(&host)
        // RFC 2606 reserves `.example`. It may be any label, since tests of attacks use it inside a longer host.
        || host.split('.').any(|label| label == "example")
}

fn lines_with(files: &[File], fault: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let of_file = |file: &File| -> Vec<String> {
        let lines = file.text.lines().enumerate();
        lines.filter_map(|(at, line)| Some(format!("{}:{}: {}", file.path, at + 1, fault(line)?))).collect()
    };
    files.iter().flat_map(of_file).collect()
}

fn is_rust(file: &File) -> bool {
    Path::new(&file.path).extension().is_some_and(|it| it == "rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> [File; 1] {
        [File { path: path.to_owned(), text: text.to_owned() }]
    }

    #[test]
    fn a_long_file_is_a_fault_unless_it_is_excepted_with_a_reason() {
        let long = file("src/a.rs", &"\n".repeat(11));
        assert_eq!(
            too_long(&long, 10, &[]),
            ["src/a.rs: has 11 lines, more than 10; split it by what it holds"]
        );
        assert_eq!(too_long(&long, 10, &[("src/a.rs", "")]).len(), 1);
        assert!(too_long(&long, 10, &[("src/a.rs", "a table")]).is_empty());
        assert!(too_long(&long, 11, &[]).is_empty());
    }

    #[test]
    fn an_exception_for_a_short_file_is_a_fault() {
        let faults = too_long(&file("src/a.rs", "\n"), 10, &[("src/a.rs", "a table")]);
        assert_eq!(faults, ["src/a.rs: is listed as a long file, but is none"]);
    }

    #[test]
    fn a_file_without_a_header_is_a_fault() {
        assert!(without_header(&file("a.rs", "//! What it is.\n")).is_empty());
        assert!(without_header(&file("a.py", "pass\n")).is_empty());
        assert_eq!(without_header(&file("a.rs", "//!\nuse b;\n")).len(), 1);
        assert_eq!(without_header(&file("a.rs", "use b;\n//! Too late.\n")).len(), 1);
    }

    #[test]
    fn a_name_that_says_nothing_is_a_fault() {
        assert!(badly_named(&file("src/model.rs", "")).is_empty());
        assert_eq!(badly_named(&file("src/model/mod.rs", "")).len(), 1);
        assert_eq!(badly_named(&file("src/utils.rs", "")).len(), 1);
    }

    // The examples are assembled from parts, or this file would break the rule itself.
    #[test]
    fn a_path_of_a_machine_is_a_fault() {
        for parts in FOLDERS_OF_A_MACHINE {
            let text = format!("first\nlet path = \"{}ann\";\n", parts.concat());
            assert_eq!(paths_of_a_machine(&file("a.rs", &text)), ["a.rs:2: names a folder of one machine"]);
        }
    }

    #[test]
    fn a_path_in_a_longer_one_is_no_fault() {
        let (home, work) = (FOLDERS_OF_A_MACHINE[0].concat(), FOLDERS_OF_A_MACHINE[3].concat());
        let texts = [
            format!("/srv{home}ann"),
            format!("https://hub.example{work}item"),
            format!("`{home}`"),
            "/homes/ann".to_owned(),
        ];
        for text in texts {
            assert!(paths_of_a_machine(&file("a.rs", &text)).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_host_that_is_not_on_the_list_is_a_fault() {
        for host in ["index.corp.net", "user@index.corp.net:8080", "artifacts", "docs.rs.corp.net"] {
            let text = format!("see https:{}{host}/simple\n", "//");
            assert_eq!(unknown_hosts(&file("a.md", &text)).len(), 1, "{text}");
        }
    }

    #[test]
    fn hosts_of_documentation_and_of_tests_are_no_fault() {
        for text in
            ["https://docs.rs/syn", "(http://localhost:80)", "https://hub.example.evil", "http://{storage}"]
        {
            assert!(unknown_hosts(&file("a.md", text)).is_empty(), "{text}");
        }
    }
}
