//! Follows a run and writes its text as it comes: [`follow`].

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result};
use runabout_assist::{Finish, FinishReason, Outcome, Run, Update};

use crate::output;

/// What is said of a text that has reached its maximum of tokens.
pub(super) const CUT: &str = "(cut off; `--max-tokens` allows longer texts)";

/// Where the text of a run goes.
pub(super) trait Sink {
    fn text(&mut self, text: &str) -> io::Result<()>;

    /// What the model thinks before it answers.
    fn reasoning(&mut self, text: &str) -> io::Result<()>;
}

/// Follows a run to its end. Ctrl-C ends the text early, and is no error.
pub(super) async fn follow(mut run: Run, sink: &mut impl Sink) -> Result<Outcome> {
    loop {
        tokio::select! {
            update = run.next() => match update.context("the engine ended without a result")?? {
                Update::Prefill { .. } => {}
                Update::Reasoning { text } => sink.reasoning(&text)?,
                Update::Text { text, .. } => sink.text(&text)?,
                Update::Done(outcome) => return Ok(outcome),
            },
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                run.cancel();
            }
        }
    }
}

/// Tells a person at a terminal that a text ended only because it may not be longer.
pub(super) fn tell_if_cut(finish: &Finish) {
    if matches!(finish.reason, FinishReason::Length) && io::stderr().is_terminal() {
        output::tell(format_args!("{CUT}"));
    }
}

/// Writes texts as they are, and reasoning in a paragraph of its own.
pub(super) struct Plain<W> {
    out: W,
    is_reasoning: bool,
}

impl<W: Write> Plain<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, is_reasoning: false }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write> Sink for Plain<W> {
    fn text(&mut self, text: &str) -> io::Result<()> {
        if std::mem::take(&mut self.is_reasoning) {
            self.write("\n\n")?;
        }
        self.write(text)
    }

    fn reasoning(&mut self, text: &str) -> io::Result<()> {
        self.is_reasoning = true;
        self.write(text)
    }
}

/// Writes nothing, for a caller that wants the outcome only.
pub(super) struct Silent;

impl Sink for Silent {
    fn text(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn reasoning(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }
}
