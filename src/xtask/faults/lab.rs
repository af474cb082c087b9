//! Where faults are tried: [`Lab`], with folders of its own, so that the person's models are safe.

#[allow(dead_code, reason = "the tests need more of it")]
#[allow(clippy::unwrap_used, reason = "it is the tests' own")]
#[path = "../../../tests/support/tiny_gguf.rs"]
mod tiny_gguf;

use std::cell::RefCell;
use std::env;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::tiny_gguf::TinyGguf;
use super::args::Args;
use crate::program::Program;
use crate::worker::given_or_built;

/// A command that does not end for this long hangs.
const PATIENCE: Duration = Duration::from_mins(3);
/// The name of the model that is made here.
const TINY: &str = "tiny";
const PAUSE: Duration = Duration::from_millis(2);
/// The beginnings of the variables that a person may have set for the worker.
const SETTINGS: [&str; 4] = ["RUNABOUT_", "HF_", "HUGGINGFACE_", "XDG_"];

/// The worker under test, the models that it is given, and folders for what it keeps.
pub(super) struct Lab {
    pub(super) args: Args,
    pub(super) root: PathBuf,
    /// The folder of the real model.
    pub(super) model: PathBuf,
    /// A tiny model as a GGUF file, and the folder that it is imported to.
    pub(super) gguf: PathBuf,
    pub(super) imported: PathBuf,
    pub(super) random: RefCell<fastrand::Rng>,
    worker: PathBuf,
    folder: TempDir,
    /// What the real model writes if nothing goes wrong.
    expected: String,
}

/// A command that has ended, and what it said on stderr.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) said: String,
}

impl Lab {
    pub(super) fn new(root: &Path, args: &Args) -> Result<Self> {
        let worker = given_or_built(root, args.runabout.as_deref())?;
        let folder = tempfile::tempdir()?;
        let imported = folder.path().join("imported");
        let model = match Path::new(&args.model) {
            _ if args.model == TINY => folder.path().join(TINY),
            path if path.is_dir() => path.canonicalize()?,
            _ => {
                let output = Command::new(&worker).args(["models", "path", &args.model]).output()?;
                ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
                String::from_utf8(output.stdout)?.trim().into()
            }
        };
        let gguf = folder.path().join("tiny.gguf");
        fs::write(&gguf, TinyGguf::new().bytes())?;
        let mut lab = Self {
            args: args.clone(),
            root: root.to_owned(),
            model,
            gguf,
            imported,
            random: fastrand::Rng::with_seed(args.seed).into(),
            worker,
            folder,
            expected: String::new(),
        };
        let home = lab.home()?;
        let mut convert = lab.command(home.path());
        convert.args(["models", "convert", "-o"]).arg(&lab.imported).arg(&lab.gguf);
        lab.succeed(convert)?;
        if args.model == TINY {
            lab.make_tiny()?;
        }
        let mut program = lab.serve(lab.command(home.path()))?;
        text(&program.call("complete", &short())?)?.clone_into(&mut lab.expected);
        program.stop()?;
        Ok(lab)
    }

    /// Makes the tiny model one with long texts, which never end by themselves.
    fn make_tiny(&self) -> Result<()> {
        fs::create_dir(&self.model)?;
        let (weights, tokenizer) = ("model.safetensors", "tokenizer.json");
        fs::copy(self.imported.join(weights), self.model.join(weights))?;
        // A token that ends texts is known by its name.
        let text = fs::read_to_string(self.imported.join(tokenizer))?.replace("<|endoftext|>", "<|nothing|>");
        fs::write(self.model.join(tokenizer), text)?;
        let name = "config.json";
        let mut config: Value = serde_json::from_slice(&fs::read(self.imported.join(name))?)?;
        config["max_position_embeddings"] = json!(1 << 15);
        config.as_object_mut().context("a configuration is an object")?.remove("eos_token_id");
        Ok(fs::write(self.model.join(name), config.to_string())?)
    }

