//! The set-up on macOS, which only checks for tools: a missing one is reported here and not in the middle of mlx-sys's
//! build, which compiles MLX with CMake and its Metal kernels with Xcode's compiler.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

/// Fails with a hint for the first tool of mlx-sys's build that is missing.
pub(super) fn check() -> Result<()> {
    ensure!(
        cfg!(target_arch = "aarch64"),
        "expected Apple silicon, got `{}`, on which MLX has no Metal",
        std::env::consts::ARCH
    );
    ensure!(
        runs("xcrun", &["--find", "clang++"]),
        "no C++ compiler: Xcode's command line tools are missing\nhint: `xcode-select --install`"
    );
    ensure!(
        runs("xcrun", &["metal", "--version"]),
        "no Metal compiler, which MLX's kernels need\nhint: install Xcode, then `sudo xcode-select --switch \
         /Applications/Xcode.app` and, from Xcode 26 on, `xcodebuild -downloadComponent MetalToolchain`"
    );
    ensure!(
        runs("cmake", &["--version"]),
        "no `cmake` on PATH, with which mlx-sys builds MLX\nhint: `brew install cmake`"
    );
    Ok(())
}

fn runs(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
