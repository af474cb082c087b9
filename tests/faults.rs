//! What the system denies a process is told, and stops nothing that does not need it. `cargo xtask faults` tries more.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Framing, Worker, runabout, tiny_model};

/// The variables that say where a process may keep something.
const PLACES: [&str; 6] =
    ["HOME", "RUNABOUT_HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_DATA_HOME", "XDG_STATE_HOME"];

fn serve(model: &Path) -> Command {
    let mut command = runabout();
    command.args(["serve", "--offline", "--model"]).arg(model);
    command
}

#[test]
fn a_model_in_a_folder_is_served_where_no_folder_can_be_made() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody, not even root, can make a folder below a file.
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let mut denied = serve(tiny_model::folder());
    let mut without = serve(tiny_model::folder());
    for name in PLACES {
        denied.env(name, file.join("folder"));
        without.env_remove(name);
    }
    for command in [denied, without] {
        let mut worker = Worker::spawn(command, Framing::Lines);
        let params = json!({"prefix": "a", "max_tokens": 2});
        assert_eq!(worker.call("complete", &params)["finish_reason"], "length");
        worker.close_stdin();
        assert_eq!(worker.wait_for_exit().code(), Some(0));
    }
}

#[test]
fn what_is_in_the_store_is_listed_where_no_folder_can_be_made_and_the_reason_told_if_one_must_be() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let mut list = runabout();
    list.args(["models", "list", "--json"]).env("RUNABOUT_HOME", &missing).env("HF_HOME", &missing);
    let output = list.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!missing.exists(), "a list makes nothing");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let mut pull = runabout();
    pull.args(["models", "pull", "--offline", "smollm2-135m"]).env("RUNABOUT_HOME", file.join("home"));
    let output = pull.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot create `") && said.contains("file/home"), "{said}");
}

#[test]
fn a_log_that_cannot_be_written_ends_no_process() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = serve(tiny_model::folder());
    command.env("RUNABOUT_LOG", "trace");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(writer);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let request =
        json!({"jsonrpc": "2.0", "id": 1, "method": "complete", "params": {"prefix": "a", "max_tokens": 2}});
    stdin.write_all(format!("{request}\n").as_bytes()).unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let messages = stdout.lines().map(|it| serde_json::from_str::<Value>(&it.unwrap()).unwrap());
    let answer = messages.into_iter().find(|it| it["id"] == 1).expect("an answer");
    assert_eq!(answer["result"]["finish_reason"], "length", "{answer}");
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_error_that_cannot_be_written_keeps_its_exit_code() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = runabout().args(["models", "path", "no-such-model"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_process_that_may_open_too_few_files_says_so_and_how_many_it_needs() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 9; exec \"$@\"", "sh"]);
    let serve = serve(tiny_model::folder());
    command.arg(serve.get_program()).args(serve.get_args());
    let output = command.env("RUNABOUT_ALONE", "1").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("must be allowed to open 8 more files"), "{said}");
    assert!(said.contains("\nhint: raise the limit with `ulimit -n`"), "{said}");
}
