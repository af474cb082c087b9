//! Checks what the machine must have: a glibc on which the wheels run, a C++20 compiler, and for CUDA a driver.
//! [`check`] reports what is missing before anything is downloaded, and [`try_kit`] what can only be known at the end.
//! Each error has a hint.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::library::Mlx;

/// The glibc of the wheels' platform tag, `manylinux_2_35`.
const GLIBC: (u32, u32) = (2, 35);

/// A program that compiles only with the language and library of C++20.
const CPP20: &str = "#include <concepts>\nstatic_assert(__cplusplus >= 202002L && std::integral<int>);\n";

/// A Python script that loads NVIDIA's driver, or says why it cannot.
const LOAD_DRIVER: &str = "
import ctypes, sys
try:
    ctypes.CDLL('libcuda.so.1')
except OSError as error:
    sys.exit(str(error))
";

/// Fails for the first thing that is missing to build and run with `mlx`.
pub(super) fn check(mlx: Mlx) -> Result<()> {
    let arch = std::env::consts::ARCH;
    ensure!(
        cfg!(target_env = "gnu") && matches!(arch, "x86_64" | "aarch64"),
        "MLX is published for glibc on `x86_64` and `aarch64`, got `{arch}` with {}",
        if cfg!(target_env = "musl") { "musl" } else { "another C library" }
    );
    let text = Command::new("getconf").arg("GNU_LIBC_VERSION").output().context("running `getconf`")?.stdout;
    check_glibc(String::from_utf8_lossy(&text).trim())?;

    let scratch = tempfile::tempdir()?;
    let probe = scratch.path().join("probe.cpp");
    fs::write(&probe, CPP20)?;
    compiler(0).and_then(|tool| run(tool.to_command().arg("-fsyntax-only").arg(&probe))).context(
        "no C++ compiler that knows C++20, with which mlx-c is built\nhint: install g++ 11 or newer \
             (Debian, Ubuntu: `apt install g++`; Fedora: `dnf install gcc-c++`), or name another in `CXX`",
    )?;
    match mlx {
        Mlx::Cpu => Ok(()),
        Mlx::Cuda12 | Mlx::Cuda13 => check_driver(),
    }
}

/// Avoids a download of gigabytes that this machine could not load. Python, which is needed for its pip anyway, can ask
/// the dynamic loader.
fn check_driver() -> Result<()> {
    run(Command::new("python3").args(["-c", LOAD_DRIVER])).context(
        "MLX for CUDA needs NVIDIA's driver, but `libcuda.so.1` does not load\nhint: install the driver, or \
         take `--mlx cpu`",
    )
}

/// `text` is the output of `getconf GNU_LIBC_VERSION`, such as `glibc 2.36`.
fn check_glibc(text: &str) -> Result<()> {
    let version = text.strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let version = version.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    ensure!(
        version.is_some_and(|version: (u32, u32)| version >= GLIBC),
        "MLX's library needs `glibc {}.{}` or newer, got `{text}`\nhint: Ubuntu 22.04, Debian 12, Fedora 36 \
         and what came after them have it",
        GLIBC.0,
        GLIBC.1
    );
    Ok(())
}

/// Links a program against the kit and runs it, so that an unusable library is reported here and not by a test.
pub(super) fn try_kit(kit: &Path, mlx: Mlx) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let source = scratch.path().join("probe.cpp");
    let program = scratch.path().join("probe");
    let library = kit.join("mlx/lib");
    fs::write(&source, include_str!("cpp/probe.cpp"))?;
    let mut link = compiler(0)?.to_command();
    link.arg("-I").arg(kit.join("mlx/include"));
    link.arg(&source).arg(kit.join("lib/libmlxc.a")).arg(library.join("libmlx.so"));
    link.args(["-Xlinker", "-rpath", "-Xlinker"]).arg(&library);
    link.arg("-o").arg(&program);
    run(&mut link).and_then(|()| run(&mut Command::new(&program))).with_context(|| {
        let hint =
            "MLX's library needs the libstdc++ of gcc 12 or newer, and for CUDA a driver of that version";
        format!("a program cannot be linked with MLX's `{mlx}` library and run\nhint: {hint}")
    })
}

/// The C++ compiler, configured for MLX's headers.
pub(super) fn compiler(opt_level: u32) -> Result<cc::Tool> {
    Ok(build().opt_level(opt_level).try_get_compiler()?)
}

/// The command `ar`, without arguments.
pub(super) fn archiver() -> Result<Command> {
    Ok(build().try_get_archiver()?)
}

fn build() -> cc::Build {
    // In a build script, cargo provides these.
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
        // This is not a build script, so nothing reads cargo's instructions.
        .cargo_metadata(false)
        .cargo_warnings(false);
    build
}

/// The folder with headers like `stddef.h` of gcc or clang, which libclang alone does not have.
pub(super) fn compiler_headers() -> Result<String> {
    let output = compiler(0)?.to_command().arg("-print-file-name=include").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a tool to its end. If it fails, the error is the tool's output.
pub(super) fn run(command: &mut Command) -> Result<()> {
    finish(start(command)?)
}

/// Starts a tool; [`finish`] waits for it.
pub(super) fn start(command: &mut Command) -> Result<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{}`", command.get_program().display()))
}

/// Waits for a process that [`start`] started.
pub(super) fn finish(child: Child) -> Result<()> {
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    // mlx-c prints its errors to stdout.
    let said = [output.stdout, output.stderr].concat();
    bail!("{}\n{}", output.status, String::from_utf8_lossy(&said).trim())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_glibc_older_than_the_wheels_tag_is_refused_with_a_remedy() {
        for newer in ["glibc 2.35", "glibc 2.41", "glibc 3.0"] {
            check_glibc(newer).unwrap();
        }
        for older in ["glibc 2.34", "glibc 1.99", "glibc 2", ""] {
            let error = check_glibc(older).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!(
                    "MLX's library needs `glibc 2.35` or newer, got `{older}`\nhint: "
                ))
            );
        }
    }

    #[test]
    fn the_error_for_a_failing_tool_quotes_it() {
        let error = run(Command::new("sh").args(["-c", "echo it broke >&2; exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "exit status: 3\nit broke");
    }

    #[test]
    fn a_missing_tool_is_named() {
        let error = run(&mut Command::new("no-such-tool")).unwrap_err();
        assert_eq!(error.to_string(), "starting `no-such-tool`");
    }

    #[test]
    fn our_std_format_replaces_placeholders_in_order() {
        let scratch = tempfile::tempdir().unwrap();
        let (source, program) = (scratch.path().join("format.cpp"), scratch.path().join("format"));
        let cases = r#"
            int main() {
              bool right = std::format("plain") == "plain"
                  && std::format("read {} of {} bytes", 3, std::string("seven")) == "read 3 of seven bytes"
                  && std::format("{}{}", "a", std::string("{}")) == "a{}";
              return right ? 0 : 1;
            }"#;
        // Tests our header even if this compiler has `std::format`.
        let header = super::super::mlx_c::STD_FORMAT_H.replace("defined(__cpp_lib_format)", "0");
        let header = header.replace("namespace std", "namespace stand_in").replace("#pragma once", "");
        let cases = cases.replace("std::format", "stand_in::format");
        fs::write(
            &source,
            format!("#include <string>\nnamespace stand_in {{ using namespace std; }}\n{header}{cases}"),
        )
        .unwrap();
        run(compiler(0).unwrap().to_command().arg(&source).arg("-o").arg(&program)).unwrap();
        run(&mut Command::new(&program)).unwrap();
    }
}
