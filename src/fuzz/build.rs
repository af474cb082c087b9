//! Lets the fuzzer and its tests find MLX's library, see `runabout-mlx`'s build script.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(rpath) = env::var("DEP_RUNABOUT_MLX_RPATH") {
        println!("cargo::rustc-link-arg=-Xlinker");
        println!("cargo::rustc-link-arg=-rpath={rpath}");
    }
}
