//! A user who opens a large source file and goes to other places in it.
//!
//! At each place nothing of the prompt is in the cache but what an earlier place has left there. The same requests go to
//! two workers in turns: one waits for the whole prompt, the other has the patience of the language server.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::client::{Client, figure};
use super::figures::Figures;
use super::stage::Stage;
use crate::bench::completion::corpus;

/// Smaller files have no place that is far from another one.
const MIN_BYTES: usize = 12 << 10;
/// What the language server shows of a file before it knows how fast the machine is.
const PREFIX_BYTES: usize = 8 << 10;
const SUFFIX_BYTES: usize = 2 << 10;
/// The language server's patience.
const PATIENCE_MS: u64 = 500;
/// The places, in this order: their names, and how far in the file they are.
const PLACES: [(&str, f64); 3] = [("a cold file", 0.8), ("after a jump", 0.3), ("near the top", 0.1)];
/// The fewest characters of a line in which a place is.
const MIN_CHARS: usize = 20;

/// What a worker does at the places of one kind.
#[derive(Default)]
struct Times {
    firsts: Vec<Duration>,
    /// Once all of the prompt is computed.
    laters: Vec<Duration>,
    n_right: usize,
}

/// Six files of the corpus.
pub(super) fn places(stage: &Stage<'_>) -> Result<Figures> {
    let sources = corpus::sources(stage.folder)?;
    let files = sources.iter().filter(|it| it.text.len() >= MIN_BYTES).take(stage.n(6).max(2));
    let modes = [("whole prompt", None), ("near first", Some(PATIENCE_MS))];
    let mut workers = [stage.worker(&[])?, stage.worker(&[])?];
    let mut times: [[Times; PLACES.len()]; 2] = Default::default();
    for worker in &mut workers {
        // From a prompt the worker learns how fast the machine is.
        let text = &sources[0].text;
        worker.call("complete", &json!({"prefix": until(text, 1500), "mode": "raw", "max_tokens": 2}))?;
    }
    let mut n_files = 0;
    for source in files {
        n_files += 1;
        for (i, (_, share)) in PLACES.iter().enumerate() {
            for ((worker, times), (_, patience)) in workers.iter_mut().zip(&mut times).zip(modes) {
                visit(worker, &source.path, &source.text, *share, patience, &mut times[i])?;
            }
        }
    }
    ensure!(n_files > 0, "the corpus has no large files");
    let mut figures = Figures::default();
    for (i, (place, _)) in PLACES.iter().enumerate() {
        for ((mode, _), times) in modes.iter().zip(&times) {
            figures.push_times(&format!("{place}, {mode}"), &times[i].firsts);
        }
    }
    for ((mode, _), times) in modes.iter().zip(&times) {
        let laters: Vec<Duration> = times.iter().flat_map(|it| it.laters.iter().copied()).collect();
        figures.push_times(&format!("once the rest is computed, {mode}"), &laters);
        let n_right: usize = times.iter().map(|it| it.n_right).sum();
        let n_all = PLACES.len() * n_files;
        figures.push(format!("first lines right, {mode}"), 100.0 * n_right as f64 / n_all as f64, "%");
    }
    Ok(figures)
}

/// Completes the second half of a line there, has the rest of the prompt computed, and completes it again.
fn visit(
    worker: &mut Client,
    path: &str,
    text: &str,
    share: f64,
    patience_ms: Option<u64>,
    times: &mut Times,
) -> Result<()> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a place in the file")]
    let (cursor, truth) = place(text, (text.len() as f64 * share) as usize);
    let (prefix, suffix) = text.split_at(cursor);
    let mut params = json!({
        "prefix": from_line(prefix, PREFIX_BYTES), "suffix": until(&suffix[truth.len()..], SUFFIX_BYTES),
        "path": path, "document": path, "mode": "line", "max_tokens": 32, "patience_ms": patience_ms,
    });
    let request = worker.request("complete", &params)?;
    let answer = worker.answer(request)?;
    times.firsts.push(answer.first);
    times.n_right +=
        usize::from(answer.result["text"].as_str().is_some_and(|it| it.trim_end() == truth.trim_end()));
    let warmed = worker.call("warm", &params)?;
    ensure!(warmed["prompt_tokens"].as_u64() > Some(0), "nothing was computed");
    // Another text, or the answer would be continued.
    params["max_tokens"] = json!(31);
    let request = worker.request("complete", &params)?;
    let later = worker.answer(request)?;
    ensure!(later.result["usage"]["trimmed"] == Value::Null, "the whole prompt is not used");
    ensure!(figure(&later.result, "usage", "cached_tokens")? > 0.0, "nothing of the prompt is in the cache");
    times.laters.push(later.first);
    Ok(())
}

/// The middle of the first line from `from` on that is long enough, and the rest of it.
fn place(text: &str, from: usize) -> (usize, &str) {
    let from = text.floor_char_boundary(from);
    let mut at = text[..from].rfind('\n').map_or(0, |it| it + 1);
    for line in text[at..].split_inclusive('\n') {
        let code = line.trim();
        if code.chars().count() >= MIN_CHARS {
            let start = at + line.len() - line.trim_start().len();
            let middle = text.floor_char_boundary(start + code.len() / 2);
            return (middle, text[middle..at + line.len()].trim_end_matches('\n'));
        }
        at += line.len();
    }
    (text.len(), "")
}

/// The last lines of a text, at most `n_bytes` of it.
fn from_line(text: &str, n_bytes: usize) -> &str {
    let start = text.ceil_char_boundary(text.len().saturating_sub(n_bytes));
    let next = text[start..].find('\n').filter(|_| start > 0);
    &text[next.map_or(start, |it| start + it + 1)..]
}

fn until(text: &str, n_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(n_bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_in_the_middle_of_a_long_line() {
        let text = "short\n\n    let total = values.iter().sum();\nshort\n";
        let (at, rest) = place(text, 3);
        assert_eq!((&text[..at], rest), ("short\n\n    let total = valu", "es.iter().sum();"));
    }

    #[test]
    fn what_is_shown_begins_with_a_line() {
        assert_eq!(from_line("one\ntwo\nthree", 9), "three");
        assert_eq!(from_line("one\ntwo", 90), "one\ntwo");
    }
}
