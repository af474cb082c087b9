//! A user who writes real source files again, and accepts what is suggested where it is right.
//!
//! As with a plugin, a key that the suggestion begins with needs no request: the rest of it stays. Any other key asks for
//! a new one, and here the user waits for all of it, so that the work per suggestion can be counted.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::client::figure;
use super::figures::Figures;
use super::stage::Stage;
use crate::bench::completion::corpus;

/// The package, the path in it, and the line at which the user begins: one file each of Rust, Python and JavaScript.
const FILES: [(&str, &str, usize); 3] = [
    ("semver", "src/parse.rs", 90),
    ("packaging", "packaging/tags.py", 130),
    ("commander", "package/lib/option.js", 60),
];
/// The number of lines that the user writes again; they are not in the file before.
const N_LINES: usize = 60;
/// A suggestion is accepted line by line, if the line has at least this many characters.
const MIN_ACCEPTED: usize = 3;

/// The state of one file.
struct Typist<'a> {
    path: &'a str,
    before: &'a str,
    /// What is to be written.
    hole: &'a str,
    after: &'a str,
    /// The number of bytes of the hole that are written.
    cursor: usize,
    /// What is shown after the cursor.
    suggestion: String,
}

impl<'a> Typist<'a> {
    fn new(path: &'a str, text: &'a str, line: usize) -> Result<Self> {
        let start_of = |line: usize| text.match_indices('\n').nth(line).map(|(at, _)| at + 1);
        let start = start_of(line).context("the file is too short")?;
        let end = start_of(line + N_LINES).unwrap_or(text.len());
        let (before, hole, after) = (&text[..start], &text[start..end], &text[end..]);
        Ok(Self { path, before, hole, after, cursor: 0, suggestion: String::new() })
    }

    fn is_done(&self) -> bool {
        self.cursor == self.hole.len()
    }

    /// Accepts a line of what is suggested, or types a character. Returns the number of accepted bytes, and whether a new
    /// suggestion is needed.
    fn act(&mut self) -> (usize, bool) {
        let rest = &self.hole[self.cursor..];
        let line = self.suggestion.split_inclusive('\n').next().unwrap_or_default().trim_end_matches('\n');
        if line.trim().chars().count() >= MIN_ACCEPTED && rest.starts_with(line) {
            let n_accepted = line.len();
            self.cursor += n_accepted;
            self.suggestion.drain(..n_accepted);
            return (n_accepted, self.suggestion.is_empty());
        }
        let Some(typed) = rest.chars().next() else { return (0, false) };
        self.cursor += typed.len_utf8();
        if self.suggestion.starts_with(typed) {
            self.suggestion.drain(..typed.len_utf8());
            (0, self.suggestion.is_empty())
        } else {
            (0, true)
        }
    }
}

/// 200 keys and accepts in each file.
pub(super) fn suggestions(stage: &Stage<'_>) -> Result<Figures> {
    let sources = corpus::sources(stage.folder)?;
    let mut worker = stage.worker(&[])?;
    let (mut firsts, mut wholes) = (Vec::new(), Vec::new());
    let (mut n_events, mut n_accepted_bytes) = (0, 0);
    let (mut n_drawn, mut n_drafted, mut n_free, mut n_prompt) = (0.0, 0.0, 0.0, 0.0);
    for (package, path, line) in FILES {
        let source = sources.iter().find(|it| it.package == package && it.path == path);
        let source = source.with_context(|| format!("{package} has no {path}"))?;
        let mut typist = Typist::new(path, &source.text, line)?;
        for _ in 0..stage.n(200).max(20) {
            if typist.is_done() {
                break;
            }
            let (n_accepted, needs_suggestion) = typist.act();
            n_events += 1;
            n_accepted_bytes += n_accepted;
            if !needs_suggestion {
                continue;
            }
            let prefix = format!("{}{}", typist.before, &typist.hole[..typist.cursor]);
            let request = json!({"prefix": prefix, "suffix": typist.after, "path": typist.path,
                "document": format!("file:///{}", typist.path)});
            let request = worker.request("complete", &request)?;
            let answer = worker.answer(request)?;
            worker.forget_text();
            let usage = |key| figure(&answer.result, "usage", key);
            n_drawn += usage("completion_tokens")?;
            n_drafted += usage("drafted_tokens")?;
            n_free += usage("accepted_tokens")?;
            n_prompt += usage("prompt_tokens")? - usage("cached_tokens")?;
            firsts.push(answer.first);
            wholes.push(answer.all);
            answer.result["text"].as_str().unwrap_or_default().clone_into(&mut typist.suggestion);
        }
    }
    ensure!(!wholes.is_empty() && n_drawn > 0.0, "nothing was suggested");
    let n_requests = wholes.len() as f64;
    let mut figures = Figures::default();
    figures.push("keys and accepts", f64::from(n_events), "");
    figures.push("requests", n_requests, "");
    figures.push("accepted characters", n_accepted_bytes as f64, "");
    figures.push("prompt tokens computed per request", n_prompt / n_requests, "");
    figures.push("tokens drawn per request", n_drawn / n_requests, "");
    figures.push("drafts accepted", 100.0 * n_free / f64::max(n_drafted, 1.0), "%");
    figures.push("model passes per token", (n_drawn - n_free) / n_drawn, "");
    figures.push_times("key to first text", &firsts);
    figures.push_times("key to whole suggestion", &wholes);
    Ok(figures)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_file_is_written_again_with_what_is_right_in_the_suggestions() {
        let text = (0..100).map(|it| format!("line {it};\n")).collect::<Vec<_>>().concat();
        let mut typist = Typist::new("a.txt", &text, 10).unwrap();
        assert!(typist.hole.starts_with("line 11;") && typist.after.starts_with("line 71;"));
        // A character that the suggestion begins with, then the rest of its line, then a character that it has not.
        typist.suggestion = "line 11;\nlane".to_owned();
        assert_eq!(typist.act(), (8, false));
        assert_eq!(typist.act(), (0, false));
        assert_eq!(typist.suggestion, "lane");
        assert_eq!(typist.act(), (0, false));
        assert_eq!(typist.act(), (0, true));
        while !typist.is_done() {
            typist.act();
        }
        assert_eq!(format!("{}{}{}", typist.before, &typist.hole[..typist.cursor], typist.after), text);
    }
}
