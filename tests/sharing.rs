//! One process with the model for several front ends, which are real programs over pipes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Framing, Worker, endless, runabout, tiny_model};

/// A person with a folder for sockets.
struct Person {
    runtime: TempDir,
}

impl Person {
    fn new() -> Self {
        let runtime = tempfile::tempdir().unwrap();
        Self { runtime }
    }

    /// A front end that shares its model. The process that has it ends with the last of them.
    fn command(&self, service: &str, model: &Path, args: &[&str]) -> Command {
        let mut command = runabout();
        command.args([service, "--linger", "0", "--model"]).arg(model).args(args);
        command.env("XDG_RUNTIME_DIR", self.runtime.path()).env_remove("RUNABOUT_ALONE");
        command
    }

    fn serve(&self, model: &Path, args: &[&str]) -> Worker {
        Worker::spawn(self.command("serve", model, args), Framing::Lines)
    }

    fn tiny(&self) -> Worker {
        self.serve(tiny_model::folder(), &[])
    }

    fn slow(&self) -> Worker {
        self.serve(tiny_model::slow_folder(), &[])
    }

    /// The processes that share a model: their numbers, and whom they serve.
    fn shared(&self) -> Vec<(u32, String)> {
        let mut command = runabout();
        command.args(["doctor", "--no-model", "--offline", "--json"]);
        let output = command.env("XDG_RUNTIME_DIR", self.runtime.path()).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap().iter().filter(|it| it["name"] == "shared");
        let found = checks.map(|it| it["found"].as_str().unwrap());
        let parse = |it: &str| {
            let (pid, rest) = it.strip_prefix("process ").unwrap().split_once(" has ").unwrap();
            (pid.parse().unwrap(), rest.split_once(" for ").unwrap().1.to_owned())
        };
        found.map(parse).collect()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        // Processes whose test has failed.
        for (pid, _) in self.shared() {
            kill("-TERM", pid);
        }
    }
}

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").arg(signal).arg(pid.to_string()).status().unwrap().success());
}

/// The clients of the process that serves this one, as it lists them: command and number.
fn clients(worker: &mut Worker) -> Vec<(String, u32)> {
    let status = worker.call("status", &json!({}));
    let number = |it: &Value| u32::try_from(it["pid"].as_u64().unwrap()).unwrap();
    let clients = status["clients"].as_array().unwrap().iter();
    clients.map(|it| (it["command"].as_str().unwrap().to_owned(), number(it))).collect()
}

/// Asks until it is so. The deadline is no measure of speed: it is far above what the slowest machine needs.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not in time");
    }
}

fn wait_for_clients(worker: &mut Worker, n: usize) {
    wait_until("the number of clients", || clients(worker).len() == n);
}

fn complete(worker: &mut Worker) -> String {
    let params = json!({"prefix": "let a", "mode": "raw", "max_tokens": 8, "temperature": 0});
    worker.call("complete", &params)["text"].as_str().unwrap().to_owned()
}

#[test]
fn front_ends_of_all_kinds_share_a_process_and_get_what_they_get_alone() {
    let person = Person::new();
    let mut first = person.tiny();
    let text = complete(&mut first);
    assert_eq!(text, complete(&mut Worker::tiny()));
    let mut second = person.tiny();
    assert_eq!(complete(&mut second), text);

    let mut agent =
        Worker::spawn(person.command("mcp", tiny_model::folder(), &["--root", "."]), Framing::Lines);
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    agent.call("initialize", &hello);
    let status = agent.call("tools/call", &json!({"name": "status", "arguments": {}}));
    let status = &status["structuredContent"];
    // Roots are those of the front end and not of the process that serves it.
    let here = std::env::current_dir().unwrap();
    assert_eq!((&status["clients"], &status["roots"]), (&json!(3), &json!([here])));

    let mut editor = Worker::spawn(person.command("lsp", tiny_model::folder(), &[]), Framing::Headers);
    let about = editor.call("initialize", &json!({"capabilities": {}, "processId": null}));
    assert_eq!(about["serverInfo"]["name"], "runabout");
    let pids: Vec<_> = [&first, &second, &agent, &editor].map(Worker::process_id).into();
    let commands = ["serve", "serve", "mcp", "lsp"].map(str::to_owned);
    assert_eq!(clients(&mut first), commands.into_iter().zip(pids).collect::<Vec<_>>());
    let [(pid, served)] = person.shared().try_into().unwrap();
    assert_eq!(served, "serve, serve, mcp, lsp");
    assert_ne!(pid, first.process_id());

    // Those that leave are no longer there, and the others are.
    for mut leaving in [second, agent, editor] {
        leaving.close_stdin();
        assert_eq!(leaving.wait_for_exit().code(), Some(0));
    }
    wait_for_clients(&mut first, 1);
    assert_eq!(complete(&mut first), text);
}

