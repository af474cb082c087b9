//! The tasks: [`errands`] reads `set.json` and puts each one's file before it.
//!
//! A task of the kind `bug` has a bug of its file's own, or one that is put in: `right` in the file becomes `wrong`. A
//! log is what a program prints that runs with the task's files.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bench::archives::{self, Archive};

/// Fetched as Python wheels.
const WHEELS: [Archive; 4] = [
    Archive {
        name: "algorithms",
        version: "0.1.4",
        sha256: "ee76609fdf99dc3c6f130f3923b77fc12e8636957791caa89e06743d524b4e15",
    },
    Archive {
        name: "cachetools",
        version: "8.0.2",
        sha256: "502bf3c17c6e35d78ccdaa70da8c7001b28634541f5cde0dee33c93bb252277d",
    },
    Archive {
        name: "colorama",
        version: "0.4.6",
        sha256: "4f1d9991f5acc0ca119f9d443620b77f9d6b33703e51011c16baf57afb285fc6",
    },
    Archive {
        name: "toolz",
        version: "1.2.0",
        sha256: "890f820b1cb8152785aaf9386d8707770110809035800985ca65cb24ce1120ef",
    },
];

/// Fetched from npm.
const NPM: [Archive; 6] = [
    Archive {
        name: "array-move",
        version: "4.0.0",
        sha256: "46a7451cf5647509e386fe9cf91138c56b86ae71fdba1c7f666e0dcc1fa0dd97",
    },
    Archive {
        name: "escape-goat",
        version: "4.0.0",
        sha256: "8ef118c5604556653243a8042160a6d333acca8be8d18a5097f9fcd94c9ce705",
    },
    Archive {
        name: "just-range",
        version: "4.2.0",
        sha256: "d6692758dac56edacc6818d113131c70548d21292190fc3b3f04cfb15aea5798",
    },
    Archive {
        name: "just-truncate",
        version: "2.2.0",
        sha256: "0b477ede0dcdc7e8564d39639bd6525faa5beef6b1f0f4349fdfa65d06a5ea56",
    },
    Archive {
        name: "leven",
        version: "4.1.0",
        sha256: "1cf9b5997cc4d2d4bf09648291e6ad58ee1c9f9cce5c689c90df7e0467911009",
    },
    Archive {
        name: "ordinal",
        version: "1.0.3",
        sha256: "e34b7c69a2aaf708800bfd17fffd9c188b61e5c6d28055814b6a0a4172499e1a",
    },
];

/// What logs are classified as.
pub(super) const LABELS: [&str; 7] = [
    "success",
    "test_failure",
    "syntax_error",
    "missing_dependency",
    "missing_file",
    "network_error",
    "program_error",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Rename,
    Docstring,
    Hints,
    Bug,
    Extract,
    Log,
}

/// How a model is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Way {
    /// Through the tools for files.
    Tools,
    /// As plain chat, for the whole answer.
    Chat,
}

impl Way {
    pub(super) const ALL: [Self; 2] = [Self::Tools, Self::Chat];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Chat => "chat",
        }
    }
}

/// A task and its file.
pub(super) struct Errand {
    pub(super) id: String,
    pub(super) kind: Kind,
    /// Whether nobody looked at its answers while the tools were built.
    pub(super) held_out: bool,
    pub(super) instruction: String,
    pub(super) file_name: String,
    pub(super) text: String,
    /// As it is in the set, for the check.
    pub(super) json: Value,
}

impl Kind {
    pub(super) const ALL: [(Self, &'static str); 6] = [
        (Self::Rename, "rename"),
        (Self::Docstring, "docstring"),
        (Self::Hints, "hints"),
        (Self::Bug, "bug"),
        (Self::Extract, "extract"),
        (Self::Log, "log"),
    ];

    fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, it)| *it == name).map(|(kind, _)| *kind)
    }
}

