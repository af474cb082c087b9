//! The kit: a folder in `target/mlx` with everything that is needed to link MLX on Linux.
//!
//! Its name contains a fingerprint of everything that it is made from. It is made under a temporary name and renamed at
//! the end, and only then does `link.toml` name it. So an existing kit is complete and current, an interrupted set-up
//! leaves no kit, and checking the name is enough to know that nothing needs to be done. Inside, the layout of the
//! wheels is kept so that libraries find each other (`mlx/lib`, `mlx/include`, `nvidia/*`), and `lib` and `bindings`
//! are ours.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::library::Mlx;
use super::{bindings, link, mlx_c, toolchain, wheel};

/// The code that makes a kit, since its contents depend on it (besides the wheels and mlx-sys).
const RECIPE: [&str; 4] =
    [include_str!("mlx_c.rs"), include_str!("bindings.rs"), mlx_c::HALF_H, mlx_c::STD_FORMAT_H];

/// The prefix of the name of a kit that is being made.
const BUILDING: &str = ".building-";

/// Ensures that there is a kit for `mlx` (or the library chosen last, if `None`) and that `link.toml` points to it.
pub(super) fn ensure(root: &Path, mlx: Option<Mlx>) -> Result<()> {
    let mlx_folder = root.join("target/mlx");
    let link_file = mlx_folder.join("link.toml");
    let mlx = mlx.or_else(|| link::chosen(&link_file)).unwrap_or(Mlx::Cpu);
    let packages = fs::read_to_string(root.join("Cargo.lock")).context("reading Cargo.lock")?;
    let kit = mlx_folder.join(format!("{mlx}-{}", fingerprint(mlx, &packages)?));

    if !(kit.is_dir() && link::is_current(&link_file, &kit, mlx)?) {
        fs::create_dir_all(&mlx_folder).with_context(|| format!("creating `{}`", mlx_folder.display()))?;
        // Held until the end of the block.
        let lock = File::create(mlx_folder.join(".lock")).context("creating the set-up's lock file")?;
        lock.lock().context("waiting for another set-up to end")?;
        if !kit.is_dir() {
            make(root, mlx, &kit)?;
        }
        link::write(&link_file, &kit, mlx)?;
        remove_others(&mlx_folder, &kit)?;
    }
    Ok(())
}

fn make(root: &Path, mlx: Mlx, kit: &Path) -> Result<()> {
    let start = Instant::now();
    toolchain::check(mlx)?;
    let folder = kit.parent().context("a kit is in target/mlx")?;
    let building = tempfile::Builder::new()
        .prefix(BUILDING)
        .tempdir_in(folder)
        .with_context(|| format!("creating a folder in `{}`", folder.display()))?;

    for pin in wheel::pins(mlx)? {
        pin.unpack(building.path(), &|_| true)?;
    }
    let source = mlx_c_source(root)?;
    mlx_c::install_headers(&source, building.path())?;
    mlx_c::compile(&source, building.path())?;
    bindings::generate(building.path())?;
    toolchain::try_kit(building.path(), mlx)?;

    fs::rename(building.keep(), kit).with_context(|| format!("moving the kit to `{}`", kit.display()))?;
    eprintln!("setup: MLX is ready, {:.0} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// The source of mlx-c, which is included in the mlx-sys crate.
fn mlx_c_source(root: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--locked", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("running `cargo metadata`")?;
    ensure!(
        output.status.success(),
        "`cargo metadata` failed:\n{}",
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("reading what `cargo metadata` printed")?;
    let manifest = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == "mlx-sys")
        .and_then(|package| package["manifest_path"].as_str())
        .context("no `mlx-sys` among the workspace's dependencies")?;
    Ok(Path::new(manifest).with_file_name("src").join("mlx-c"))
}

/// `packages` is the text of Cargo.lock, of which only the version and checksum of mlx-sys matter. Asking cargo for
/// them would take a hundred times as long as everything else.
fn fingerprint(mlx: Mlx, packages: &str) -> Result<String> {
    let mlx_sys = packages
        .split("\n\n")
        .find(|package| package.contains("name = \"mlx-sys\""))
        .context("no `mlx-sys` in Cargo.lock")?;
    let mut hash = Sha256::new();
    for part in RECIPE.into_iter().chain([mlx_sys]) {
        hash.update(part);
    }
    for pin in wheel::pins(mlx)? {
        hash.update(pin.sha256);
    }
    let hex = format!("{:x}", hash.finalize());
    Ok(hex[..12].to_owned())
}

/// Removes the kits that `link.toml` does not name, and the leftovers of interrupted set-ups.
fn remove_others(folder: &Path, kit: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && path != kit {
            fs::remove_dir_all(&path).with_context(|| format!("removing `{}`", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PACKAGES: &str = r#"[[package]]
name = "mlx-rs"
version = "0.33.0"
checksum = "aa"

[[package]]
name = "mlx-sys"
version = "0.7.0"
checksum = "bb"
"#;

    #[test]
    fn the_fingerprint_depends_on_the_library_and_mlx_sys_only() {
        let fingerprint = |mlx, packages: &str| fingerprint(mlx, packages).unwrap();
        let usual = fingerprint(Mlx::Cpu, PACKAGES);
        assert_eq!(usual, fingerprint(Mlx::Cpu, &PACKAGES.replace("0.33.0", "0.34.0")));
        assert_ne!(usual, fingerprint(Mlx::Cuda12, PACKAGES));
        assert_ne!(usual, fingerprint(Mlx::Cpu, &PACKAGES.replace("0.7.0", "0.8.0")));
        assert_ne!(usual, fingerprint(Mlx::Cpu, &PACKAGES.replace("bb", "cc")));
    }

    #[test]
    fn a_new_kit_removes_old_and_incomplete_kits() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["cpu-new", "cpu-old", ".building-x"] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("file"), "").unwrap();
        }
        fs::write(path("link.toml"), "").unwrap();
        remove_others(folder.path(), &path("cpu-new")).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["cpu-new", "link.toml"]);
    }
}
