//! Short forms of `cargo xtask soak`, `cargo xtask hostile` and `cargo xtask faults`, with the worker and the tool of the same
//! profile.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

/// What the tool says. It must succeed.
fn run(args: &[&str]) -> String {
    let tool = Path::new(env!("CARGO_BIN_EXE_xtask"));
    let worker = tool.with_file_name("runabout");
    assert!(worker.exists(), "`cargo build` makes the worker");
    let output = Command::new(tool).args(args).arg("--runabout").arg(&worker).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn generated_hostile_messages_get_their_answers() {
    let said = run(&["hostile", "--messages", "1000"]);
    assert!(said.starts_with("1000 hostile messages, "), "{said}");
}

#[test]
fn whatever_goes_wrong_around_the_worker_is_told_and_loses_nothing() {
    let few = [
        "--kills",
        "6",
        "--cancels",
        "24",
        "--files",
        "18",
        "--steps",
        "6",
        "--seconds",
        "1",
        "--model",
        "tiny",
    ];
    let said = run(&[&["faults"][..], &few].concat());
    assert!(said.lines().all(|it| it.starts_with("ok ") || it.starts_with("- ")), "{said}");
}

#[test]
fn nothing_is_lost_doubled_or_leaked_in_mixed_traffic() {
    let said = run(&["soak", "--seconds", "15"]);
    for name in ["serve: ", "mcp: "] {
        let line = said.lines().find_map(|it| it.strip_prefix(name)).unwrap();
        let n_requests: u64 = line.split(' ').next().unwrap().parse().unwrap();
        // How many more there are depends on the machine.
        assert!(n_requests > 1, "{said}");
    }
}
