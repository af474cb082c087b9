//! `runabout config`: what the settings come to, and where each value came from.

use std::fmt::Write as _;
use std::io::Write;

use anyhow::Result;
use clap::ArgMatches;
use serde::Serialize;

use crate::settings::{self, Origin, SettingsFile};

#[derive(Serialize)]
struct Report {
    file: String,
    file_exists: bool,
    settings: Vec<Setting>,
}

#[derive(Serialize)]
struct Setting {
    name: &'static str,
    value: Option<String>,
    origin: String,
}

/// `matches` are those of the command.
pub(crate) fn run(is_json: bool, matches: &ArgMatches, file: &SettingsFile) -> Result<()> {
    let settings = settings::NAMES.map(|name| {
        let (value, origin) = settings::value(matches, file, name);
        let origin = match origin {
            Origin::Unset => "not set".to_owned(),
            Origin::BuiltIn => "default".to_owned(),
            Origin::File => file.path().display().to_string(),
            Origin::Environment => settings::variable(name),
            Origin::CommandLine => format!("--{}", name.replace('_', "-")),
        };
        Setting { name, value, origin }
    });
    let path = file.path().display().to_string();
    let report = Report { file: path, file_exists: file.is_there(), settings: settings.into() };
    let text = if is_json { serde_json::to_string(&report)? + "\n" } else { report.toml() };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

impl Report {
    /// The settings as a file would have them; those that are not set are comments.
    fn toml(&self) -> String {
        let state = if self.file_exists || self.file.is_empty() { "" } else { " (not there yet)" };
        let file = if self.file.is_empty() { "none" } else { &self.file };
        let mut text = format!("# The file for settings: {file}{state}\n");
        for Setting { name, value, origin } in &self.settings {
            let line = match value {
                Some(value) => format!("{name} = {}", literal(value)),
                None => format!("# {name} ="),
            };
            let _ = writeln!(text, "{line:<40} # {origin}");
        }
        text
    }
}

/// A value in TOML.
fn literal(value: &str) -> String {
    let is_bare = value.parse::<toml::Value>().is_ok_and(|it| !it.is_str() && !it.is_datetime());
    if is_bare { value.to_owned() } else { toml::Value::from(value).to_string() }
}
