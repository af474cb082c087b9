//! Checks answers with `check.py`: [`Checker`]. [`check_checks`] checks the checks.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::set::Errand;

/// Runs the checks.
pub(super) struct Checker {
    script: PathBuf,
}

impl Checker {
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let script = folder.join("check_errands.py");
        fs::write(&script, include_str!("check.py"))?;
        Ok(Self { script })
    }

    /// What is wrong with an answer; `None` if it is right.
    pub(super) fn why_wrong(&self, errand: &Errand, answer: &str) -> Result<Option<String>> {
        self.check(errand, Some(answer))
    }

    fn check(&self, errand: &Errand, answer: Option<&str>) -> Result<Option<String>> {
        let mut python = Command::new("python3")
            .arg(&self.script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start `python3`")?;
        let asked = json!({"errand": errand.json, "original": errand.text, "answer": answer});
        let mut stdin = python.stdin.take().context("stdin is piped")?;
        stdin.write_all(asked.to_string().as_bytes())?;
        drop(stdin);
        let output = python.wait_with_output()?;
        ensure!(output.status.success(), "the check of `{}` ended with {}", errand.id, output.status);
        let said: Value = serde_json::from_slice(&output.stdout).context("the check wrote no JSON")?;
        Ok((said["right"] != true).then(|| said["why"].as_str().unwrap_or("wrong").to_owned()))
    }
}

/// Sees that each check accepts the right answer, and refuses the file as it was.
pub(super) fn check_checks(checker: &Checker, errands: &[Errand]) -> Result<()> {
    let mut n_wrong = 0;
    for errand in errands {
        let why_refused = checker.check(errand, None)?;
        let accepts_original = checker.why_wrong(errand, &errand.text)?.is_none();
        if let Some(why) = &why_refused {
            println!("{}: a right answer is refused: {why}", errand.id);
        }
        if accepts_original {
            println!("{}: the file as it was is accepted", errand.id);
        }
        n_wrong += usize::from(why_refused.is_some() || accepts_original);
    }
    ensure!(n_wrong == 0, "{n_wrong} of {} checks are wrong", errands.len());
    println!("all {} checks accept a right answer and refuse the file as it was", errands.len());
    Ok(())
}
