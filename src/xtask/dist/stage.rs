//! The files of an installation, in a folder: [`Stage`].

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::elf::{Glibc, needed_glibc};
use super::licences;
use super::release::{VERSION, epoch, write_file};

/// Shells, and where their completions belong.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/runabout"),
    ("zsh", "share/zsh/site-functions/_runabout"),
    ("fish", "share/fish/vendor_completions.d/runabout.fish"),
];
const EXECUTABLE: u32 = 0o755;

/// An installation that is ready to be packed.
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    /// The oldest glibc on which it runs.
    pub(super) glibc: ShownGlibc,
    /// The time of its files, in seconds since 1970.
    pub(super) epoch: u64,
}

/// A version of glibc as people write it.
#[derive(Clone, Copy)]
pub(super) struct ShownGlibc(pub(super) Glibc);

impl Stage {
    /// Puts the program, MLX's libraries, manual pages, completions and licences into `scratch`.
    pub(super) fn make(root: &Path, program: &Path, scratch: &Path) -> Result<Self> {
        let folder = scratch.join(format!("runabout-{}-{}-linux", VERSION, std::env::consts::ARCH));
        let path = folder.join("bin/runabout");
        copy(program, &path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(EXECUTABLE))?;
        let kit = kit(root)?;
        let mut libraries = vec![path.clone()];
        for of_kit in ["mlx/lib", "mlx_cpu.libs"] {
            let to = folder.join("lib/runabout").join(of_kit);
            for entry in fs::read_dir(kit.join(of_kit)).context("cannot read the kit")? {
                let from = entry?.path();
                let name = from.file_name().context("a library has a name")?.to_owned();
                if name.to_string_lossy().contains(".so") {
                    copy(&from, &to.join(&name))?;
                    libraries.push(to.join(name));
                }
            }
        }
        let glibc = libraries.iter().map(|it| needed_glibc(it)).collect::<Result<Vec<_>>>()?;
        let glibc = glibc.into_iter().max().context("there is a program")?;
        for (shell, place) in COMPLETIONS {
            write_file(&folder.join(place), run(&path, &["completions", shell])?)?;
        }
        let pages = folder.join("share/man/man1");
        run(&path, &["man", "--out", &pages.to_string_lossy()])?;
        licences::write(root, &kit, &folder.join("share/doc/runabout"))?;
        Ok(Self { folder, glibc: ShownGlibc(glibc), epoch: epoch(root)? })
    }

    /// All files, relative to the folder, in order.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        collect(&self.folder, Path::new(""), &mut files)?;
        files.sort();
        Ok(files)
    }
}

impl std::fmt::Display for ShownGlibc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0.0, self.0.1)
    }
}

/// The folder with MLX that the program was linked with, as `link.toml` names it.
fn kit(root: &Path) -> Result<PathBuf> {
    let link = root.join("target/mlx/link.toml");
    let text = fs::read_to_string(&link).with_context(|| format!("cannot read `{}`", link.display()))?;
    let rpath =
        text.lines().find_map(|it| it.strip_prefix("rpath = ")).context("`link.toml` names no rpath")?;
    // A JSON string, see `link.rs`.
    let library: PathBuf = serde_json::from_str(rpath).context("`link.toml` has another form")?;
    let kit = library.ancestors().nth(2).context("MLX's library is in its kit")?;
    ensure!(
        kit.join("mlx_cpu.libs").is_dir(),
        "only MLX for CPUs can be packed\nhint: `cargo xtask setup --mlx cpu` first"
    );
    Ok(kit.to_owned())
}

/// Runs the program where it is, which shows that it finds its libraries there.
fn run(program: &Path, args: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(program)
        .args(args)
        .env_remove("LD_LIBRARY_PATH")
        .env("RUNABOUT_CONFIG", "")
        .output()
        .with_context(|| format!("cannot run `{}`", program.display()))?;
    ensure!(
        output.status.success(),
        "`{} {}` failed: {}",
        program.display(),
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file is in a folder")?)?;
    fs::copy(from, to).with_context(|| format!("cannot copy `{}`", from.display()))?;
    Ok(())
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() { collect(root, &path, files)? } else { files.push(path) }
    }
    Ok(())
}
