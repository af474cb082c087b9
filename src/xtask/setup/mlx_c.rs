//! Compiles mlx-c, the C interface of MLX that mlx-rs calls, from mlx-sys's copy against the wheel's headers.
//!
//! It needs two headers of ours: one replaces mlx-c's half types, which it only has on ARM; the other is included
//! before each file, for compilers without `std::format`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::toolchain;

pub(super) const HALF_H: &str = include_str!("cpp/half.h");
pub(super) const STD_FORMAT_H: &str = include_str!("cpp/std_format.h");

/// The number of compilation units into which the sources are joined. Most of the time goes into reading MLX's headers:
/// 26 files take 70 s on two cores, two joined ones 8 s.
const N_UNITS: usize = 2;

/// Copies mlx-c's public headers beside MLX's own, so that dependents need a single include path.
pub(super) fn install_headers(source: &Path, kit: &Path) -> Result<()> {
    let folder = kit.join("mlx/include/mlx/c");
    fs::create_dir_all(&folder)?;
    for header in files(source, "h")? {
        let name = header.file_name().context("a header has a name")?;
        fs::copy(&header, folder.join(name)).with_context(|| format!("copying `{}`", header.display()))?;
    }
    fs::write(folder.join("half.h"), HALF_H)?;
    Ok(())
}

/// Compiles `lib/libmlxc.a`.
pub(super) fn compile(source: &Path, kit: &Path) -> Result<()> {
    eprintln!("setup: compiling mlx-c");
    fs::create_dir_all(kit.join("lib"))?;
    let scratch = tempfile::tempdir()?;
    let scratch = scratch.path();
    let prelude = scratch.join("std_format.h");
    fs::write(&prelude, STD_FORMAT_H)?;

    let mut sources = files(source, "cpp")?;
    // Distributed by size, so that the units are about equal.
    sources.sort_by_key(|path| fs::metadata(path).map_or(0, |file| file.len()));
    let compiler = toolchain::compiler(2)?;
    let mut objects = Vec::new();
    let mut running = Vec::new();
    for n in 0..N_UNITS {
        let unit = scratch.join(format!("unit_{n}.cpp"));
        let includes: Vec<String> = sources
            .iter()
            .skip(n)
            .step_by(N_UNITS)
            .map(|path| format!("#include \"{}\"", path.display()))
            .collect();
        fs::write(&unit, includes.join("\n"))?;
        let object = unit.with_extension("o");
        running.push(toolchain::start(
            compiler
                .to_command()
                .arg("-include")
                .arg(&prelude)
                // The kit comes first, because its half.h is ours.
                .arg("-I")
                .arg(kit.join("mlx/include"))
                .arg("-I")
                .arg(source)
                .arg("-c")
                .arg(&unit)
                .arg("-o")
                .arg(&object),
        )?);
        objects.push(object);
    }
    for unit in running {
        toolchain::finish(unit).context("compiling mlx-c")?;
    }
    let library = kit.join("lib/libmlxc.a");
    toolchain::run(toolchain::archiver()?.arg("crs").arg(&library).args(&objects)).context("archiving mlx-c")
}

/// The files of mlx-c with the extension `extension`, sorted by name.
pub(super) fn files(source: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let folder = source.join("mlx/c");
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("reading `{}`", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
