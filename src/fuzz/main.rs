//! libFuzzer's entry: runs the target that `RUNABOUT_FUZZ_TARGET` names. With `RUNABOUT_FUZZ_SEEDS`, its seeds are first
//! written into that folder.

#![no_main]

use std::backtrace::Backtrace;
use std::env;
use std::fs;
use std::panic::{catch_unwind, set_hook};
use std::path::Path;
use std::process::abort;
use std::sync::{LazyLock, Mutex, PoisonError};

use libfuzzer_sys::fuzz_target;
use runabout_fuzz::Target;

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = env::var("RUNABOUT_FUZZ_TARGET").expect("`cargo xtask fuzz` names a target");
    let target = runabout_fuzz::target(&name).expect("the target is known");
    if let Some(folder) = env::var_os("RUNABOUT_FUZZ_SEEDS") {
        for (i, seed) in (target.seeds)().iter().enumerate() {
            fs::write(Path::new(&folder).join(format!("seed-{i}")), seed).expect("seeds can be written");
        }
    }
    // libFuzzer's own hook ends the process at once. But some panics of libraries are caught, and errors for us.
    set_hook(Box::new(|info| {
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) =
            format!("{info}\n{}", Backtrace::capture());
    }));
    target
});

static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

fuzz_target!(init: { LazyLock::force(&TARGET); }, |data: &[u8]| {
    if catch_unwind(|| (TARGET.run)(data)).is_err() {
        eprintln!("{}", LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner));
        abort();
    }
});
