//! Says where MLX's library is, and compiles the bridge to our CPU kernels where there is something to bridge.
//!
//! Lets this crate's tests find MLX's library, and tells the build scripts of programs where it is
//! (`DEP_RUNABOUT_MLX_RPATH`). On Linux `cargo xtask setup` says it; on macOS MLX is linked statically, is fast by
//! itself, and nothing is done here: `cfg(cpu_kernels)` is off.

use std::env;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(cpu_kernels)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=primitive.cpp");
    if let Ok(rpath) = env::var("DEP_MLX_RPATH") {
        println!("cargo::rustc-link-arg=-Xlinker");
        println!("cargo::rustc-link-arg=-rpath={rpath}");
        println!("cargo::metadata=rpath={rpath}");
    }
    let is_linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|it| it == "linux");
    if let Ok(include) = env::var("DEP_MLX_INCLUDE")
        && is_linux
    {
        compile_bridge(&include);
        println!("cargo::rustc-cfg=cpu_kernels");
    }
}

fn compile_bridge(include: &str) {
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .file("primitive.cpp")
        // Not ours to mend: warnings in MLX's headers.
        .flag("-isystem")
        .flag(include)
        // Reading MLX's headers takes longer than a debug build's missing optimization could win back.
        .opt_level(2)
        .debug(false)
        .compile("runabout_bridge");
}
