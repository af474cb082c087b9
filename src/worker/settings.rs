//! What a person sets once: a file, environment variables and options of the command line, each going before the one
//! named first.
//!
//! All three have the same names: `kv_bits` in the file is `RUNABOUT_KV_BITS` and `--kv-bits`. The file's values become
//! defaults of the options, so clap checks and ranks them, and knows where each value came from.

mod file;
mod names;

use clap::builder::FalseyValueParser;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};

pub(crate) use file::SettingsFile;
pub(crate) use names::NAMES;

use crate::cli::Cli;

/// Where a setting's value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Unset,
    BuiltIn,
    File,
    Environment,
    CommandLine,
}

/// The command line as parsed, with what it left to the environment and the file.
pub(crate) struct Parsed {
    pub(crate) cli: Cli,
    pub(crate) matches: ArgMatches,
    pub(crate) file: SettingsFile,
}

/// The variable of a setting.
pub(crate) fn variable(name: &str) -> String {
    format!("RUNABOUT_{}", name.to_uppercase())
}

/// Parses the command line. What is wrong with it ends the process, as does a request for help.
pub(crate) fn parse() -> anyhow::Result<Parsed> {
    let file = SettingsFile::read(|it| std::env::var_os(it))?;
    let command = with_settings(Cli::command(), &file);
    check(&command, &file)?;
    let matches = command.get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    Ok(Parsed { cli, matches, file })
}

/// The command with a variable for each setting, and the file's values as defaults.
pub(crate) fn with_settings(command: Command, file: &SettingsFile) -> Command {
    let command = command.mut_args(|arg| {
        let name = arg.get_id().to_string();
        // A setting without an option, such as a folder that is an argument, has another name.
        if !NAMES.contains(&name.as_str()) || arg.get_long().is_none() {
            return arg;
        }
        let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
        let arg = arg.env(variable(&name));
        let arg = if is_switch { arg.value_parser(FalseyValueParser::new()) } else { arg };
        match file.get(&name) {
            Some(value) => arg.default_value(value.to_owned()),
            None => arg,
        }
    });
    command.mut_subcommands(|it| with_settings(it, file))
}

/// Checks the file's values by the rules of their options, so that an error names the file.
fn check(command: &Command, file: &SettingsFile) -> anyhow::Result<()> {
    let all: Vec<_> = command.get_subcommands().flat_map(Command::get_arguments).collect();
    for (name, value) in file.values() {
        let Some(arg) = all.iter().find(|it| it.get_id() == name && it.get_long().is_some()) else {
            continue;
        };
        // Alone, so that no other option is in question.
        let arg = (*arg).clone().env(None::<&str>);
        let long = format!("--{}", arg.get_long().unwrap_or_default());
        let parsed = Command::new("runabout")
            .arg(arg.action(ArgAction::Set).num_args(1).default_value(None::<&str>))
            .try_get_matches_from(["runabout", &long, value]);
        if let Err(error) = parsed {
            let said = error.to_string();
            let reason = said.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            anyhow::bail!("`{name}` in `{}`: {reason}", file.path().display());
        }
    }
    Ok(())
}

/// The value of a setting for a command, and where it came from.
pub(crate) fn value(matches: &ArgMatches, file: &SettingsFile, name: &str) -> (Option<String>, Origin) {
    let value = matches.try_get_raw(name).ok().flatten();
    let value = value.map(|it| it.map(|it| it.to_string_lossy().into_owned()).collect::<Vec<_>>().join(","));
    let origin = match matches.value_source(name) {
        Some(ValueSource::CommandLine) => Origin::CommandLine,
        Some(ValueSource::EnvVariable) => Origin::Environment,
        Some(_) if file.get(name).is_some() => Origin::File,
        Some(_) => Origin::BuiltIn,
        None => Origin::Unset,
    };
    (value, origin)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn file(text: &str) -> SettingsFile {
        SettingsFile::parse("config.toml".into(), text).unwrap()
    }

    #[test]
    fn every_setting_is_an_option_of_some_command() {
        let command = Cli::command();
        let all: Vec<_> = command.get_subcommands().flat_map(Command::get_arguments).collect();
        for name in NAMES {
            let long = name.replace('_', "-");
            assert!(all.iter().any(|it| it.get_long() == Some(&long) && it.get_id() == name), "{name}");
        }
    }

    #[test]
    fn an_option_goes_before_the_file_and_the_file_before_what_is_built_in() {
        let file = file("threads = 3\nmodel = \"a\"\noffline = true\n");
        let matches =
            with_settings(Cli::command(), &file).get_matches_from(["runabout", "serve", "--threads", "5"]);
        let serve = matches.subcommand_matches("serve").unwrap();
        let text = |it: &str| Some(it.to_owned());
        assert_eq!(value(serve, &file, "threads"), (text("5"), Origin::CommandLine));
        assert_eq!(value(serve, &file, "model"), (text("a"), Origin::File));
        assert_eq!(value(serve, &file, "max_queued"), (text("64"), Origin::BuiltIn));
        assert_eq!(value(serve, &file, "precision"), (None, Origin::Unset));
        assert!(serve.get_flag("offline"));
    }

    #[test]
    fn a_wrong_value_in_the_file_is_refused_by_its_name_and_the_files() {
        for (text, said) in [
            ("threads = 0", "`threads` in `config.toml`: invalid value '0'"),
            ("device = \"tpu\"", "`device` in `config.toml`: invalid value 'tpu'"),
            ("precision = \"f64\"", "`precision` in `config.toml`: invalid value 'f64'"),
        ] {
            let file = file(text);
            let error = check(&with_settings(Cli::command(), &file), &file).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
        let fine = file("threads = 2\noffline = false\ntemperature = 0.5\n");
        check(&with_settings(Cli::command(), &fine), &fine).unwrap();
    }
}
