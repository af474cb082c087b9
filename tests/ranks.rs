//! One model in several processes on this machine: the same texts, and a clear end if one of them ends.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Framing, Worker, named_model, runabout, tiny_model};

/// A file with two hosts, with ports that were free.
fn hosts(folder: &Path, hosts: &Value) -> PathBuf {
    // The ring takes two ports, and ranks that are started by hand meet at the one before.
    let port = loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < 60_000 && (1..3).all(|it| TcpListener::bind(("127.0.0.1", port + it)).is_ok()) {
            break port + 1;
        }
    };
    let file = folder.join("hosts.json");
    std::fs::write(&file, json!({"port": port, "hosts": hosts}).to_string()).unwrap();
    file
}

fn both_here() -> Value {
    let here = json!({"ssh": "127.0.0.1", "ips": ["127.0.0.1"]});
    json!([here, here])
}

fn serve(model: &Path, hosts: &Path) -> Worker {
    Worker::serving(model, &["--threads", "1", "--hosts", hosts.to_str().unwrap()])
}

fn completion(prefix: &str, max_tokens: u32) -> Value {
    json!({"prefix": prefix, "mode": "raw", "max_tokens": max_tokens})
}

/// The processes with a part of this worker's model.
fn ranks_of(worker: &Worker) -> Vec<String> {
    let found = Command::new("pgrep").args(["-P", &worker.process_id().to_string()]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

/// Whether a process is there, and not only waits for somebody to ask how it ended.
fn runs(process: &str) -> bool {
    let state = Command::new("ps").args(["-o", "stat=", "-p", process]).output().unwrap().stdout;
    !state.is_empty() && !state.starts_with(b"Z")
}

#[test]
fn two_processes_write_what_one_writes_beside_other_requests_and_from_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let model = named_model("smollm2-135m");
    let prompts =
        ["def fibonacci(n):\n", "def fibonacci(n):\n    if n", "// A list of\n"].map(|it| completion(it, 12));
    let mut alone = Worker::serving(&model, &["--threads", "1"]);
    let expected = prompts.each_ref().map(|it| alone.call("complete", it)["text"].clone());
    drop(alone);
    let mut worker = serve(&model, &hosts(folder.path(), &both_here()));
    for _ in 0..2 {
        let ids = prompts.each_ref().map(|it| worker.request("complete", it));
        let texts = ids.map(|it| worker.result(it)["text"].take());
        assert_eq!(texts, expected);
    }
    let status = worker.call("status", &json!({}));
    assert_eq!(status["model"]["name"], "smollm2-135m", "{status}");
    worker.close_stdin();
    assert_eq!(worker.wait_for_exit().code(), Some(0));
}

#[test]
fn a_process_that_is_killed_ends_the_model_with_an_error_and_leaves_none_behind() {
    for rank in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        let mut worker = serve(tiny_model::slow_folder(), &hosts(folder.path(), &both_here()));
        let id = worker.request("complete", &crate::support::endless("a"));
        worker.wait_for_delta(id);
        let ranks = ranks_of(&worker);
        assert_eq!(ranks.len(), 2, "{}", worker.log());
        assert!(Command::new("kill").args(["-KILL", &ranks[rank]]).status().unwrap().success());
        let error = worker.error(id);
        assert_eq!(error["data"]["kind"], "generation_failed", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&format!("rank {rank} (127.0.0.1) has")), "{message}");
        assert_eq!(worker.wait_for_exit().code(), Some(70));
        for rank in ranks {
            let deadline = Instant::now() + Duration::from_mins(1);
            while runs(&rank) {
                assert!(Instant::now() < deadline, "process {rank} is left");
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

#[test]
fn a_process_that_is_started_by_hand_takes_part_and_one_with_another_file_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let by_hand = json!([{"ips": ["127.0.0.1"]}, {"ips": ["127.0.0.1"]}]);
    let file = hosts(folder.path(), &by_hand);
    let start = |file: &Path| -> Child {
        let mut command = runabout();
        command.arg("rank").arg("--hosts").arg(file).args(["--rank", "1"]);
        command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let other = folder.path().join("other.json");
    std::fs::write(&other, format!("{} ", std::fs::read_to_string(&file).unwrap())).unwrap();
    let refused = start(&other);
    let mut command = runabout();
    command.args(["serve", "--threads", "1", "--model"]).arg(tiny_model::folder()).arg("--hosts").arg(&file);
    let mut worker = Worker::spawn(command, Framing::Lines);
    let id = worker.request("complete", &completion("a", 3));
    let refused = refused.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("the hosts files differ"), "{said}");
    let mut rank = start(&file);
    assert!(worker.result(id)["text"].is_string());
    worker.close_stdin();
    assert_eq!(worker.wait_for_exit().code(), Some(0));
    // It ends with the one that leads.
    assert_eq!(rank.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_divided_or_read_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let here = &both_here()[0];
    let file = hosts(folder.path(), &json!([here, here, here]));
    let mut worker = serve(tiny_model::folder(), &file);
    let error = worker.call_error("complete", &completion("a", 3));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("cannot be divided among 3 processes: it has 2 key-value heads"), "{message}");
    std::fs::write(&file, "[]").unwrap();
    let mut worker = serve(tiny_model::folder(), &file);
    let error = worker.call_error("complete", &completion("a", 3));
    assert!(error["message"].as_str().unwrap().contains("expected at least 2 hosts"), "{error}");
}
