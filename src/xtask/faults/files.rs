//! Damaged files: each is refused with an error or works, and never ends the process.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::clients::end;
use super::lab::Lab;
use super::outcome::Outcome;
use crate::hostile::mutation::Mutator;
use crate::program::Program;

/// Serves the tiny model's folder, one of whose files is damaged.
pub(super) fn folders(lab: &Lab) -> Result<Outcome> {
    let home = lab.home()?;
    let (mut mutator, mut n_refused) = (Mutator::new(Vec::new(), lab.args.seed), 0);
    for i in 0..lab.args.files {
        let (model, what) = damaged_folder(lab, home.path(), &mut mutator, i)?;
        let mut command = lab.command(home.path());
        command.args(["serve", "--offline", "--model"]).arg(&model);
        let mut program = Program::start("serve", command, &lab.log())?;
        let mut ask = || -> Result<bool> {
            let answer = program.call("complete", &json!({"prefix": "a", "max_tokens": 2}))?;
            let kind = answer["error"]["data"]["kind"].as_str();
            let is_refused = kind.is_some_and(|it| it == "model_load_failed" || it == "out_of_memory");
            ensure!(is_refused || answer.get("result").is_some(), "the answer is {answer}");
            program.call("status", &json!({}))?["result"].as_object().context("no status")?;
            Ok(is_refused)
        };
        n_refused +=
            usize::from(ask().and_then(|it| end(program).map(|()| it)).with_context(|| kept(&model, &what))?);
        fs::remove_dir_all(&model)?;
    }
    Ok(Outcome::Handled(format!(
        "{} folders, one answer each, then the next: {n_refused} refused, the others still work",
        lab.args.files
    )))
}

/// Imports a damaged GGUF file.
pub(super) fn gguf(lab: &Lab) -> Result<Outcome> {
    let home = lab.home()?;
    let mut mutator = Mutator::new(Vec::new(), lab.args.seed);
    let contents = fs::read(&lab.gguf)?;
    // Most of it is weights, in which nothing can be wrong.
    let n_header = contents.len().min(8 << 10);
    let mut n_refused = 0;
    for i in 0..lab.args.files {
        let path = home.path().join(format!("{i}.gguf"));
        fs::write(&path, [mutator.file(&contents[..n_header]), contents[n_header..].to_vec()].concat())?;
        let mut command = lab.command(home.path());
        command.args(["models", "pull"]).arg(&path);
        n_refused += usize::from(is_refused(lab, command).with_context(|| kept(&path, "its header"))?);
        fs::remove_file(&path)?;
        fs::remove_dir_all(home.path().join("runabout"))?;
    }
    Ok(Outcome::Handled(format!("{} files: {n_refused} refused, the others imported", lab.args.files)))
}

/// Converts the tiny model's folder, one of whose files is damaged.
pub(super) fn conversions(lab: &Lab) -> Result<Outcome> {
    let home = lab.home()?;
    let (mut mutator, mut n_refused) = (Mutator::new(Vec::new(), lab.args.seed + 1), 0);
    for i in 0..lab.args.files {
        let (model, what) = damaged_folder(lab, home.path(), &mut mutator, i)?;
        let made = home.path().join("made");
        let mut command = lab.command(home.path());
        command.args(["models", "convert", "--bits", "8", "--group-size", "32", "-o"]).arg(&made).arg(&model);
        let is_refused = is_refused(lab, command).with_context(|| kept(&model, &what))?;
        ensure!(is_refused != made.exists(), "a conversion that failed left `{}`", made.display());
        if !is_refused {
            fs::remove_dir_all(&made)?;
        }
        n_refused += usize::from(is_refused);
        fs::remove_dir_all(&model)?;
    }
    Ok(Outcome::Handled(format!("{} folders: {n_refused} refused, the others converted", lab.args.files)))
}

/// Whether a command refuses its files, with an error and the exit code for that.
fn is_refused(lab: &Lab, command: std::process::Command) -> Result<bool> {
    let ended = lab.run(command)?;
    let said = ended.said.trim();
    ensure!(
        ended.status.success() || (ended.status.code() == Some(1) && said.starts_with("runabout: ")),
        "it ended with {}: {said}",
        ended.status
    );
    Ok(!ended.status.success())
}

/// A copy of the tiny model with one damaged file, and that file's name.
fn damaged_folder(lab: &Lab, home: &Path, mutator: &mut Mutator, i: usize) -> Result<(PathBuf, String)> {
    let model = home.join(format!("damaged-{i}"));
    fs::create_dir(&model)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(&lab.imported)? {
        let entry = entry?;
        names.push(entry.file_name());
        fs::copy(entry.path(), model.join(entry.file_name()))?;
    }
    names.sort();
    let path = model.join(&names[i % names.len()]);
    let contents = fs::read(&path)?;
    // Of weights, the header: in the others nothing can be wrong.
    let n_header =
        if path.extension().is_some_and(|it| it == "safetensors") { 2 << 10 } else { contents.len() };
    let (header, rest) = contents.split_at(n_header.min(contents.len()));
    fs::write(&path, [mutator.file(header), rest.to_vec()].concat())?;
    Ok((model, names[i % names.len()].to_string_lossy().into_owned()))
}

/// Says where the damaged file is, with its folder kept for whoever looks at it.
fn kept(path: &Path, what: &str) -> String {
    let place = std::env::temp_dir().join("runabout-damaged");
    let _ = fs::remove_dir_all(&place);
    let _ = fs::remove_file(&place);
    let is_kept = fs::rename(path, &place).is_ok();
    format!(
        "`{what}` is damaged{}",
        if is_kept { format!(", kept in `{}`", place.display()) } else { String::new() }
    )
}
