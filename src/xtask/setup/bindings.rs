//! `bindings/bindings.rs`, the Rust declarations of mlx-c, made as mlx-sys's own build script makes them.
//!
//! bindgen wants libclang, which few machines have. A libclang of the system is tried first, then the one of
//! a wheel. Where it looks is an environment variable, so bindgen runs in a process of its own: xtask again,
//! as [`Args`] say; which also keeps its panics out of here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use super::{mlx_c, toolchain, wheel};

/// libclang in its wheel.
const LIBCLANG: &str = "libclang-18.1.1.data/platlib/clang/native/libclang.so";

/// Arguments of the process that runs bindgen; not for people.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The kit under construction.
    kit: PathBuf,
}

/// Makes the bindings from the kit's headers, with what libclang there is.
pub(super) fn generate(kit: &Path) -> Result<()> {
    eprintln!("setup: generating bindings");
    if run_bindgen(kit, None)?.status.success() {
        return Ok(());
    }
    let scratch = tempfile::tempdir()?;
    wheel::libclang()?.unpack(scratch.path(), &|file| file == LIBCLANG)?;
    let libclang = scratch.path().join(LIBCLANG);
    let output = run_bindgen(kit, libclang.parent())?;
    ensure!(
        output.status.success(),
        "bindgen failed on mlx-c's headers:\n{}",
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(())
}

/// Runs [`run`] with the libclang in a folder, or with one that the system has.
fn run_bindgen(kit: &Path, libclang: Option<&Path>) -> Result<Output> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("bindings").arg(kit);
    if let Some(libclang) = libclang {
        command.env("LIBCLANG_PATH", libclang);
    }
    command.output().context("starting xtask again, for bindgen")
}

/// What the process for bindgen does.
pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = args.kit.join("bindings");
    fs::create_dir_all(&folder)?;
    let include = args.kit.join("mlx/include");
    let mut builder = bindgen::Builder::default()
        .clang_arg(format!("-I{}", include.display()))
        .clang_arg("-isystem")
        .clang_arg(toolchain::compiler_headers()?)
        // rustc warns when a crate declares these with types of its own.
        .blocklist_function("malloc")
        .blocklist_function("realloc");
    for header in mlx_c::files(&include, "h")? {
        let header = header.to_str().context("mlx-c's folder is not UTF-8, which bindgen needs")?;
        builder = builder.header(header);
    }
    builder.generate()?.write_to_file(folder.join("bindings.rs"))?;
    Ok(())
}