    /// A new folder in which a person has everything.
    pub(super) fn home(&self) -> Result<TempDir> {
        Ok(tempfile::tempdir_in(self.folder.path())?)
    }

    /// The worker, for somebody whose home this is.
    pub(super) fn command(&self, home: &Path) -> Command {
        let mut command = Command::new(&self.worker);
        let settings = env::vars_os().map(|it| it.0);
        for name in settings.filter(|it| SETTINGS.iter().any(|start| it.to_string_lossy().starts_with(start)))
        {
            command.env_remove(name);
        }
        command.env("HOME", home).env("RUNABOUT_HOME", home.join("runabout")).env("HF_HOME", home.join("hf"));
        command.env("RUNABOUT_CONFIG", "").env("RUNABOUT_ALONE", "1").env("NO_PROXY", "*");
        command
    }

    /// The same, started by a shell after `first`, such as a limit.
    pub(super) fn after(&self, first: &str, home: &Path) -> Command {
        let command = self.command(home);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{first} && exec \"$@\""), "sh"]).arg(command.get_program());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
    }

    /// Starts a worker with the real model.
    pub(super) fn serve(&self, command: Command) -> Result<Program> {
        Program::start("serve", self.serving(command), &self.log())
    }

    /// The command that serves the real model.
    pub(super) fn serving(&self, mut command: Command) -> Command {
        command.args(["serve", "--offline", "--model"]).arg(&self.model);
        command
    }

    /// Where a worker writes its log; there is one at a time.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Checks that the worker answers as if nothing had gone wrong.
    pub(super) fn check(&self, program: &mut Program) -> Result<()> {
        let answer = program.call("complete", &short())?;
        let got = text(&answer)?;
        ensure!(got == self.expected, "expected the text `{}`, got `{got}`", self.expected);
        Ok(())
    }

    /// A text after a prompt of so many words, which begins like no other, so that all of it is computed.
    pub(super) fn long(&self, n_words: usize, max_tokens: usize) -> Value {
        let prefix = format!("{} {}", self.random.borrow_mut().u32(..), "word ".repeat(n_words));
        json!({"prefix": prefix, "mode": "raw", "max_tokens": max_tokens, "temperature": 1})
    }

    /// A moment within this time.
    pub(super) fn moment(&self, within: Duration) -> Duration {
        within.mul_f64(self.random.borrow_mut().f64())
    }

    /// Runs a command to its end.
    pub(super) fn run(&self, mut command: Command) -> Result<Ended> {
        let mut stderr = tempfile::tempfile_in(self.folder.path())?;
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr.try_clone()?).spawn()?;
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if started.elapsed() > PATIENCE {
                child.kill()?;
                bail!("{command:?} does not end");
            }
            thread::sleep(PAUSE);
        };
        Ok(Ended { status, said: contents(&mut stderr)? })
    }

    /// Runs a command that must succeed.
    pub(super) fn succeed(&self, command: Command) -> Result<()> {
        let what = format!("{command:?}");
        let Ended { status, said } = self.run(command)?;
        ensure!(status.success(), "{what} ended with {status}: {}", said.trim());
        Ok(())
    }

    /// Runs a command and kills it at a random moment within this time. Returns whether it had ended before.
    pub(super) fn kill(&self, mut command: Command, within: Duration) -> Result<bool> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        thread::sleep(self.moment(within));
        let has_ended = child.try_wait()?.is_some();
        child.kill()?;
        child.wait()?;
        Ok(has_ended)
    }
}

fn contents(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A short text, always the same.
fn short() -> Value {
    json!({"prefix": "def add(a, b):\n", "mode": "raw", "max_tokens": 6, "temperature": 0})
}

/// The text of an answer that must be a result.
pub(super) fn text(answer: &Value) -> Result<&str> {
    answer["result"]["text"].as_str().with_context(|| format!("no text: {answer}"))
}