#[test]
fn front_ends_that_start_at_the_same_time_find_each_other() {
    let person = Person::new();
    let mut workers: Vec<_> = (0..6).map(|_| person.tiny()).collect();
    let n = workers.len();
    for worker in &mut workers {
        wait_for_clients(worker, n);
    }
    assert_eq!(person.shared().len(), 1);
}

#[test]
fn other_options_have_another_process() {
    let person = Person::new();
    let mut usual = person.tiny();
    let mut other = person.serve(tiny_model::folder(), &["--max-queued", "7"]);
    assert_eq!((clients(&mut usual).len(), clients(&mut other).len()), (1, 1));
    assert_eq!(person.shared().len(), 2);
}

#[test]
fn requests_of_two_clients_with_the_same_id_have_nothing_to_do_with_each_other() {
    let person = Person::new();
    let (mut first, mut second) = (person.slow(), person.slow());
    let ids = [&mut first, &mut second].map(|it| {
        let id = it.request("complete", &endless("a"));
        it.wait_for_delta(id);
        id
    });
    assert_eq!(ids[0], ids[1]);
    first.call("cancel", &json!({"id": ids[0]}));
    assert_eq!(first.result(ids[0])["finish_reason"], "cancelled");
    second.call("status", &json!({}));
    second.assert_unanswered(ids[1]);
    second.call("cancel", &json!({"id": ids[1]}));
    assert_eq!(second.result(ids[1])["finish_reason"], "cancelled");
}

#[test]
fn what_a_killed_client_wanted_ends_and_nobody_else_notices() {
    let person = Person::new();
    let (mut killed, mut other) = (person.slow(), person.slow());
    let id = killed.request("complete", &endless("a"));
    killed.wait_for_delta(id);
    kill("-KILL", killed.process_id());
    wait_for_clients(&mut other, 1);
    wait_until("nothing runs", || other.call("status", &json!({}))["queue"]["running"] == 0);
    let id = other.request("complete", &endless("a"));
    other.wait_for_delta(id);
}

#[test]
fn clients_are_answered_to_the_end_by_a_process_that_cannot_clear_its_place() {
    let person = Person::new();
    let mut worker = person.slow();
    let id = worker.request("complete", &endless("a"));
    worker.wait_for_delta(id);
    let [(pid, _)] = person.shared().try_into().unwrap();
    fs::remove_dir_all(person.runtime.path().join("runabout")).unwrap();
    kill("-TERM", pid);
    assert_eq!(worker.result(id)["finish_reason"], "cancelled");
    assert_eq!(worker.wait_for_exit().code(), Some(0));
}

#[test]
fn a_client_that_floods_the_process_is_refused_and_another_one_is_not() {
    let person = Person::new();
    let arguments = ["--max-queued", "4", "--max-running", "2"];
    let mut flooding = person.serve(tiny_model::slow_folder(), &arguments);
    let mut other = person.serve(tiny_model::slow_folder(), &arguments);
    let flood = |params: &Value| {
        let mut params = params.clone();
        params["priority"] = json!("background");
        params
    };
    for i in 0..12 {
        flooding.request("complete", &flood(&endless(&format!("{i}"))));
    }
    flooding.wait_for("a refusal", |it| it["error"]["data"]["kind"] == "overloaded");
    // Background work of another client neither waits for its end nor is refused.
    let id = other.request("complete", &flood(&endless("a")));
    other.wait_for_delta(id);
}

#[test]
fn a_client_that_is_stopped_for_a_while_disturbs_nobody_and_misses_nothing() {
    let person = Person::new();
    let (mut stopped, mut other) = (person.slow(), person.slow());
    let some = |n: u32| json!({"prefix": "a", "mode": "raw", "max_tokens": n, "speculation": "off"});
    let id = stopped.request("complete", &some(40));
    stopped.wait_for_delta(id);
    kill("-STOP", stopped.process_id());
    for _ in 0..3 {
        assert_eq!(other.call("complete", &some(10))["usage"]["completion_tokens"], 10);
    }
    kill("-CONT", stopped.process_id());
    let result = stopped.result(id);
    assert_eq!(result["usage"]["completion_tokens"], 40, "{result}");
    assert_eq!(result["text"], stopped.streamed_text(id));
}

