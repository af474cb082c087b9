//! Shared by this crate's tests: exclusive use of MLX, and tiny models.

pub(crate) mod stored;
pub(crate) mod tiny;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::device::{self, DeviceChoice};

/// Reserves MLX on the CPU for one test, because its device and counters are global and `cargo test` runs tests in
/// parallel.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    // A failed test has already been reported.
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    device::select(DeviceChoice::Cpu).expect("MLX always has a CPU");
    guard
}

/// Runs a test's MLX work [`alone`].
pub(crate) fn on_cpu(work: impl FnOnce()) {
    let _alone = alone();
    work();
}
