//! Counts the calls of tools in a file of this machine, for `runabout stats`: [`CallLog`].
//!
//! Each call is a line of JSON that is appended at once, so several processes can share the file. It has numbers and the
//! tool's name: no texts and no paths. When the file has grown large, it becomes the older of two, and the one before
//! that is dropped.

use std::borrow::Cow;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A file that is larger becomes the older one: some tens of thousands of calls.
const MAX_BYTES: u64 = 4 << 20;

/// A call of a tool, as it is counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CountedCall {
    pub(crate) tool: Cow<'static, str>,
    pub(crate) failed: bool,
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    pub(crate) seconds: f64,
}

/// The file in which calls are counted.
#[derive(Clone, Debug)]
pub(crate) struct CallLog {
    path: PathBuf,
}

impl CallLog {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a call. A failure is logged once and otherwise ignored: counting must not disturb the work.
    pub(crate) fn append(&self, call: &CountedCall) {
        if let Err(error) = self.try_append(call) {
            tracing::debug!(%error, path = %self.path.display(), "the call is not counted");
        }
    }

    /// All calls that are still known, the oldest first. What cannot be read is left out.
    pub(crate) fn read(&self) -> Vec<CountedCall> {
        let read = |path: &Path| fs::read(path).unwrap_or_default();
        let bytes = [read(&self.older()), b"\n".to_vec(), read(&self.path)].concat();
        bytes.split(|it| *it == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    fn try_append(&self, call: &CountedCall) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        if fs::metadata(&self.path).is_ok_and(|it| it.len() > MAX_BYTES) {
            fs::rename(&self.path, self.older())?;
        }
        let mut line = serde_json::to_vec(call)?;
        line.push(b'\n');
        // One write, so that the lines of other processes are not mixed in.
        OpenOptions::new().create(true).append(true).open(&self.path)?.write_all(&line)
    }

    fn older(&self) -> PathBuf {
        self.path.with_extension("older.jsonl")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn call(prompt_tokens: u64) -> CountedCall {
        CountedCall {
            tool: "generate".into(),
            failed: false,
            prompt_tokens,
            completion_tokens: 1,
            seconds: 0.5,
        }
    }

    #[test]
    fn calls_are_kept_in_their_order_and_a_line_that_was_cut_off_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let log = CallLog::new(folder.path().join("state/calls.jsonl"));
        assert!(log.read().is_empty());
        log.append(&call(1));
        log.append(&call(2));
        let mut file = OpenOptions::new().append(true).open(log.path()).unwrap();
        file.write_all(b"{\"tool\":\"gen\n\xff\n").unwrap();
        log.append(&call(3));
        assert_eq!(log.read(), [call(1), call(2), call(3)]);
    }

    #[test]
    fn a_large_file_is_replaced_and_still_counted() {
        let folder = tempfile::tempdir().unwrap();
        let log = CallLog::new(folder.path().join("calls.jsonl"));
        log.append(&call(1));
        let file = OpenOptions::new().append(true).open(log.path()).unwrap();
        file.set_len(MAX_BYTES + 1).unwrap();
        log.append(&call(2));
        log.append(&call(3));
        assert!(fs::metadata(log.path()).unwrap().len() < 1000);
        assert_eq!(log.read(), [call(1), call(2), call(3)]);
    }

    #[test]
    fn a_place_where_nothing_can_be_written_disturbs_nobody() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let log = CallLog::new(folder.path().join("file/calls.jsonl"));
        log.append(&call(1));
        assert!(log.read().is_empty());
    }
}
