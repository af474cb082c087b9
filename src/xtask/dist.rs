//! `cargo xtask dist`: makes what people install, in `target/dist`.
//!
//! On Linux: an archive that runs from any folder, a Python wheel and an npm package, each with the program, MLX's library
//! and all licences. The three have the same layout, `bin/runabout` beside `lib/runabout`, and the program looks for MLX
//! relative to itself. A Homebrew formula builds from source, which is how macOS gets MLX with Metal.

mod archive;
mod elf;
mod homebrew;
mod licences;
mod npm;
mod release;
mod stage;
mod wheel;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use self::stage::Stage;
use crate::cargo;

/// Where the program looks for MLX's library, from its own folder.
const RPATH: &str = "$ORIGIN/../lib/runabout/mlx/lib";

/// Arguments of `cargo xtask dist`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder for what is made
    #[arg(long, value_name = "DIR", default_value = "target/dist")]
    out: PathBuf,
    /// Pack a build without optimization, to try the packages sooner
    #[arg(long)]
    dev: bool,
    /// Where the archive of the sources will be, for the Homebrew formula
    #[arg(long, value_name = "URL")]
    source_url: Option<String>,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let out = root.join(&args.out);
    fs::create_dir_all(&out).with_context(|| format!("cannot create `{}`", out.display()))?;
    let scratch = tempfile::tempdir_in(&out).context("cannot create a folder")?;
    let program = build(root, args.dev)?;
    let stage = Stage::make(root, &program, scratch.path())?;
    // The next build makes one for this machine again; this one would not find MLX where it is.
    fs::remove_file(&program).with_context(|| format!("cannot remove `{}`", program.display()))?;
    let made = [
        archive::write(&stage, &out)?,
        wheel::write(root, &stage, &out)?,
        npm::write(&stage, &out)?,
        homebrew::write(root, &out, args.source_url.as_deref())?,
    ];
    println!("needs glibc {} or later", stage.glibc);
    archive::write_checksums(&made, &out.join("SHA256SUMS"))?;
    for path in made {
        println!("{:>8.1} MB  {}", fs::metadata(&path)?.len() as f64 / 1e6, path.display());
    }
    Ok(())
}

/// Builds the program so that it finds MLX relative to itself.
fn build(root: &Path, is_dev: bool) -> Result<PathBuf> {
    let status = cargo::cargo(root)
        .args(["build", "--bin", "runabout"])
        .args((!is_dev).then_some("--release"))
        .env("RUNABOUT_RPATH", RPATH)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "`runabout` cannot be built");
    if is_dev {
        Ok(cargo::target_folder()?.join("debug/runabout"))
    } else {
        cargo::release_program("runabout")
    }
}
