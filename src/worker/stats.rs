//! `runabout stats`: what agents have handed to the model, and what they were spared by it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::calls::{CallLog, CountedCall};
use crate::cli::StatsArgs;
use crate::state;

/// The tools that read files themselves, so that the files' text does not pass through the agent's model.
const READERS: [&str; 3] = ["edit_files", "map_files", "write_tests"];

/// What calls came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Sum {
    calls: u64,
    failed: u64,
    /// Tokens of prompts.
    read_tokens: u64,
    /// Tokens that the model wrote.
    written_tokens: u64,
    seconds: f64,
}

/// The sums of all tools.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Stats {
    tools: BTreeMap<String, Sum>,
    total: Sum,
    /// Tokens of files, with the instructions about them, that the agent's model did not have to read.
    spared_reading_tokens: u64,
}

pub(crate) fn run(args: &StatsArgs) -> Result<()> {
    let path =
        state::calls().context("the environment names no home folder, where calls would be counted")?;
    let log = CallLog::new(path);
    let stats = Stats::of(&log.read());
    let text = if args.json { serde_json::to_string(&stats)? + "\n" } else { stats.table(&log) };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

impl Stats {
    fn of(calls: &[CountedCall]) -> Self {
        let mut stats = Self::default();
        for call in calls {
            stats.tools.entry(call.tool.to_string()).or_default().add(call);
            stats.total.add(call);
            if READERS.contains(&call.tool.as_ref()) {
                stats.spared_reading_tokens += call.prompt_tokens;
            }
        }
        stats
    }

    fn table(&self, log: &CallLog) -> String {
        let place = log.path().display();
        if self.total.calls == 0 {
            return format!("No agent has called a tool yet (counted in {place}).\n");
        }
        let row = |name: &str, sum: &Sum| {
            let Sum { calls, failed, read_tokens, written_tokens, seconds } = sum;
            format!("{name:<14}{calls:>8}{failed:>8}{read_tokens:>14}{written_tokens:>14}{seconds:>11.0} s\n")
        };
        let mut table = format!(
            "{:<14}{:>8}{:>8}{:>14}{:>14}{:>13}\n",
            "tool", "calls", "failed", "tokens read", "written", "time"
        );
        for (name, sum) in &self.tools {
            table.push_str(&row(name, sum));
        }
        table.push_str(&row("total", &self.total));
        let _ = write!(
            table,
            "\nThe agents' own models did not have to write these {} tokens, nor to read {} tokens of files.\nCounted in {place}.\n",
            self.total.written_tokens, self.spared_reading_tokens
        );
        table
    }
}

impl Sum {
    fn add(&mut self, call: &CountedCall) {
        self.calls += 1;
        self.failed += u64::from(call.failed);
        self.read_tokens += call.prompt_tokens;
        self.written_tokens += call.completion_tokens;
        self.seconds += call.seconds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_tools_read_themselves_was_spared() {
        let call = |tool: &'static str, failed| CountedCall {
            tool: tool.into(),
            failed,
            prompt_tokens: 100,
            completion_tokens: 10,
            seconds: 0.5,
        };
        let stats =
            Stats::of(&[call("generate", false), call("edit_files", false), call("edit_files", true)]);
        let sum = |calls, failed| Sum {
            calls,
            failed,
            read_tokens: 100 * calls,
            written_tokens: 10 * calls,
            seconds: 0.5 * calls as f64,
        };
        assert_eq!(stats.total, sum(3, 1));
        assert_eq!(stats.tools["edit_files"], sum(2, 1));
        assert_eq!(stats.spared_reading_tokens, 200);
    }
}
