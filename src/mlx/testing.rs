//! What this crate's tests share.

use std::sync::{Mutex, PoisonError};

use crate::device::{self, DeviceChoice};

/// Runs a test's MLX work on the CPU. One at a time: MLX's device is the process's, and `cargo test` runs tests side by
/// side.
pub(crate) fn on_cpu(work: impl FnOnce()) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    // A failed test has said what it had to say.
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    device::select(DeviceChoice::Cpu).expect("MLX always has a CPU");
    work();
}