#[test]
fn codes_of_the_end_are_those_of_a_process_alone() {
    let person = Person::new();
    let mut staying = person.tiny();
    let mut polite = person.tiny();
    polite.call("shutdown", &json!({}));
    polite.notify("exit", &json!({}));
    assert_eq!(polite.wait_for_exit().code(), Some(0));
    let mut hasty = person.tiny();
    hasty.call("status", &json!({}));
    hasty.notify("exit", &json!({}));
    assert_eq!(hasty.wait_for_exit().code(), Some(1));

    let mut asked = person.tiny();
    asked.call("status", &json!({}));
    kill("-TERM", asked.process_id());
    assert_eq!(asked.wait_for_exit().code(), Some(0));
    wait_for_clients(&mut staying, 1);
}

#[test]
fn the_end_of_stdin_cancels_and_answers_what_still_runs() {
    let person = Person::new();
    let mut worker = person.slow();
    let id = worker.request("complete", &endless("a"));
    worker.wait_for_delta(id);
    worker.close_stdin();
    assert_eq!(worker.wait_for_exit().code(), Some(0));
    let answers: Vec<_> = worker.remaining().into_iter().filter(|it| it["id"] == id).collect();
    assert_eq!((answers.len(), &answers[0]["result"]["finish_reason"]), (1, &json!("cancelled")));
}

#[test]
fn after_a_crash_of_the_shared_process_the_next_front_end_starts_another() {
    let person = Person::new();
    let mut workers = [person.slow(), person.slow()];
    let id = workers[0].request("complete", &endless("a"));
    workers[0].wait_for_delta(id);
    wait_for_clients(&mut workers[1], 2);
    let [(pid, _)] = person.shared().try_into().unwrap();
    kill("-KILL", pid);
    for worker in &mut workers {
        assert_eq!(worker.wait_for_exit().code(), Some(70));
        assert!(worker.log().contains("ended unexpectedly"), "{}", worker.log());
    }
    let mut next = person.slow();
    assert_eq!(clients(&mut next), [("serve".to_owned(), next.process_id())]);
}

#[test]
fn a_shared_process_that_is_told_to_stop_ends_its_connections_in_order() {
    let person = Person::new();
    let mut worker = person.slow();
    let id = worker.request("complete", &endless("a"));
    worker.wait_for_delta(id);
    let [(pid, _)] = person.shared().try_into().unwrap();
    kill("-TERM", pid);
    assert_eq!(worker.wait_for_exit().code(), Some(0));
    let answers: Vec<_> = worker.remaining().into_iter().filter(|it| it["id"] == id).collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[test]
fn the_shared_process_ends_when_nobody_needs_it() {
    let person = Person::new();
    let mut worker = person.tiny();
    worker.call("status", &json!({}));
    assert_eq!(person.shared().len(), 1);
    worker.close_stdin();
    worker.wait_for_exit();
    wait_until("the process ends", || person.shared().is_empty());
}

#[test]
fn a_model_that_could_not_be_loaded_is_tried_again_by_the_next_front_end() {
    let person = Person::new();
    let home = tempfile::tempdir().unwrap();
    let model = home.path().join("model");
    std::fs::create_dir(&model).unwrap();
    let mut failed = person.serve(&model, &[]);
    let error = failed.call_error("complete", &json!({"prefix": "a"}));
    assert_eq!(error["data"]["kind"], "model_load_failed", "{error}");
    for entry in std::fs::read_dir(tiny_model::folder()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, model.join(path.file_name().unwrap())).unwrap();
    }
    // The process that has failed may be found for a moment longer.
    let loaded = || {
        let mut next = person.serve(&model, &[]);
        let id = next.request("complete", &json!({"prefix": "a", "max_tokens": 1}));
        next.response(id)["result"].is_object()
    };
    wait_until("the model is loaded", loaded);
    // Whoever is still there is told what he was told.
    assert_eq!(failed.call("status", &json!({}))["state"], "failed");
}

#[test]
fn a_model_that_cannot_be_named_is_refused_at_once_and_nothing_is_started() {
    let person = Person::new();
    let output = person.command("serve", Path::new("no-such-model"), &[]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("runabout: `no-such-model`"), "{said}");
    assert!(!person.runtime.path().join("runabout").exists());
}

#[test]
fn a_folder_that_others_can_open_is_not_used_and_the_client_is_served_alone() {
    let person = Person::new();
    let folder = person.runtime.path().join("runabout");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut worker = person.tiny();
    complete(&mut worker);
    assert!(worker.log().contains("only you can open"), "{}", worker.log());
    assert_eq!(clients(&mut worker), [("serve".to_owned(), worker.process_id())]);
    assert!(person.shared().is_empty());
}
