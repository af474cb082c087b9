//! Lets this crate's tests find MLX's library, and tells the build scripts of programs where it is
//! (`DEP_RUNABOUT_MLX_RPATH`). On Linux `cargo xtask setup` says it; on macOS MLX is linked statically and
//! nothing does.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(rpath) = env::var("DEP_MLX_RPATH") {
        println!("cargo::rustc-link-arg=-Xlinker");
        println!("cargo::rustc-link-arg=-rpath={rpath}");
        println!("cargo::metadata=rpath={rpath}");
    }
}
