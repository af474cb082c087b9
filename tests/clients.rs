//! Tests with client libraries of other projects.
//!
//! Their packages are installed in `target` from a lock file; the first time requires access to a registry.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use crate::support::{repository, tiny_model};

/// The lines that the script for VS Code's library prints, in this order.
const VSCODE_CHECKS: [&str; 7] = [
    "initialize",
    "complete streams the text of its result",
    "chat streams the message of its result",
    "a cancelled token ends a request with an error and the text so far",
    "the cancel method ends a request with a result and the text so far",
    "an error arrives with its data",
    "shutdown and exit end the worker",
];

/// The lines that the script for the MCP client prints, in this order.
const MCP_CHECKS: [&str; 6] = [
    "connect with 2026-07-28",
    "a call is answered, and its progress grows",
    "after a call was given up, the next one is answered",
    "connect with 2025-11-25",
    "a call is answered, and its progress grows",
    "after a call was given up, the next one is answered",
];

fn run(command: &mut Command) -> Output {
    let program = command.get_program().to_string_lossy().into_owned();
    command.output().unwrap_or_else(|e| {
        panic!("`{program}`, which the tests with other clients need, cannot be started: {e}")
    })
}

/// A folder with the scripts and the packages they use, which is made once.
fn installed() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(install);
    &FOLDER
}

fn install() -> PathBuf {
    let source = repository().join("tests/clients");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    std::fs::create_dir_all(&folder).unwrap();
    let copy = |name: &str| std::fs::copy(source.join(name), folder.join(name)).unwrap();
    copy("vscode_jsonrpc.mjs");
    copy("mcp_client.mjs");
    copy("package.json");
    // An installation writes this file last, so it exists only if everything does.
    let is_fresh = |stamp: &Path| {
        std::fs::read(stamp).is_ok_and(|it| it == std::fs::read(source.join("package-lock.json")).unwrap())
    };
    let stamp = folder.join("installed-lock.json");
    if !is_fresh(&stamp) {
        copy("package-lock.json");
        let output = run(Command::new("npm").args(["ci", "--ignore-scripts"]).current_dir(&folder));
        assert!(output.status.success(), "npm ci: {}", String::from_utf8_lossy(&output.stderr));
        std::fs::copy(source.join("package-lock.json"), stamp).unwrap();
    }
    folder
}

#[test]
fn the_json_rpc_library_of_vs_code_works_with_the_worker() {
    check("vscode_jsonrpc.mjs", &VSCODE_CHECKS);
}

#[test]
fn the_official_mcp_client_works_with_the_worker() {
    check("mcp_client.mjs", &MCP_CHECKS);
}

/// Runs a script, which must print these lines.
fn check(script: &str, expected: &[&str]) {
    let output = run(Command::new("node")
        .arg(installed().join(script))
        .arg(env!("CARGO_BIN_EXE_runabout"))
        .arg(tiny_model::slow_folder())
        .env("RUNABOUT_LOG", "warn"));
    let stdout = String::from_utf8_lossy(&output.stdout);
    let checks: Vec<&str> = stdout.lines().filter_map(|it| it.strip_prefix("ok: ")).collect();
    assert_eq!(checks, expected, "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_lock_file_names_hashes_and_no_registry() {
    let lock = std::fs::read_to_string(repository().join("tests/clients/package-lock.json")).unwrap();
    let lock: serde_json::Value = serde_json::from_str(&lock).unwrap();
    let packages = lock["packages"].as_object().unwrap().iter().filter(|(name, _)| !name.is_empty());
    let mut n_packages = 0;
    for (name, package) in packages {
        assert!(package["integrity"].is_string(), "{name} has no hash");
        assert!(package.get("resolved").is_none(), "{name} names a registry");
        n_packages += 1;
    }
    assert!(n_packages > 0);
}
