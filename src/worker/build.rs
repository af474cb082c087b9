//! Lets the built program find MLX's library: where `cargo xtask setup` put it (see `runabout-mlx`'s build script), or
//! where `RUNABOUT_RPATH` says, which `cargo xtask dist` sets.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUNABOUT_RPATH");
    if let Ok(rpath) = env::var("RUNABOUT_RPATH").or_else(|_| env::var("DEP_RUNABOUT_MLX_RPATH")) {
        println!("cargo::rustc-link-arg=-Xlinker");
        println!("cargo::rustc-link-arg=-rpath={rpath}");
    }
}
