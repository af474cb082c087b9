//! What the machine itself must have: a glibc that the wheels run on and a C++20 compiler. Each lack is named before
//! anything is downloaded, with its remedy.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// The glibc of the wheels' platform tag, `manylinux_2_35`.
const GLIBC: (u32, u32) = (2, 35);

/// Fails for the first thing that the machine lacks.
pub(super) fn check() -> Result<()> {
    let arch = std::env::consts::ARCH;
    ensure!(
        cfg!(target_env = "gnu") && matches!(arch, "x86_64" | "aarch64"),
        "MLX is published for glibc on `x86_64` and `aarch64`, got `{arch}` with `{}`",
        if cfg!(target_env = "musl") { "musl" } else { "another C library" }
    );
    let glibc = glibc()?;
    ensure!(
        glibc >= GLIBC,
        "MLX's library needs glibc {}.{} or newer, got {}.{}\nhint: Ubuntu 22.04, Debian 12, Fedora 36 and later have it",
        GLIBC.0,
        GLIBC.1,
        glibc.0,
        glibc.1
    );
    compiler()
}

/// A build of C++ as MLX's headers want it, outside a build script.
pub(super) fn cpp() -> cc::Build {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++20")
        .target(&triple)
        .host(&triple)
        .opt_level(0)
        .pic(true)
        .warnings(false)
        .cargo_metadata(false);
    build
}

/// Runs a tool to its end; on failure the error is what the tool said.
pub(super) fn run(command: &mut Command) -> Result<()> {
    finish(start(command)?)
}

/// Starts a tool; [`finish`] waits for it.
pub(super) fn start(command: &mut Command) -> Result<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{}`", command.get_program().display()))
}

/// Waits for what [`start`] started.
pub(super) fn finish(child: Child) -> Result<()> {
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}\n{}", output.status, said.trim_end());
    Ok(())
}

/// gcc's or clang's folder of headers like `stddef.h`, which a bare libclang does not bring.
pub(super) fn compiler_headers() -> Result<String> {
    let output = cpp().get_compiler().to_command().arg("-print-file-name=include").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn glibc() -> Result<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().context("running `getconf`")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.trim().strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    match version.map(|(major, minor)| (major.parse(), minor.parse())) {
        Some((Ok(major), Ok(minor))) => Ok((major, minor)),
        _ => bail!("`getconf GNU_LIBC_VERSION` should print a version of glibc, got `{}`", text.trim()),
    }
}

fn compiler() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let probe = scratch.path().join("probe.cpp");
    std::fs::write(
        &probe,
        "#include <concepts>\nstatic_assert(__cplusplus >= 202002L && std::integral<int>);\n",
    )?;
    let compiles = run(cpp().get_compiler().to_command().arg("-fsyntax-only").arg(&probe));
    compiles.context(
        "no C++ compiler that knows C++20, with which mlx-c is built\nhint: install g++ 11 or newer (Debian, Ubuntu: \
         `apt install g++`; Fedora: `dnf install gcc-c++`), or name another in `CXX`",
    )
}
