//! The commands for use in a terminal.

use std::fs;

use crate::support::{runabout, tiny_model};

/// The standard output of a command, which must succeed.
fn output(args: &[&str]) -> String {
    let output = runabout().args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn tiny() -> &'static str {
    tiny_model::folder().to_str().unwrap()
}

#[test]
fn generate_and_chat_print_a_text_and_the_same_figures_as_mlx_lm() {
    let generate = ["generate", "--model", tiny(), "--prompt", "def f(", "--max-tokens", "6"];
    let chat = ["chat", "--model", tiny(), "tell me a joke", "--max-tokens", "6", "--temperature", "0"];
    let raw = [&generate[..], &["--ignore-chat-template"]].concat();
    for (args, n_prompt) in [(&generate[..], 25), (&raw[..], 6), (&chat[..], 33)] {
        let printed = output(args);
        let (text, figures) = printed.split_once("\n==========\n").unwrap();
        assert!(!text.is_empty());
        let lines: Vec<&str> = figures.lines().collect();
        let [prompt, generation, memory] = lines.as_slice() else { panic!("three lines, got {figures}") };
        assert!(prompt.starts_with(&format!("Prompt: {n_prompt} tokens, ")), "{prompt}");
        assert!(prompt.ends_with(" tokens-per-sec"), "{prompt}");
        assert!(generation.starts_with("Generation: 6 tokens, "), "{generation}");
        assert!(memory.starts_with("Peak memory: ") && memory.ends_with(" GB"), "{memory}");
    }
}

#[test]
fn generate_takes_the_options_of_mlx_lm() {
    let generate = |args: &[&str]| {
        let args = [&["generate", "--model", tiny(), "--prompt", "hi", "--max-tokens", "8", "--json"], args]
            .concat();
        serde_json::from_str::<serde_json::Value>(&output(&args)).unwrap()
    };
    let plain = generate(&[]);
    let text = plain["text"].as_str().unwrap();
    assert_eq!(
        (plain["generation_tokens"].as_u64(), plain["finish_reason"].as_str()),
        (Some(8), Some("length"))
    );
    // `system\n` and the message between two control tokens, and a line end.
    let with_system = generate(&["--system-prompt", "Be brief."]);
    let n = |it: &serde_json::Value| it["prompt_tokens"].as_u64().unwrap();
    assert_eq!(n(&with_system) - n(&plain), "system\nBe brief.\n".len() as u64 + 2);
    // What has begun is part of the prompt, not of the text.
    let begun = generate(&["--prefill-response", "abc"]);
    assert_eq!(n(&begun) - n(&plain), 3);
    let sampled = generate(&["--temp", "1.5", "--seed", "3", "--top-p", "0.9", "--min-p", "0.01"]);
    assert_ne!(sampled["text"], text);
    assert_eq!(n(&generate(&["--ignore-chat-template"])), "hi".len() as u64);
}

#[test]
fn complete_prints_a_text_a_diff_or_json() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.py");
    std::fs::write(&file, "def f(x):\n    return \n\ndef g(x):\n    pass\n").unwrap();
    let complete = |extra: &[&str]| {
        let mut command = runabout();
        command.args(["complete", "--model", tiny(), "a.py:2:12", "--mode", "line", "--max-tokens", "6"]);
        let output = command.args(extra).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let report: serde_json::Value = serde_json::from_str(&complete(&["--json"])).unwrap();
    let text = report["text"].as_str().unwrap();
    assert!(report["confidence"].is_f64() && report["prompt_tokens"].as_u64() > Some(0), "{report}");
    assert_eq!(complete(&[]), format!("{text}\n"));
    let diff = complete(&["--diff"]);
    let expected = format!("\n-    return \n+    return {text}\n");
    assert!(diff.starts_with("diff --git a/a.py b/a.py\n") && diff.contains(&expected), "{diff}");
}

#[test]
fn a_seed_makes_a_chat_repeatable() {
    let chat = |seed: &str| {
        let printed = output(&["chat", "--model", tiny(), "hi", "--max-tokens", "12", "--seed", seed]);
        printed.split_once("\n==========\n").unwrap().0.to_owned()
    };
    assert_eq!(chat("1"), chat("1"));
    assert_ne!(chat("1"), chat("2"));
}

