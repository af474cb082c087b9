//! The file with a person's settings, in TOML: [`SettingsFile`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use super::names::NAMES;

/// Names the file; empty for none.
const VARIABLE: &str = "RUNABOUT_CONFIG";
const FILE: &str = "config.toml";

/// The settings of a file, as the texts that options would get.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettingsFile {
    path: PathBuf,
    is_there: bool,
    values: BTreeMap<String, String>,
}

impl SettingsFile {
    /// Reads the file. That it is not there is no error, unless the environment names it.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let named = variable(VARIABLE);
        let Some(path) = named.clone().map(PathBuf::from).or_else(|| usual_path(variable)) else {
            return Ok(Self::default());
        };
        if path.as_os_str().is_empty() {
            return Ok(Self::default());
        }
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self { is_there: true, ..Self::parse(path, &text)? }),
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => {
                Ok(Self { path, ..Self::default() })
            }
            Err(error) => {
                Err(error).with_context(|| format!("cannot read the settings in `{}`", path.display()))
            }
        }
    }

    pub(super) fn parse(path: PathBuf, text: &str) -> Result<Self> {
        let table: Table = text.parse().with_context(|| format!("`{}` is not valid TOML", path.display()))?;
        let mut values = BTreeMap::new();
        for (name, value) in table {
            if !NAMES.contains(&name.as_str()) {
                bail!("there is no setting `{name}`, named in `{}`\nhint: {}", path.display(), hint(&name));
            }
            let value = scalar(&value).with_context(|| {
                format!("`{name}` in `{}` must be a text, a number, true or false", path.display())
            })?;
            values.insert(name, value);
        }
        Ok(Self { path, is_there: false, values })
    }

    /// Where it is, or would be; empty if the environment names no home.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_there(&self) -> bool {
        self.is_there
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// `$RUNABOUT_HOME/config.toml`, or else the place that the system has for this.
fn usual_path(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name: &str| variable(name).map(PathBuf::from).filter(|it| it.is_absolute());
    if let Some(home) = path("RUNABOUT_HOME") {
        return Some(home.join(FILE));
    }
    let folder = if cfg!(target_os = "macos") {
        path("HOME")?.join("Library/Application Support")
    } else {
        path("XDG_CONFIG_HOME").or_else(|| Some(path("HOME")?.join(".config")))?
    };
    Some(folder.join("runabout").join(FILE))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Array(_) | Value::Table(_) | Value::Datetime(_) => None,
    }
}

/// The name that is most like `name`, or all names.
fn hint(name: &str) -> String {
    let name = name.replace('-', "_").to_lowercase();
    let likeness = |it: &&&str| strsim::jaro_winkler(it, &name);
    let nearest = NAMES.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest.filter(|it| likeness(it) > 0.8) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("the settings are {}", NAMES.map(|it| format!("`{it}`")).join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_file_is_where_the_person_or_else_the_system_wants_it() {
        let path = |variables: &[(&str, &str)]| {
            usual_path(|name| variables.iter().find(|it| it.0 == name).map(|it| it.1.into()))
        };
        let home = ("HOME", "/people/me");
        assert_eq!(path(&[home, ("RUNABOUT_HOME", "/r")]), Some("/r/config.toml".into()));
        assert_eq!(path(&[]), None);
        if !cfg!(target_os = "macos") {
            assert_eq!(path(&[home]), Some("/people/me/.config/runabout/config.toml".into()));
            assert_eq!(path(&[home, ("XDG_CONFIG_HOME", "/c")]), Some("/c/runabout/config.toml".into()));
        }
    }

    #[test]
    fn a_file_that_is_missing_is_empty_and_one_that_is_named_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_owned();
        let read = |variable: &'static str, value: PathBuf| {
            SettingsFile::read(move |it| (it == variable).then(|| value.clone().into()))
        };
        assert!(!read("RUNABOUT_HOME", home.clone()).unwrap().is_there());
        let refused = read(VARIABLE, home.join("no.toml")).unwrap_err().to_string();
        assert!(refused.contains("no.toml"), "{refused}");
        assert!(!read(VARIABLE, PathBuf::new()).unwrap().is_there());
        fs::write(home.join(FILE), "threads = 2\n").unwrap();
        let file = read("RUNABOUT_HOME", home).unwrap();
        assert!(file.is_there());
        assert_eq!(file.get("threads"), Some("2"));
    }

    #[test]
    fn what_is_no_setting_is_refused_with_the_nearest_one() {
        for (text, said) in [
            ("thread = 2", "hint: did you mean `threads`?"),
            ("kv-bits = 8", "hint: did you mean `kv_bits`?"),
            ("qqq = 1", "hint: the settings are `model`"),
            ("threads = [2]", "must be a text, a number, true or false"),
            ("threads = ", "is not valid TOML"),
        ] {
            let error = SettingsFile::parse("c.toml".into(), text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
