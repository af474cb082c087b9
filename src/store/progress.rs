//! Reports on the progress of long operations: [`Progress`].

use std::time::{Duration, Instant};

/// The shortest time between two reports of a stage; a quarter of what the protocol promises.
const INTERVAL: Duration = Duration::from_millis(100);

/// One report. Within a stage `done` only grows, unless a retry starts over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub stage: Stage,
    /// Bytes done in this stage.
    pub done: u64,
    /// The bytes of the whole stage, if known.
    pub total: Option<u64>,
}

/// The operation in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Bytes are being downloaded from a hub or a package index.
    Download,
    /// A GGUF file is being converted.
    Import,
    /// Files are being hashed.
    Verify,
}

impl Stage {
    /// The stage's name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Import => "import",
            Self::Verify => "verify",
        }
    }
}

/// Passes reports on, but not too often. The first and the last of each stage are always passed on.
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