#[test]
fn config_says_where_each_value_comes_from() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    std::fs::write(&file, "threads = 3\nmax_queued = 7\n").unwrap();
    let mut command = runabout();
    command.args(["config", "--json", "--max-queued", "9"]);
    let output = command.env("RUNABOUT_CONFIG", &file).env("RUNABOUT_KV_BITS", "8").output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |name: &str| {
        let settings = report["settings"].as_array().unwrap();
        let setting = settings.iter().find(|it| it["name"] == name).unwrap();
        (setting["value"].as_str().map(str::to_owned), setting["origin"].as_str().unwrap().to_owned())
    };
    let text = |it: &str| Some(it.to_owned());
    assert_eq!(of("threads"), (text("3"), file.to_str().unwrap().to_owned()));
    assert_eq!(of("max_queued"), (text("9"), "--max-queued".to_owned()));
    assert_eq!(of("kv_bits"), (text("8"), "RUNABOUT_KV_BITS".to_owned()));
    assert_eq!(of("max_running"), (text("8"), "default".to_owned()));
    assert_eq!(of("top_p"), (None, "not set".to_owned()));

    std::fs::write(&file, "treads = 3\n").unwrap();
    let refused = runabout().arg("config").env("RUNABOUT_CONFIG", &file).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("hint: did you mean `threads`?"), "{said}");
}

#[test]
fn the_shell_and_man_know_every_command() {
    let [bash, page] = [&["completions", "bash"][..], &["man"]].map(output);
    for command in ["generate", "chat", "complete", "doctor", "bench", "config", "models"] {
        assert!(bash.contains(command) && page.contains(command), "{command}");
    }
}

#[test]
fn doctor_finds_a_model_that_loads_one_that_does_not_and_one_that_is_not_there() {
    let home = tempfile::tempdir().unwrap();
    let doctor = |model: &str| {
        let args = ["doctor", "--offline", "--json", "--model", model];
        let output = runabout().args(args).env("RUNABOUT_HOME", home.path()).output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let of = |name: &str| checks.iter().find(|it| it["name"] == name).unwrap().clone();
        (output.status.code(), of("model"), of("device"))
    };
    let (code, model, device) = doctor(tiny());
    assert_eq!(code, Some(0));
    assert!(model["found"].as_str().unwrap().contains("tokens per second"), "{model}");
    assert!(device["found"].as_str().unwrap().starts_with("MLX 0."), "{device}");
    let (code, model, _) = doctor("smollm2-135m");
    assert_eq!((code, model["status"].as_str()), (Some(0), Some("warning")));
    assert!(model["remedy"].as_str().unwrap().contains("models pull smollm2-135m"), "{model}");
    let broken = tempfile::tempdir().unwrap();
    fs::write(broken.path().join("config.json"), "{}").unwrap();
    let (code, model, _) = doctor(broken.path().to_str().unwrap());
    assert_eq!((code, model["status"].as_str()), (Some(1), Some("error")), "{model}");
}

#[test]
fn bench_measures_a_model_and_one_that_is_made_up() {
    let config = tiny_model::folder().join("config.json");
    for model in [["--model", tiny()], ["--shape", config.to_str().unwrap()]] {
        let args = [&["bench", "--json", "-p", "8,20", "-g", "4", "--repeats", "2"][..], &model].concat();
        let report: serde_json::Value = serde_json::from_str(&output(&args)).unwrap();
        let medians = report["medians"].as_array().unwrap();
        let lengths: Vec<_> = medians.iter().map(|it| it["prompt_tokens"].as_u64().unwrap()).collect();
        assert_eq!(lengths, [8, 20]);
        assert_eq!(report["runs"].as_array().unwrap().len(), 4);
        let is_positive = |name: &str| medians.iter().all(|it| it[name].as_f64().unwrap() > 0.0);
        assert!(
            is_positive("prompt_tps") && is_positive("generation_tps") && is_positive("first_token_seconds")
        );
        assert!(medians.iter().all(|it| it["generation_tokens"] == 4), "{report}");
    }
    let too_large = ["bench", "--shape", "qwen3-30b-a3b-4bit", "--memory-limit", "1000"];
    let refused = runabout().args(too_large).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("1048576000 bytes of memory"), "{said}");
}

#[test]
fn an_error_is_printed_once_with_a_hint() {
    let home = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 5] = [
        (&["generate", "--model", "./no-such-folder", "--prompt", "x"], "no-such-folder"),
        (&["models", "path", "smollm2-135m"], "hint: `runabout models pull smollm2-135m`"),
        (&["generate", "--model", "no such model", "--prompt", "x"], "no such model"),
        (
            &["generate", "--model", tiny(), "--prompt", "x", "--extra-eos-token", "<|no-such|>"],
            "<|no-such|>",
        ),
        (&["complete", "--model", tiny(), "no-such-file.py:1"], "no-such-file.py"),
    ];
    for (args, said) in cases {
        let output = runabout()
            .args(args)
            .env("RUNABOUT_HOME", home.path())
            .env_remove("RUNABOUT_LOG")
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(stderr.starts_with("runabout: ") && stderr.contains(said), "{args:?}: {stderr}");
        assert_eq!(stderr.matches(said).count(), 1, "{args:?}: {stderr}");
    }
}
