//! `cargo xtask faults`: what can go wrong around the worker goes wrong. Each time it says so clearly, nothing is lost, and
//! it lives on or ends with an exit code that the protocol names.
//!
//! Each fault is a function that says what happened, or fails if that is not as it should be. Those that need rights which
//! this user or this machine lacks say that they were not tried.

mod args;
mod clients;
mod files;
mod kills;
mod lab;
mod outcome;
mod system;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};

pub(crate) use self::args::Args;
use self::lab::Lab;
use self::outcome::Outcome;

type Fault = fn(&Lab) -> Result<Outcome>;

const FAULTS: [(&str, Fault); 21] = [
    ("killed: download", kills::download),
    ("killed: import", kills::import),
    ("killed: conversion", kills::conversion),
    ("killed: load, prefill, decode", kills::serving),
    ("cancelled", clients::cancels),
    ("not read", clients::unread),
    ("written byte by byte", clients::slow_writer),
    ("stopped and continued", clients::stopped),
    ("damaged files: a model's folder", files::folders),
    ("damaged files: GGUF", files::gguf),
    ("damaged files: a conversion's folder", files::conversions),
    ("no home", system::no_home),
    ("no folder can be made", system::denied_home),
    ("full disk: import", system::full_disk_import),
    ("full disk: serving", system::full_disk_serving),
    ("full disk: log", system::full_log),
    ("too few open files", system::descriptors),
    ("no memory: in a step", system::no_memory_in_steps),
    ("no memory: in loading", system::no_memory_in_loading),
    ("no memory: control group", system::control_group),
    ("the clock jumps", system::clock),
];

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let lab = Lab::new(root, args)?;
    let mut wrong = Vec::new();
    for (name, fault) in FAULTS.into_iter().filter(|it| it.0.contains(&args.only)) {
        let started = Instant::now();
        let (mark, outcome) = match fault(&lab) {
            Ok(Outcome::Handled(what)) => ("ok", what),
            Ok(Outcome::NotTried(why)) => ("-", format!("not tried: {why}")),
            Err(error) => {
                wrong.push(name);
                ("WRONG", format!("{error:#}"))
            }
        };
        println!("{mark:<6}{name:<37}{:>5} s  {outcome}", started.elapsed().as_secs());
    }
    ensure!(wrong.is_empty(), "{} faults have a wrong outcome: {}", wrong.len(), wrong.join(", "));
    Ok(())
}
