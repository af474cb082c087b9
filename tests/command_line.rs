//! The commands for use in a terminal.

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
    for (args, n_prompt) in [(&generate[..], 6), (&chat[..], 33)] {
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
fn a_seed_makes_a_chat_repeatable() {
    let chat = |seed: &str| {
        let printed = output(&["chat", "--model", tiny(), "hi", "--max-tokens", "12", "--seed", seed]);
        printed.split_once("\n==========\n").unwrap().0.to_owned()
    };
    assert_eq!(chat("1"), chat("1"));
    assert_ne!(chat("1"), chat("2"));
}

#[test]
fn an_error_is_printed_once_with_a_hint() {
    let home = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 3] = [
        (&["generate", "--model", "./no-such-folder", "--prompt", "x"], "no-such-folder"),
        (&["models", "path", "smollm2-135m"], "hint: `runabout models pull smollm2-135m`"),
        (&["generate", "--model", "no such model", "--prompt", "x"], "no such model"),
    ];
    for (args, said) in cases {
        let output = runabout()
            .args(args)
            .env("RUNABOUT_HOME", home.path())
            .env("RUNABOUT_LOG", "off")
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(stderr.starts_with("runabout: ") && stderr.contains(said), "{args:?}: {stderr}");
        assert_eq!(stderr.matches(said).count(), 1, "{args:?}: {stderr}");
    }
}
