//! Turns of gpt-oss, which are rows of messages on channels: [`Harmony`].
//!
//! A message is `<|channel|>analysis<|message|>...<|end|>`, and the next one begins with `<|start|>assistant`. The
//! channel `analysis` is reasoning, `commentary` and `final` are content, and a message to `functions.f` is a call. The
//! prompt ends with `<|start|>assistant`, so the text begins within a header.

use super::call::Parsed;
use super::calls::arguments_object;
use super::tagged::n_begun;
use super::written::Written;

const START: &str = "<|start|>";
const CHANNEL: &str = "<|channel|>";
const MESSAGE: &str = "<|message|>";
/// What ends a message. The last three stand for an end that is missing.
const ENDS: [&str; 5] = ["<|end|>", "<|call|>", "<|return|>", START, CHANNEL];
/// What a header may hold, in any order, before its message.
const HEADER: [&str; 3] = [CHANNEL, START, "to="];
const FUNCTIONS: &str = "functions.";

/// Reads one turn.
#[derive(Debug, Default)]
pub(super) struct Harmony {
    stage: Stage,
    held: String,
    /// The header of the call that is being read.
    header: String,
    /// How much of a call has no end mark.
    n_searched: usize,
    /// Whether some text of this message was written.
    has_begun: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing so far: a header, unless the model forgot it.
    #[default]
    Start,
    Header,
    Reasoning,
    Content,
    Call,
    /// After a message.
    Between,
}

impl Harmony {
    pub(super) fn push(&mut self, text: &str, written: &mut Written) {
        self.held.push_str(text);
        while self.read(false, written) {}
    }

    pub(super) fn finish(&mut self, written: &mut Written) {
        while self.read(true, written) {}
    }

    /// Returns whether there is more to read.
    fn read(&mut self, is_end: bool, written: &mut Written) -> bool {
        match self.stage {
            Stage::Start => {
                let text = self.held.trim_start();
                if text.is_empty()
                    || !is_end && HEADER.iter().any(|it| it.len() > text.len() && it.starts_with(text))
                {
                    return false;
                }
                let is_header = HEADER.iter().any(|it| text.starts_with(it));
                self.stage = if is_header { Stage::Header } else { Stage::Content };
                true
            }
            Stage::Header => self.header(is_end),
            Stage::Reasoning | Stage::Content => self.message(is_end, written),
            Stage::Call => self.call(is_end, written),
            Stage::Between => {
                // What the model writes here by mistake has no meaning, except for a header.
                let next = [START, CHANNEL].iter().filter_map(|it| self.held.find(it)).min();
                if let Some(at) = next {
                    self.held.drain(..at);
                    self.stage = Stage::Header;
                    return true;
                }
                let n_held = n_begun(&self.held, &[START, CHANNEL]);
                self.held.drain(..self.held.len() - n_held);
                false
            }
        }
    }

    fn header(&mut self, is_end: bool) -> bool {
        let Some((header, rest)) = self.held.split_once(MESSAGE) else {
            if is_end {
                self.held.clear();
            }
            return false;
        };
        let header = header.to_owned();
        self.held = rest.to_owned();
        self.has_begun = false;
        self.stage = if recipient(&header).is_some() {
            Stage::Call
        } else if channel(&header) == "analysis" {
            Stage::Reasoning
        } else {
            Stage::Content
        };
        self.header = header;
        true
    }

    fn message(&mut self, is_end: bool, written: &mut Written) -> bool {
        let end = ENDS.iter().filter_map(|it| Some((self.held.find(it)?, *it))).min_by_key(|it| it.0);
        let (n_text, n_mark) = match end {
            // The next header begins with these.
            Some((at, START | CHANNEL)) => (at, 0),
            Some((at, mark)) => (at, mark.len()),
            None if is_end => (self.held.len(), 0),
            None => (self.held.len() - n_begun(&self.held, &ENDS), 0),
        };
        let text: String = self.held.drain(..n_text).collect();
        self.held.drain(..n_mark);
        let is_reasoning = self.stage == Stage::Reasoning;
        if !text.is_empty() {
            let is_later = if is_reasoning { written.has_reasoning() } else { written.has_content() };
            let before = if is_later && !self.has_begun { "\n\n" } else { "" };
            self.has_begun = true;
            let text = format!("{before}{text}");
            if is_reasoning { written.think(&text) } else { written.say(&text) }
        }
        if end.is_some() {
            self.stage = Stage::Between;
        }
        end.is_some()
    }

    fn call(&mut self, is_end: bool, written: &mut Written) -> bool {
        let rest = &self.held[self.n_searched..];
        let end =
            ENDS.iter().filter_map(|it| Some((self.n_searched + rest.find(it)?, *it))).min_by_key(|it| it.0);
        let (n_text, n_mark) = match end {
            Some((at, START | CHANNEL)) => (at, 0),
            Some((at, mark)) => (at, mark.len()),
            None if is_end => (self.held.len(), 0),
            None => {
                self.n_searched = self.held.len() - n_begun(&self.held, &ENDS);
                return false;
            }
        };
        self.n_searched = 0;
        let text: String = self.held.drain(..n_text).collect();
        self.held.drain(..n_mark);
        let name = recipient(&self.header).unwrap_or_default();
        let called = match arguments_object(&text) {
            Parsed::Calls(calls) => {
                let named = calls.into_iter().map(|it| it.named(name)).collect();
                written.call(named)
            }
            Parsed::Incomplete(reason) | Parsed::Bad(reason) => Err(reason),
        };
        if let Err(reason) = called {
            let text = format!("{}{MESSAGE}{text}", self.header);
            written.fault(reason, text.clone());
            let before = if written.has_content() { "\n\n" } else { "" };
            written.say(&format!("{before}{text}"));
        }
        self.stage = Stage::Between;
        end.is_some()
    }
}

/// The channel that a header names.
fn channel(header: &str) -> &str {
    let after = header.rsplit_once(CHANNEL).map_or("", |it| it.1);
    after.trim_start().split(|it: char| !it.is_alphanumeric()).next().unwrap_or_default()
}

/// Whom a header is addressed to: the name of a function, without the name of its group.
fn recipient(header: &str) -> Option<&str> {
    let after = header.split_once("to=")?.1;
    let name = after.split(|it: char| it.is_whitespace() || it == '<').next()?;
    (!name.is_empty()).then(|| name.strip_prefix(FUNCTIONS).unwrap_or(name))
}
