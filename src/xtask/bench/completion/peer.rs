//! llama.cpp's completions of holes, through node-llama-cpp.
//!
//! Each hole is a new request, so an answer depends only on the hole and on the key below. Answers are kept in a file
//! as they arrive: an interrupted run can continue, and a run with other rules on our side does not ask again. The
//! program is only started if there is something to ask.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::peers::child::Child;
use super::super::peers::fetch;
use super::holes::Hole;
use super::score::Answer;

const DRIVER: &str = include_str!("completion.mjs");
/// The file of kept answers in target/bench, as JSON lines.
const KEPT: &str = "llama-answers.jsonl";

/// llama.cpp with a model, and its answers so far.
pub(super) struct Peer {
    folder: PathBuf,
    model: &'static str,
    gguf: PathBuf,
    max_tokens: NonZeroUsize,
    n_threads: NonZeroUsize,
    kept: HashMap<String, Answer>,
    file: File,
    child: Option<Child>,
}

impl Peer {
    /// For the model with this SHA-256.
    pub(super) fn open(
        folder: &Path,
        model: &'static str,
        gguf: &Path,
        max_tokens: NonZeroUsize,
        n_threads: NonZeroUsize,
    ) -> Result<Self> {
        let path = folder.join(KEPT);
        let cannot = || format!("cannot open `{}`", path.display());
        let mut file = OpenOptions::new().create(true).append(true).open(&path).with_context(cannot)?;
        let lines = fs::read_to_string(&path).with_context(cannot)?;
        // If a run was interrupted, its last line may be incomplete; that hole is asked again.
        if !lines.is_empty() && !lines.ends_with('\n') {
            file.write_all(b"\n")?;
        }
        let lines = lines.lines().filter_map(|it| serde_json::from_str::<Value>(it).ok());
        let kept =
            lines.filter_map(|it| Some((it["key"].as_str()?.to_owned(), Answer::read(&it)?))).collect();
        Ok(Self {
            folder: folder.to_owned(),
            model,
            gguf: gguf.to_owned(),
            max_tokens,
            n_threads,
            kept,
            file,
            child: None,
        })
    }

    pub(super) fn answer(&mut self, hole: &Hole) -> Result<Answer> {
        let key = self.key(hole);
        if let Some(answer) = self.kept.get(&key) {
            return Ok(answer.clone());
        }
        let answer = self.infill(hole)?;
        self.keep(key, &answer)?;
        Ok(answer)
    }

    fn keep(&mut self, key: String, answer: &Answer) -> Result<()> {
        let mut line = answer.json();
        line["key"] = json!(key);
        // In one write, because another run may keep answers in the same file.
        self.file.write_all(format!("{line}\n").as_bytes())?;
        self.kept.insert(key, answer.clone());
        Ok(())
    }

    pub(super) fn stop(self) -> Result<()> {
        self.child.map_or(Ok(()), Child::stop)
    }

    /// Of all that an answer depends on.
    fn key(&self, hole: &Hole) -> String {
        let Self { model, max_tokens, .. } = self;
        let asked = json!([fetch::NODE_LLAMA_CPP, DRIVER, model, max_tokens, hole.prefix, hole.suffix]);
        format!("{:x}", Sha256::digest(asked.to_string()))
    }

    fn infill(&mut self, hole: &Hole) -> Result<Answer> {
        let mut child = match self.child.take() {
            Some(child) => child,
            None => self.start()?,
        };
        child.send(&json!({"prefix": hole.prefix, "suffix": hole.suffix, "max_tokens": self.max_tokens}))?;
        let answer = child.receive()?;
        self.child = Some(child);
        let (Some(text), Some(n_tokens)) = (answer["text"].as_str(), answer["n_tokens"].as_u64()) else {
            bail!("expected `text` and `n_tokens`, got {answer}");
        };
        Ok(Answer {
            text: text.to_owned(),
            block: None,
            in_crlf: None,
            n_tokens,
            reason: String::new(),
            confidence: None,
        })
    }

    fn start(&self) -> Result<Child> {
        let driver = fetch::node(&self.folder)?.with_file_name("completion.mjs");
        fs::write(&driver, DRIVER)?;
        let mut node = Command::new("node");
        node.arg(&driver).arg(&self.gguf).arg(self.n_threads.to_string());
        let mut child = Child::start(&mut node, &self.folder.join("llama.log"))?;
        child.receive().context("llama.cpp does not start")?;
        Ok(child)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::holes::Kind;
    use super::*;

    fn hole(prefix: &str) -> Hole {
        Hole {
            package: "p",
            language: "python",
            path: "a.py".to_owned(),
            kind: Kind::Line,
            in_word: false,
            prefix: prefix.to_owned(),
            suffix: "\n".to_owned(),
            truth: "1".to_owned(),
            file: [String::new(), String::new()],
        }
    }

    fn peer(folder: &Path, max_tokens: usize) -> Peer {
        let max_tokens = NonZeroUsize::new(max_tokens).unwrap();
        // If it were asked, it could not start.
        Peer::open(folder, "ab12", Path::new("/nonexistent"), max_tokens, NonZeroUsize::MIN).unwrap()
    }

    #[test]
    fn a_kept_answer_is_not_asked_for_again_even_after_an_interrupted_run() {
        let scratch = tempfile::tempdir().unwrap();
        let mut first = peer(scratch.path(), 64);
        let answer = Answer {
            text: "1\n".to_owned(),
            block: None,
            in_crlf: None,
            n_tokens: 64,
            reason: String::new(),
            confidence: None,
        };
        first.keep(first.key(&hole("x = ")), &answer).unwrap();
        first.file.write_all(b"{\"key\":\"cut o").unwrap();
        drop(first);
        let mut second = peer(scratch.path(), 64);
        assert_eq!(second.answer(&hole("x = ")).unwrap().text, "1\n");
        assert!(second.child.is_none());
        // An answer written after an incomplete line is not lost with it.
        second.keep(second.key(&hole("y = ")), &answer).unwrap();
        assert_eq!(peer(scratch.path(), 64).kept.len(), 2);
    }

    #[test]
    fn an_answer_is_kept_under_everything_it_depends_on() {
        let scratch = tempfile::tempdir().unwrap();
        let keys = [
            peer(scratch.path(), 64).key(&hole("x = ")),
            peer(scratch.path(), 64).key(&hole("y = ")),
            peer(scratch.path(), 65).key(&hole("x = ")),
        ];
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
