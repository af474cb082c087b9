//! `runabout models`: what is in the hub's cache and in the store, as people and scripts see it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::support::{runabout, tiny_model};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A home folder and a hub's cache, both empty.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = runabout();
        command.args(args).env("RUNABOUT_HOME", self.0.path().join("home")).env("HF_HOME", self.0.path());
        command.env("HF_HUB_OFFLINE", "1").env("RUNABOUT_LOG", "off").env_remove("HF_HUB_CACHE");
        command.stdin(std::process::Stdio::null()).output().unwrap()
    }

    fn output(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.output(args)).unwrap()
    }

    fn error(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Puts the tiny model into the hub's cache, as a program without links does, and returns its repository's folder.
    fn with_cached_model(&self) -> PathBuf {
        let repository = self.0.path().join("hub/models--owner--tiny");
        let snapshot = repository.join("snapshots").join(COMMIT);
        fs::create_dir_all(&snapshot).unwrap();
        tiny_model::write(&snapshot);
        fs::create_dir(repository.join("refs")).unwrap();
        fs::write(repository.join("refs/main"), COMMIT).unwrap();
        repository
    }
}

#[test]
fn a_model_of_the_hubs_cache_is_listed_described_and_used() {
    let it = Machine::new();
    it.with_cached_model();
    let list = it.json(&["models", "list", "--json"]);
    let model = &list["models"][0];
    assert_eq!(model["name"], "owner/tiny", "{list}");
    assert_eq!(model["architecture"], "llama");
    assert_eq!((&model["place"], &model["fim"]), (&"hub_cache".into(), &"qwen".into()));
    assert_eq!((&model["chat"], &model["runs"]), (&true.into(), &true.into()), "{model}");
    assert_eq!(model["context_tokens"], tiny_model::CONTEXT_TOKENS);
    assert_eq!(model["memory"]["fits"], true, "{model}");
    assert_eq!(list["available"][0]["name"], "smollm2-135m");
    let printed = it.output(&["models", "show", "owner/tiny"]);
    assert!(
        printed.contains("fill-in        yes, as qwen\n") && printed.contains("runs           yes\n"),
        "{printed}"
    );
    let text = it.output(&["generate", "--model", "owner/tiny", "--prompt", "x", "--max-tokens", "4"]);
    assert!(text.contains("Generation: 4 tokens"), "{text}");
    let path = it.output(&["models", "path", "owner/tiny"]);
    assert!(path.trim_end().ends_with(COMMIT), "{path}");
    assert_eq!(it.json(&["models", "verify", "owner/tiny", "--json"])["faults"], Value::Array(Vec::new()));
}

#[test]
fn a_model_that_does_not_run_is_listed_with_the_reason() {
    let it = Machine::new();
    let snapshot = it.with_cached_model().join("snapshots").join(COMMIT);
    fs::write(snapshot.join("config.json"), r#"{"model_type": "whisper"}"#).unwrap();
    let printed = it.output(&["models", "list"]);
    assert!(
        printed.contains("`owner/tiny` does not run: architecture `whisper` is not supported"),
        "{printed}"
    );
    fs::remove_file(snapshot.join("config.json")).unwrap();
    let printed = it.output(&["models", "list"]);
    assert!(
        printed.contains("`owner/tiny` does not run: ") && printed.contains("no `config.json`"),
        "{printed}"
    );
}

#[test]
fn a_removal_says_what_it_frees_and_needs_a_yes() {
    let it = Machine::new();
    let repository = it.with_cached_model();
    let refused = it.error(&["models", "rm", "owner/tiny"]);
    assert!(refused.contains("models--owner--tiny\n") && refused.contains("hint: `--yes`"), "{refused}");
    let planned = it.json(&["models", "rm", "owner/tiny", "--dry-run", "--json"]);
    assert!(planned["freed_bytes"].as_u64().unwrap() > 10_000 && repository.exists(), "{planned}");
    let absent = it.error(&["models", "rm", "owner/tiny", "owner/absent", "--yes"]);
    assert!(absent.contains("`owner/absent` is not on this machine") && repository.exists(), "{absent}");
    it.output(&["models", "remove", "owner/tiny", "-y"]);
    assert!(!repository.exists());
}

#[test]
fn what_nothing_needs_is_pruned() {
    let it = Machine::new();
    assert_eq!(it.output(&["models", "prune"]), "nothing to remove\n");
    let repository = it.with_cached_model();
    fs::create_dir(repository.join("blobs")).unwrap();
    fs::write(repository.join("blobs/abc.incomplete"), [0; 1000]).unwrap();
    assert_eq!(it.json(&["models", "prune", "--yes", "--json"])["freed_bytes"], 1000);
    it.output(&["models", "path", "owner/tiny"]);
}

#[test]
fn a_recommendation_shows_its_arithmetic() {
    let it = Machine::new();
    let args = ["models", "recommend", "--memory", "1000", "--context", "4096"];
    let printed = it.output(&args);
    assert!(printed.contains("qwen2.5-coder-0.5b: 491.4 MB weights + 50.3 MB for 4k tokens"), "{printed}");
    let report = it.json(&[&args[..], &["--json"]].concat());
    assert_eq!(report["recommended"], "qwen2.5-coder-0.5b", "{report}");
}

fn tensor_names(folder: &Path) -> Vec<String> {
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut names: Vec<String> = tensors.names().into_iter().map(Into::into).collect();
    names.sort();
    names
}

#[test]
fn a_plain_model_is_quantized_into_a_folder_that_runs() {
    let it = Machine::new();
    let from = tiny_model::folder().to_str().unwrap();
    let to = it.0.path().join("made");
    let made = to.to_str().unwrap();
    // As a conversion that was killed leaves it.
    let left = it.0.path().join(".runabout-convert-killed");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("model.safetensors"), "half").unwrap();
    it.output(&["models", "convert", from, "--output", made, "--bits", "8", "--group-size", "32"]);
    assert!(!left.exists());
    let names = tensor_names(&to);
    assert!(names.contains(&"model.layers.0.mlp.up_proj.scales".to_owned()), "{names:?}");
    assert!(names.contains(&"model.norm.weight".to_owned()), "{names:?}");
    let config: Value = serde_json::from_slice(&fs::read(to.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["quantization"]["bits"], 8);
    let text = it.output(&["generate", "--model", made, "--prompt", "x", "--max-tokens", "4"]);
    assert!(text.contains("Generation: 4 tokens"), "{text}");

    for (args, said) in [
        (&[from, "--output", made][..], "exists already"),
        (&[made, "--output", "x", "--quantize"], "are quantized already\nhint: "),
        (&[from, "--output", "x", "--bits", "7"], "expected 2, 3, 4, 5, 6 or 8 bits"),
        (&[from, "--output", "x", "--mode", "mxfp4", "--bits", "8"], "expected 4 bits in groups of 32"),
        (&[from, "--output", "x", "--mode", "mxfp4", "--recipe", "mixed_4_6"], "a recipe needs affine"),
    ] {
        let err = it.error(&[&["models", "convert"][..], args].concat());
        assert!(err.contains(said), "{args:?}: {err}");
    }
    assert!(!Path::new("x").exists());
}
