//! The clients in `protocol/examples/`, run as users run them: they print the worker's text.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Worker, repository, tiny_model};

/// Texts with all characters that are difficult to quote. The model's answers have quotes, backslashes, line ends and
/// control characters, which few prefixes cause.
const PREFIXES: [&str; 2] = [
    "print(\"a\\tb\")\t# \"434%\" \\n $HOME `x` naïve 🍕\r\n    return ",
    "print(\"a\\tb\")\t# \"648%\" \\n $HOME `x` naïve 🍕\r\n    return ",
];
const SUFFIX: &str = "\n\n'end'\\\n";

/// Runs an example with the tiny model.
fn run(interpreter: &str, example: &str, args: &[&str]) -> Output {
    run_with(tiny_model::folder(), interpreter, example, args)
}

fn run_with(model: &Path, interpreter: &str, example: &str, args: &[&str]) -> Output {
    Command::new(interpreter)
        .arg(repository().join("protocol/examples").join(example))
        .args(args)
        .env("RUNABOUT", env!("CARGO_BIN_EXE_runabout"))
        .env("RUNABOUT_MODEL", model)
        .output()
        .unwrap_or_else(|e| {
            panic!("`{interpreter}`, which the tests of the examples need, cannot be started: {e}")
        })
}

/// Compares an example's output with the text of a direct call.
fn check(interpreter: &str, example: &str) {
    let mut worker = Worker::tiny();
    for prefix in PREFIXES {
        let params = json!({"prefix": prefix, "suffix": SUFFIX, "stop": ["\n\n"], "max_tokens": 64});
        let expected = worker.call("complete", &params)["text"].as_str().unwrap().to_owned();
        assert!(!expected.is_empty());
        let output = run(interpreter, example, &[prefix, SUFFIX]);
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{expected}\n"), "{log}");
        assert!(output.status.success(), "{}: {log}", output.status);
    }

    let output = run(interpreter, example, &[]);
    assert!(output.status.success() && output.stdout.len() > 1, "without arguments: {output:?}");

    let output = run_with(Path::new("/nowhere"), interpreter, example, &[]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && log.contains("/nowhere"), "without a model: {output:?}");
}

#[test]
fn the_python_example_prints_the_workers_text() {
    check("python3", "complete.py");
}

#[test]
fn the_node_example_prints_the_workers_text() {
    check("node", "complete.mjs");
}

#[test]
fn the_errand_prints_a_line_of_json_for_each_entry_of_the_log() {
    // The tiny model's answers have the form, or are cut off.
    let output = Command::new("python3")
        .arg(repository().join("protocol/examples/extract.py"))
        .env("PYTHONPATH", repository().join("protocol/clients/python/src"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("RUNABOUT", env!("CARGO_BIN_EXE_runabout"))
        .env("RUNABOUT_MODEL", tiny_model::folder())
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && log.contains("6 entries"), "{log}");
    let lines: Vec<Value> = output
        .stdout
        .split(|it| *it == b'\n')
        .filter(|it| !it.is_empty())
        .map(|it| serde_json::from_slice(it).unwrap())
        .collect();
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert!(lines.iter().all(|it| it.get("problem").is_some() || it.get("error").is_some()), "{lines:?}");
}

#[test]
fn the_shell_example_prints_the_workers_text() {
    check("sh", "complete.sh");
}
