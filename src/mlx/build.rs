//! Tells cargo where MLX's library is, and compiles the bridge from MLX to our CPU kernels on Linux.
//!
//! The path goes into this crate's tests and, as `DEP_RUNABOUT_MLX_RPATH`, to the build scripts of programs. On Linux
//! `cargo xtask setup` provides it. On macOS MLX is linked statically and needs no kernels of ours, so nothing is
//! done and `cfg(cpu_kernels)` is off.

use std::env;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(cpu_kernels)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=cpu/primitive.cpp");
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
        .file("cpu/primitive.cpp")
        // MLX's headers cause warnings that we cannot fix.
        .flag("-isystem")
        .flag(include)
        // Most of the time goes into parsing MLX's headers, so a debug build would hardly be faster.
        .opt_level(2)
        .debug(false)
        .compile("runabout_bridge");
}
