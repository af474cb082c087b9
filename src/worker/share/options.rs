//! The options that front ends must have in common to share a model: [`SharedOptions`].

use std::env;
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::absolute;
use std::time::UNIX_EPOCH;

use crate::cli::{LingerArgs, ServeArgs, whole_reference};
use clap::{ArgAction, ArgMatches, Args, Command};

/// Variables that change what a process with a model does. Those of the program itself count by their prefix.
const VARIABLES: [&str; 4] = ["HOME", "HF_", "RUNABOUT_", "XDG_"];
/// These change only what concerns a single client, or only the log.
const EXCEPTIONS: [&str; 5] =
    ["RUNABOUT_ALONE", "RUNABOUT_LINGER", "RUNABOUT_LOG", "RUNABOUT_NO_HISTORY", "RUNABOUT_NO_STATS"];

/// Everything that decides how the model works, and nothing that concerns a single client only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SharedOptions {
    /// As a command line: every option with its value, wherever that came from, and paths that hold in any folder.
    arguments: Vec<OsString>,
    /// The first front end's; those that follow accept it.
    linger: OsString,
}

impl SharedOptions {
    /// The options of a command with [`ServeArgs`] and [`LingerArgs`].
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let command = ServeArgs::augment_args(Command::new("serve"));
        let arguments = command.get_arguments().flat_map(|arg| {
            let (name, long) = (arg.get_id().as_str(), arg.get_long().unwrap_or_default());
            if matches!(arg.get_action(), ArgAction::SetTrue) {
                return matches.get_flag(name).then(|| format!("--{long}").into()).into_iter().collect();
            }
            let values = matches.get_raw(name).into_iter().flatten();
            let in_full = |it: &OsStr| match name {
                "model" | "draft_model" => whole_reference(it),
                "adapter" | "hosts" => absolute(it).map_or_else(|_| it.to_owned(), Into::into),
                _ => it.to_owned(),
            };
            values.map(|it| option(long, &in_full(it))).collect::<Vec<OsString>>()
        });
        let arguments = arguments.collect();
        let linger = matches.get_raw(LingerArgs::NAME).into_iter().flatten().next();
        Self { arguments, linger: option(LingerArgs::NAME, linger.unwrap_or_default()) }
    }

    /// The command line of the process that shares the model, behind its command.
    pub(super) fn arguments(&self) -> impl Iterator<Item = &OsStr> {
        self.arguments.iter().chain([&self.linger]).map(OsString::as_os_str)
    }

    /// The same for all front ends that can share a process. Another version of the program has another key.
    pub(super) fn key(&self) -> u64 {
        let program = env::current_exe().ok();
        let built = program.as_deref().and_then(|it| it.metadata().ok()).map(|it| {
            let time = it.modified().ok().and_then(|it| it.duration_since(UNIX_EPOCH).ok());
            (it.len(), time)
        });
        let mut hasher = DefaultHasher::new();
        (program, built, &self.arguments, variables(env::vars_os())).hash(&mut hasher);
        hasher.finish()
    }
}

fn option(long: &str, value: &OsStr) -> OsString {
    let mut option = OsString::from(format!("--{long}="));
    option.push(value);
    option
}

/// Those that count, in order.
fn variables(all: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let counts = |name: &str| VARIABLES.iter().any(|it| name.starts_with(it)) && !EXCEPTIONS.contains(&name);
    let mut those: Vec<_> = all.filter(|it| it.0.to_str().is_some_and(counts)).collect();
    those.sort();
    those
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::{CommandFactory, FromArgMatches};

    use super::*;
    use crate::cli::Cli;
    use crate::cli::Command as Subcommand;

    fn options(line: &str) -> SharedOptions {
        let matches = Cli::command().get_matches_from(line.split(' '));
        SharedOptions::of(matches.subcommand().unwrap().1)
    }

    #[test]
    fn the_process_that_is_started_has_the_options_of_the_front_end() {
        let line = "runabout mcp --model hf:a/b --threads 3 --offline --root x --no-stats --linger 7";
        let front = options(line);
        let started: Vec<_> =
            ["runabout", "share"].map(OsStr::new).into_iter().chain(front.arguments()).collect();
        let matches = Cli::command().get_matches_from(started);
        let Subcommand::Share(share) = Cli::from_arg_matches(&matches).unwrap().command else {
            panic!("it is another command")
        };
        let model = &share.serve.model;
        assert_eq!((model.model.as_str(), model.threads.unwrap().get(), model.offline), ("hf:a/b", 3, true));
        assert_eq!(share.linger.linger, 7);
        let of_share = SharedOptions::of(matches.subcommand().unwrap().1);
        assert_eq!(of_share, front);
        assert_eq!(of_share.key(), front.key());
    }

    #[test]
    fn what_concerns_the_model_counts_and_what_concerns_a_client_does_not() {
        let key = |line: &str| options(line).key();
        let usual = key("runabout lsp");
        assert_eq!(usual, key("runabout mcp --root a --preload --no-stats"));
        assert_eq!(usual, key("runabout acp --no-history --linger 1"));
        for other in ["--model=smollm2-135m", "--threads=1", "--offline", "--max-queued=2", "--kv-bits=8"] {
            assert_ne!(usual, key(&format!("runabout lsp {other}")), "{other}");
        }
        let all =
            ["HOME", "HF_TOKEN", "RUNABOUT_HOME", "RUNABOUT_LOG", "PATH"].map(|it| (it.into(), "x".into()));
        let counted: Vec<_> = variables(all.into_iter()).into_iter().map(|it| it.0).collect();
        assert_eq!(counted, ["HF_TOKEN", "HOME", "RUNABOUT_HOME"]);
    }

    #[test]
    fn a_path_is_made_to_hold_in_any_folder() {
        let here = env::current_dir().unwrap();
        assert_eq!(whole_reference(OsStr::new("./m.gguf")), here.join("m.gguf").into_os_string());
        assert_eq!(whole_reference(OsStr::new("qwen2.5-coder-0.5b")), "qwen2.5-coder-0.5b");
        assert_eq!(whole_reference(OsStr::new("hf:a/b")), "hf:a/b");
    }
}
