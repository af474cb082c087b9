//! What a long operation says about itself while it runs.

use std::time::{Duration, Instant};

/// Reports of one stage are at least this far apart; a quarter of what the wire promises.
const INTERVAL: Duration = Duration::from_millis(100);

/// One report. Within a stage `done` only grows, until a retry begins it anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub stage: Stage,
    /// Bytes done of this stage.
    pub done: u64,
    /// Bytes of the whole stage, where that is known.
    pub total: Option<u64>,
}

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Bytes come from a hub or a package index.
    Download,
    /// A GGUF file is being converted.
    Import,
    /// Files are being hashed.
    Verify,
}

impl Stage {
    /// As the wire spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Import => "import",
            Self::Verify => "verify",
        }
    }
}

/// Hands reports on, thinned out. The first and the last of each stage always pass.
pub(crate) struct Reporter<'a> {
    sink: &'a mut dyn FnMut(Progress),
    last: Option<(Stage, Instant)>,
}

impl<'a> Reporter<'a> {
    pub(crate) fn new(sink: &'a mut dyn FnMut(Progress)) -> Self {
        Self { sink, last: None }
    }

    pub(crate) fn report(&mut self, stage: Stage, done: u64, total: Option<u64>) {
        let is_due = match self.last {
            Some((last_stage, at)) => last_stage != stage || at.elapsed() >= INTERVAL || Some(done) == total,
            None => true,
        };
        if is_due {
            self.last = Some((stage, Instant::now()));
            (self.sink)(Progress { stage, done, total });
        }
    }
}
