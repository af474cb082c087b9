//! Turns whose reasoning and calls are between tags: [`Tagged`].
//!
//! Only what comes first can be reasoning: a tag within an answer is part of it. White space around reasoning and calls
//! belongs to neither, so it waits until it is known what follows it.

use super::call::Parsed;
use super::calls;
use super::format::{CallFormat, CallTag, Tags};
use super::written::Written;

/// Reads one turn.
#[derive(Debug)]
pub(super) struct Tagged {
    tags: Tags,
    /// `None` if nothing is a call.
    calls: Option<CallFormat>,
    stage: Stage,
    /// What is not decided yet.
    held: String,
    /// White space of the content that waits for what follows.
    space: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing but white space so far.
    Start,
    Reasoning,
    /// Reasoning is over, and nothing but white space came since.
    Reasoned,
    Content,
    Call(Open),
}

/// A call that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    /// `None` if the call is the whole text.
    tag: Option<CallTag>,
    /// How much of the held text has no end tag.
    n_searched: usize,
    /// Where the first end tag is that came before the call was complete.
    early_end: Option<usize>,
}

impl Tagged {
    pub(super) fn new(tags: Tags, calls: Option<CallFormat>, is_reasoning: bool) -> Self {
        let stage = if is_reasoning { Stage::Reasoning } else { Stage::Start };
        Self { tags, calls, stage, held: String::new(), space: String::new() }
    }

    pub(super) fn push(&mut self, text: &str, written: &mut Written) {
        self.held.push_str(text);
        self.read(false, written);
    }

    pub(super) fn finish(&mut self, written: &mut Written) {
        self.read(true, written);
        if !written.has_calls() {
            written.say(&std::mem::take(&mut self.space));
        }
    }

    fn read(&mut self, is_end: bool, written: &mut Written) {
        let goes_on = |it: &mut Self, written: &mut Written| match it.stage {
            Stage::Start => it.start(is_end),
            Stage::Reasoning => it.reasoning(is_end, written),
            Stage::Reasoned => {
                it.held = it.held.trim_start().to_owned();
                it.stage = Stage::Content;
                // White space that comes later is none of the answer's either.
                if it.held.is_empty() {
                    it.stage = Stage::Reasoned;
                }
                !it.held.is_empty()
            }
            Stage::Content => it.content(is_end, written),
            Stage::Call(open) => it.call(open, is_end, written),
        };
        while goes_on(self, written) {}
    }

    /// Returns whether there is more to read, as the others do.
    fn start(&mut self, is_end: bool) -> bool {
        let text = self.held.trim_start();
        if let Some(rest) = text.strip_prefix(self.tags.begin) {
            self.held = rest.to_owned();
            self.stage = Stage::Reasoning;
        } else if !is_end && self.tags.begin.starts_with(text) {
            return false;
        } else {
            self.stage = Stage::Content;
        }
        true
    }

    fn reasoning(&mut self, is_end: bool, written: &mut Written) -> bool {
        if !written.has_reasoning() {
            self.held = self.held.trim_start().to_owned();
        }
        if let Some((reasoning, rest)) = self.held.split_once(self.tags.end) {
            written.think(reasoning.trim_end());
            self.held = rest.to_owned();
            self.stage = Stage::Reasoned;
            return true;
        }
        // White space before the end tag is no part of the reasoning, so it waits.
        let n_tag = if is_end { 0 } else { n_begun(&self.held, &[self.tags.end]) };
        let n_certain =
            if is_end { self.held.len() } else { self.held[..self.held.len() - n_tag].trim_end().len() };
        let rest = self.held.split_off(n_certain);
        written.think(&std::mem::replace(&mut self.held, rest));
        false
    }

    fn content(&mut self, is_end: bool, written: &mut Written) -> bool {
        let Some(format) = self.calls else {
            written.say(&std::mem::take(&mut self.held));
            return false;
        };
        if format.is_bare() && !written.has_content() && !written.has_calls() {
            match calls::begins_bare(format, self.held.trim_start(), is_end) {
                Some(true) => {
                    self.stage = Stage::Call(Open { tag: None, n_searched: 0, early_end: None });
                    return true;
                }
                Some(false) => {}
                None => return false,
            }
        }
        let tags = format.tags();
        let first =
            tags.iter().filter_map(|tag| Some((self.held.find(tag.begin)?, tag))).min_by_key(|(at, _)| *at);
        if let Some((at, tag)) = first {
            let rest = self.held.split_off(at + tag.begin.len());
            let mut text = std::mem::replace(&mut self.held, rest);
            text.truncate(at);
            self.say(&text, written);
            self.stage = Stage::Call(Open { tag: Some(*tag), n_searched: 0, early_end: None });
            return true;
        }
        let begins: Vec<&str> = tags.iter().map(|it| it.begin).collect();
        let n_held = if is_end { 0 } else { n_begun(&self.held, &begins) };
        let rest = self.held.split_off(self.held.len() - n_held);
        let text = std::mem::replace(&mut self.held, rest);
        self.say(&text, written);
        false
    }

