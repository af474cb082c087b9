//! A child process that exchanges JSON values with us over its pipes, one per line: [`Child`].
//!
//! Its stderr goes to a log file, which errors name. Dropping a `Child` kills the process, so that a failed run leaves
//! nothing behind. This file does not know what the lines mean.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The unit of the times in `/proc`: `USER_HZ`, which is 100 on every architecture.
pub(super) const TICK: Duration = Duration::from_millis(10);

pub(in crate::bench) struct Child {
    process: std::process::Child,
    /// `None` once it has been closed, which ends the program.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    log: PathBuf,
}

impl Child {
    pub(in crate::bench) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let stderr = File::create(log).with_context(|| format!("cannot create `{}`", log.display()))?;
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot start `{}`", command.get_program().display()))?;
        let stdin = process.stdin.take();
        let stdout = BufReader::new(process.stdout.take().context("stdout is piped")?);
        Ok(Self { process, stdin, stdout, log: log.to_owned() })
    }

    pub(in crate::bench) fn send(&mut self, message: &Value) -> Result<()> {
        let stdin = self.stdin.as_mut().context("a program takes input until it is stopped")?;
        writeln!(stdin, "{message}").and_then(|()| stdin.flush()).with_context(|| self.ended())
    }

    pub(in crate::bench) fn receive(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            bail!(self.ended());
        }
        serde_json::from_str(&line).with_context(|| format!("expected JSON, got `{}`", line.trim_end()))
    }

    /// The peak of the process's resident memory, mapped files included.
    pub(super) fn peak_bytes(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
        peak_bytes(&status).with_context(|| format!("no `VmHWM` in `{path}`"))
    }

    /// The time that the process, with all its threads, has had on CPUs, in steps of 10 ms.
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.process.id());
        let stat = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
        let ticks = cpu_ticks(&stat).with_context(|| format!("no times in `{path}`"))?;
        Ok(ticks * TICK)
    }

    /// Closes the input and waits for the process to end.
    pub(in crate::bench) fn stop(mut self) -> Result<()> {
        drop(self.stdin.take());
        let status = self.process.wait()?;
        anyhow::ensure!(status.success(), "it ended with {status}\nhint: see `{}`", self.log.display());
        Ok(())
    }

    fn ended(&self) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let last = said.lines().last().unwrap_or("it said nothing");
        format!("the program has ended: {last}\nhint: see `{}`", self.log.display())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only if the process has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The ticks in user mode and in the kernel. The name before them is in parentheses and may contain spaces.
fn cpu_ticks(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut ticks = rest.split(' ').skip(11).map_while(|it| it.parse::<u32>().ok());
    Some(ticks.next()? + ticks.next()?)
}

fn peak_bytes(status: &str) -> Option<u64> {
    let kibibytes = status.lines().find_map(|it| it.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    Some(kibibytes.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn the_peak_is_read_in_bytes() {
        let status = "Name:\tcat\nVmPeak:\t    9000 kB\nVmHWM:\t    1234 kB\nVmRSS:\t     100 kB\n";
        assert_eq!(peak_bytes(status), Some(1234 * 1024));
        assert_eq!(peak_bytes("Name:\tcat\n"), None);
    }

    #[test]
    fn the_time_on_cpus_is_that_of_user_and_kernel() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 31 9 9 20 0 1 0 100 1000 10";
        assert_eq!(cpu_ticks(stat), Some(281));
        assert_eq!(cpu_ticks("7 (a) S 1"), None);
    }

    #[test]
    fn lines_go_both_ways_and_closing_the_input_ends_the_program() {
        let scratch = tempfile::tempdir().unwrap();
        let mut echo = Child::start(&mut Command::new("cat"), &scratch.path().join("log")).unwrap();
        echo.send(&json!({"a": 1})).unwrap();
        assert_eq!(echo.receive().unwrap(), json!({"a": 1}));
        assert!(echo.peak_bytes().unwrap() > 0);
        echo.stop().unwrap();
    }

    #[test]
    fn the_error_for_a_program_that_dies_quotes_it() {
        let scratch = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such model >&2; exit 3"]);
        let mut child = Child::start(&mut command, &scratch.path().join("log")).unwrap();
        let error = child.receive().unwrap_err().to_string();
        assert!(error.starts_with("the program has ended: no such model\nhint: see `"), "{error}");
        assert!(child.stop().unwrap_err().to_string().contains("exit status: 3"));
    }
}
