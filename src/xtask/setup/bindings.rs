//! Makes `bindings/bindings.rs`, the Rust declarations of mlx-c, in the way of mlx-sys's own build script.
//!
//! bindgen needs libclang, which few machines have. A system's libclang is tried first, then the one from a wheel.
//! bindgen gets its path through an environment variable, so it runs in a separate process: xtask again, with [`Args`].
//! This also keeps bindgen's panics out of this process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use super::{mlx_c, toolchain, wheel};

/// The path of libclang in its wheel.
const LIBCLANG: &str = "libclang-18.1.1.data/platlib/clang/native/libclang.so";

/// The arguments of the process that runs bindgen. Not meant for users.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The kit that is being made.
    kit: PathBuf,
}

/// Makes the bindings from the kit's headers, with the system's libclang or the one from the wheel.
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

/// Runs [`run`] in a separate process, with the libclang in a folder or with the system's.
fn run_bindgen(kit: &Path, libclang: Option<&Path>) -> Result<Output> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("bindings").arg(kit);
    if let Some(libclang) = libclang {
        command.env("LIBCLANG_PATH", libclang);
    }
    command.output().context("starting xtask again, for bindgen")
}

/// Runs bindgen. This is the separate process.
pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = args.kit.join("bindings");
    fs::create_dir_all(&folder)?;
    let include = args.kit.join("mlx/include");
    let mut builder = bindgen::Builder::default()
        .clang_arg(format!("-I{}", include.display()))
        .clang_arg("-isystem")
        .clang_arg(toolchain::compiler_headers()?)
        // rustc warns if a crate declares these functions with its own types.
        .blocklist_function("malloc")
        .blocklist_function("realloc");
    for header in mlx_c::files(&include, "h")? {
        let header = header.to_str().context("mlx-c's folder is not UTF-8, which bindgen needs")?;
        builder = builder.header(header);
    }
    builder.generate()?.write_to_file(folder.join("bindings.rs"))?;
    Ok(())
}
