//! What this crate's tests share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::device::{self, DeviceChoice};

/// Holds MLX for one test, on the CPU: its device and its counters are the process's, and `cargo test` may run tests
/// side by side.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    // A failed test has said what it had to say.
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    device::select(DeviceChoice::Cpu).expect("MLX always has a CPU");
    guard
}

/// Runs a test's MLX work [`alone`].
pub(crate) fn on_cpu(work: impl FnOnce()) {
    let _alone = alone();
    work();
}
