//! `cargo xtask setup`: provides MLX for linking.
//!
//! On Linux it makes a *kit* in `target/mlx` (see `kit`): MLX's own library from its wheel, mlx-c compiled against it,
//! and the Rust declarations of mlx-c. On macOS mlx-sys compiles MLX itself, and `macos` only checks for the tools.
//! Other commands may call [`run`] first: it takes no time if there is nothing to do.

use std::path::Path;

use anyhow::Result;

#[cfg(target_os = "linux")]
pub(crate) mod bindings;
#[cfg(target_os = "linux")]
mod kit;
mod library;
#[cfg(target_os = "linux")]
mod link;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "linux")]
mod mlx_c;
#[cfg(target_os = "linux")]
mod toolchain;
#[cfg(target_os = "linux")]
mod wheel;

use self::library::Mlx;

/// Arguments of `cargo xtask setup`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Which of MLX's Linux libraries to link. The default is the last choice, initially `cpu`.
    #[arg(long, value_enum)]
    mlx: Option<Mlx>,
}

/// Ensures that cargo can build and link what depends on mlx-sys. `root` is the workspace.
#[cfg(target_os = "linux")]
pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    kit::ensure(root, args.mlx)
}

/// Ensures that cargo can build and link what depends on mlx-sys. `root` is the workspace.
#[cfg(target_os = "macos")]
pub(crate) fn run(_root: &Path, args: &Args) -> Result<()> {
    anyhow::ensure!(
        args.mlx.is_none(),
        "`--mlx` chooses among MLX's libraries for Linux; on macOS there is one MLX, with Metal"
    );
    macos::check()
}

/// Fails, because there is no MLX for this system.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(crate) fn run(_root: &Path, _args: &Args) -> Result<()> {
    anyhow::bail!("expected Linux or macOS, got `{}`, for which there is no MLX", std::env::consts::OS)
}
