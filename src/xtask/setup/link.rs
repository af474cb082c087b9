//! `target/mlx/link.toml`, a cargo configuration that replaces mlx-sys's build script by the kit.
//!
//! mlx-sys declares `links = "mlx"`, so cargo lets us specify here what its build script would print. Keys that cargo
//! does not know reach the build scripts of dependents as `DEP_MLX_*`; those that mlx-sys sets itself on macOS have the
//! same meaning here. The file has no compiler flags: they would differ from the flags with which xtask was built, and
//! cargo would compile every dependency again. A program that links MLX adds `DEP_MLX_RPATH` in its own build script.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::library::Mlx;
use super::wheel;

const HEAD: &str = "# Written by `cargo xtask setup --mlx ";

/// The library for which the file at `path` was last written.
pub(super) fn chosen(path: &Path) -> Option<Mlx> {
    let text = fs::read_to_string(path).ok()?;
    let (name, _) = text.strip_prefix(HEAD)?.split_once('`')?;
    Mlx::from_str(name, false).ok()
}

/// Whether the file at `path` has the contents that [`write`] would write.
pub(super) fn is_current(path: &Path, kit: &Path, mlx: Mlx) -> Result<bool> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text == render(kit, mlx)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("reading `{}`", path.display())),
    }
}

/// Writes the file atomically.
pub(super) fn write(path: &Path, kit: &Path, mlx: Mlx) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, render(kit, mlx)?)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("writing `{}`", path.display()))
}

fn render(kit: &Path, mlx: Mlx) -> Result<String> {
    let quoted = |path: &str| -> Result<String> {
        let path = kit.join(path);
        let path = path.to_str().with_context(|| {
            format!("`{}` is not UTF-8, which cargo's configuration must be", path.display())
        })?;
        // A JSON string is also a valid TOML string.
        Ok(serde_json::to_string(path)?)
    };
    let arch = std::env::consts::ARCH;
    let version = wheel::MLX_VERSION;
    let (ours, bindings) = (quoted("lib")?, quoted("bindings")?);
    let (library, include) = (quoted("mlx/lib")?, quoted("mlx/include")?);
    Ok(format!(
        "{HEAD}{mlx}`; it writes over what is changed here.\n\
         [target.{arch}-unknown-linux-gnu.mlx]\n\
         rustc-link-search = [{ours}, {library}]\n\
         rustc-link-lib = [\"static=mlxc\", \"dylib=mlx\", \"dylib=stdc++\"]\n\
         # Where mlx-sys's `include!` looks for bindings.rs.\n\
         rustc-env = {{ OUT_DIR = {bindings} }}\n\
         # For the build scripts of dependents: DEP_MLX_INCLUDE and so on.\n\
         include = {include}\n\
         defines = \"\"\n\
         version = \"{version}\"\n\
         rpath = {library}\n"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_written_file_is_current_for_its_kit_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("link.toml");
        let (kit, other) = (Path::new("/kits/cpu-1"), Path::new("/kits/cpu-2"));
        assert!(!is_current(&path, kit, Mlx::Cpu).unwrap());
        write(&path, kit, Mlx::Cpu).unwrap();
        assert!(is_current(&path, kit, Mlx::Cpu).unwrap());
        assert!(!is_current(&path, other, Mlx::Cpu).unwrap());
        write(&path, other, Mlx::Cpu).unwrap();
        assert!(!is_current(&path, kit, Mlx::Cpu).unwrap());
    }

    #[test]
    fn the_library_chosen_last_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("link.toml");
        assert_eq!(chosen(&path), None);
        for mlx in Mlx::value_variants() {
            write(&path, Path::new("/kit"), *mlx).unwrap();
            assert_eq!(chosen(&path), Some(*mlx));
        }
    }

    #[test]
    fn cargo_reads_the_file_with_a_path_that_needs_quoting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("link.toml");
        write(&path, Path::new("/a \"kit\" with \\ and ü"), Mlx::Cpu).unwrap();
        let output = std::process::Command::new(std::env::var_os("CARGO").unwrap())
            .arg("--config")
            .arg(&path)
            .args(["config", "get", "-Zunstable-options", "--format", "json-value"])
            .arg(format!("target.{}-unknown-linux-gnu.mlx.include", std::env::consts::ARCH))
            .env("RUSTC_BOOTSTRAP", "1")
            .output()
            .unwrap();
        let include: String = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(include, "/a \"kit\" with \\ and ü/mlx/include");
    }
}