    /// Says content, except for the white space at its end.
    fn say(&mut self, text: &str, written: &mut Written) {
        let n_text = text.trim_end().len();
        if n_text == 0 {
            self.space.push_str(text);
            return;
        }
        // White space between a call and what follows it is no content.
        let is_after_call = written.has_calls() && !written.has_content();
        let mut all = std::mem::take(&mut self.space);
        all.push_str(&text[..n_text]);
        written.say(if is_after_call { all.trim_start() } else { &all });
        text[n_text..].clone_into(&mut self.space);
    }

    fn call(&mut self, open: Open, is_end: bool, written: &mut Written) -> bool {
        let Some(format) = self.calls else { return false };
        let begins: Vec<&str> = format.tags().iter().map(|it| it.begin).collect();
        let next_call = |from: &str| begins.iter().filter_map(|it| from.find(it)).min();
        let Some(tag) = open.tag else {
            if is_end {
                self.bare_call(format, written);
            }
            return false;
        };
        let Some(end) = tag.end else {
            // Up to the next call.
            let from = start_of_char(&self.held, open.n_searched);
            match next_call(&self.held[from..]) {
                Some(at) => self.close(format, tag, from + at, 0, written),
                None if is_end => self.close(format, tag, self.held.len(), 0, written),
                None => {
                    let longest = begins.iter().map(|it| it.len()).max().unwrap_or(0);
                    self.search_from(open, self.held.len().saturating_sub(longest));
                }
            }
            return matches!(self.stage, Stage::Content);
        };
        let from = start_of_char(&self.held, open.n_searched);
        let Some(at) = self.held[from..].find(end).map(|it| from + it) else {
            if is_end {
                let at = open.early_end.map_or((self.held.len(), 0), |at| (at, end.len()));
                self.close(format, tag, at.0, at.1, written);
                return true;
            }
            if let Some(early) = open.early_end.filter(|it| next_call(&self.held[it + end.len()..]).is_some())
            {
                self.close(format, tag, early, end.len(), written);
                return true;
            }
            self.search_from(open, self.held.len().saturating_sub(end.len()));
            return false;
        };
        if let Some(early) = open.early_end.filter(|it| next_call(&self.held[it + end.len()..at]).is_some()) {
            self.close(format, tag, early, end.len(), written);
            return true;
        }
        // A text within the arguments may have the tag, too.
        if matches!(calls::parsed(format, tag, &self.held[..at], &written.tools), Parsed::Incomplete(_)) {
            let early_end = Some(open.early_end.unwrap_or(at));
            self.stage = Stage::Call(Open { n_searched: at + end.len(), early_end, ..open });
            return true;
        }
        self.close(format, tag, at, end.len(), written);
        true
    }

    fn search_from(&mut self, open: Open, n_searched: usize) {
        self.stage = Stage::Call(Open { n_searched: n_searched.max(open.n_searched), ..open });
    }

    /// Ends a call whose text is the first `n_body` bytes, before an end tag of `n_end`.
    fn close(
        &mut self,
        format: CallFormat,
        tag: CallTag,
        n_body: usize,
        n_end: usize,
        written: &mut Written,
    ) {
        let rest = self.held.split_off(n_body + n_end);
        let whole = std::mem::replace(&mut self.held, rest);
        self.stage = Stage::Content;
        let called = match calls::parsed(format, tag, &whole[..n_body], &written.tools) {
            Parsed::Calls(calls) => written.call(calls),
            Parsed::Incomplete(reason) | Parsed::Bad(reason) => Err(reason),
        };
        match called {
            Ok(()) => self.space.clear(),
            Err(reason) => {
                let text = format!("{}{whole}", tag.begin);
                written.fault(reason, text.clone());
                self.say(&text, written);
            }
        }
    }

    /// Ends a call that is the whole text, or a text that only began like one.
    fn bare_call(&mut self, format: CallFormat, written: &mut Written) {
        let text = std::mem::take(&mut self.held);
        self.stage = Stage::Content;
        let reason = match calls::parsed_bare(format, &text, &written.tools) {
            Parsed::Calls(calls) if calls.iter().all(|it| written.tools.has(&it.name)) => {
                if written.call(calls).is_ok() {
                    self.space.clear();
                    return;
                }
                None
            }
            // Code and JSON are answers, too, unless they name a tool.
            Parsed::Calls(_) => None,
            Parsed::Incomplete(reason) | Parsed::Bad(reason) => {
                calls::names_tool(format, &text, &written.tools).then_some(reason)
            }
        };
        if let Some(reason) = reason {
            written.fault(reason, text.clone());
        }
        self.say(&text, written);
    }
}

/// The number of bytes at the end of `text` that begin one of the `marks`, without being all of it.
pub(super) fn n_begun(text: &str, marks: &[&str]) -> usize {
    let n_of = |mark: &str| {
        let longest = mark.len().saturating_sub(1).min(text.len());
        (1..=longest).rev().find(|it| mark.is_char_boundary(*it) && text.ends_with(&mark[..*it])).unwrap_or(0)
    };
    marks.iter().map(|it| n_of(it)).max().unwrap_or(0)
}

fn start_of_char(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|it| text.is_char_boundary(*it)).unwrap_or(0)
}
