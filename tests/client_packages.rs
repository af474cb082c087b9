//! The client libraries in `protocol/clients/`: their types are those of the schema, and the Python one works with the
//! worker.
//!
//! Each has more tests, with a real model, which its `test` script runs.

use std::process::{Command, Output};

use crate::support::{repository, tiny_model};

/// The tests of the Python client that are run here, by parts of their names: one of each kind of request, and of each
/// way in which a request or a worker can end.
const PYTHON_TESTS: [&str; 9] = [
    "Parts",
    "a_completion_is_the_same",
    "a_conversation_goes_on",
    "an_answer_with_a_schema",
    "a_call_that_is_required",
    "next_edits_are_predicted",
    "a_stream_is_cancelled",
    "a_killed_worker",
    "ctrl_c",
];

fn python(args: &[&str]) -> Output {
    let clients = repository().join("protocol/clients");
    Command::new("python3")
        .args(args)
        .current_dir(&clients)
        .env("PYTHONPATH", clients.join("python/src"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("RUNABOUT", env!("CARGO_BIN_EXE_runabout"))
        .env("RUNABOUT_TOOL_MODEL", tiny_model::folder())
        .env("RUNABOUT_TEST_MODEL", tiny_model::slow_folder())
        .output()
        .unwrap_or_else(|e| panic!("`python3`, which the tests of the clients need, cannot be started: {e}"))
}

#[test]
fn the_types_of_the_clients_are_those_of_the_schema() {
    let output = python(&["generate.py", "--check"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_python_client_works_with_the_worker() {
    let chosen = PYTHON_TESTS.iter().flat_map(|it| ["-k", it]);
    let args: Vec<&str> = ["-m", "unittest", "discover", "--start-directory", "python/tests"]
        .into_iter()
        .chain(chosen)
        .collect();
    let output = python(&args);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert!(!log.contains("Ran 0 tests"), "{log}");
}