type Files = HashMap<(&'static str, String), String>;

/// All tasks, with their files.
pub(super) fn errands(folder: &Path) -> Result<Vec<Errand>> {
    let set: Vec<Value> = serde_json::from_str(include_str!("set.json")).context("set.json is not JSON")?;
    let corpus = folder.join("corpus");
    fs::create_dir_all(&corpus)?;
    let mut files = Files::new();
    for package in WHEELS {
        let fetched = archives::wheel(package, &corpus);
        let fetched = fetched.with_context(|| format!("cannot fetch {}", package.name))?;
        // The folder with the metadata is named after the version.
        let plain = |path: String| path.rsplit_once(".dist-info/").map_or(path.clone(), |it| it.1.to_owned());
        files.extend(fetched.into_iter().map(|(path, text)| ((package.name, plain(path)), text)));
    }
    for package in NPM {
        let fetched = archives::npm(package, &corpus);
        let fetched = fetched.with_context(|| format!("cannot fetch {}", package.name))?;
        files.extend(fetched.into_iter().map(|(path, text)| ((package.name, path), text)));
    }
    let logs = folder.join("errands/logs");
    set.into_iter()
        .map(|json| {
            let id = json["id"].as_str().context("a task has no id")?.to_owned();
            errand(json, &id, &files, &logs).with_context(|| format!("the task `{id}`"))
        })
        .collect()
}

fn errand(json: Value, id: &str, files: &Files, logs: &Path) -> Result<Errand> {
    let kind = json["kind"].as_str().and_then(Kind::of).context("it has no known kind")?;
    let (file_name, text) = if kind == Kind::Log {
        ("output.log".to_owned(), log(&json, &logs.join(id), files)?)
    } else {
        let path = json["path"].as_str().context("it has no path")?;
        let package = json["package"].as_str().context("it has no package")?;
        let text = file(files, Some(package), path)?;
        (path.rsplit('/').next().unwrap_or(path).to_owned(), prepared(&json, text)?)
    };
    let instruction = json["instruction"].as_str().unwrap_or("What happened in this log?").to_owned();
    let held_out = json["held_out"] == true;
    Ok(Errand { id: id.to_owned(), kind, held_out, instruction, file_name, text, json })
}

fn file<'f>(files: &'f Files, package: Option<&str>, path: &str) -> Result<&'f str> {
    let found = files.iter().find(|((of, it), _)| it == path && package.is_none_or(|package| package == *of));
    found.map(|it| it.1.as_str()).with_context(|| format!("no package has `{path}`"))
}

/// The file as the task begins with it: some of its lines, or with its bug.
fn prepared(json: &Value, text: &str) -> Result<String> {
    if let Some([first, last]) = json["lines"].as_array().map(Vec::as_slice) {
        let number = |it: &Value| it.as_u64().and_then(|it| usize::try_from(it).ok()).context("no number");
        let (first, last) = (number(first)?, number(last)?);
        return Ok(text
            .lines()
            .skip(first - 1)
            .take(last + 1 - first)
            .map(|it| it.to_owned() + "\n")
            .collect());
    }
    let (Some(right), Some(wrong)) = (json["right"].as_str(), json["wrong"].as_str()) else {
        return Ok(text.to_owned());
    };
    if text.contains(right) {
        return Ok(text.replacen(right, wrong, 1));
    }
    ensure!(text.matches(wrong).count() == 1, "expected its bug once in the file");
    Ok(text.to_owned())
}

/// What the task's program prints; kept, so that it is the same each time.
fn log(json: &Value, folder: &Path, files: &Files) -> Result<String> {
    let kept = folder.join("output.log");
    if let Ok(text) = fs::read_to_string(&kept) {
        return Ok(text);
    }
    fs::create_dir_all(folder)?;
    for (name, parts) in json["files"].as_object().into_iter().flatten() {
        let (Some(path), Some(more)) = (parts[0].as_str(), parts[1].as_str()) else {
            anyhow::bail!("`files` is malformed")
        };
        let import = if more.contains("unittest") { "\n\nimport unittest\n" } else { "" };
        fs::write(folder.join(name), format!("{}{import}\n\n{more}", file(files, None, path)?))?;
    }
    let command = json["run"].as_str().context("it has no command")?;
    let output = Command::new("sh")
        .args(["-c", &format!("{command} 2>&1")])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .context("cannot start `sh`")?;
    let text = format!("$ {command}\n{}", String::from_utf8_lossy(&output.stdout));
    fs::write(&kept, &text)?;
    Ok(text)
}
