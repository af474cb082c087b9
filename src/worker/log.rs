//! Logs go to stderr, since stdout belongs to the protocol. `RUNABOUT_LOG` sets the level, by default `warn`.
//! Commands for a person say themselves why the engine has ended, so its log of that is off there.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::Command;

const SERVING: &str = "warn";
const FOR_A_PERSON: &str = "warn,runabout_engine::engine=off";

pub(crate) fn init(command: &Command) {
    let by_default = if command.serves() { SERVING } else { FOR_A_PERSON };
    let wanted = std::env::var("RUNABOUT_LOG").ok().filter(|it| !it.is_empty());
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::WARN.into())
        .parse_lossy(wanted.as_deref().unwrap_or(by_default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // They would be told on stderr, and that one cannot be written to, for example on a full disk, ends the process.
        .log_internal_errors(false)
        .init();
}
