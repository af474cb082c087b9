//! Imports files with random changes, the same ones in each run; an import may fail but must not panic.
//!
//! Memory is not tested here: every length is checked against the file or a limit of the header before it is allocated.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::gguf::sample::Sample;
use crate::import::import_gguf;

/// The number of changed files for each architecture.
const N_FILES: u64 = 400;
/// Numbers on which arithmetic may overflow.
const EXTREMES: [u64; 9] =
    [0, 1, u64::MAX, 1 << 63, 1 << 60, 1 << 32, (1 << 32) - 1, (1 << 31) - 2, i64::MAX as u64];

/// A random number generator with the same results on every machine (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let it = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let it = (it ^ it >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ it >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }
}

/// Makes one to four changes, all of them before the tensors' bytes.
fn changed(good: &[u8], header_bytes: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(header_bytes.min(bytes.len() - 8));
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at..at + 8].copy_from_slice(&EXTREMES[random.below(EXTREMES.len())].to_le_bytes()),
            2 => bytes[at..at + 4].copy_from_slice(&u32::try_from(random.below(40)).unwrap().to_le_bytes()),
            3 => {
                let n_bytes = random.below(32).min(bytes.len() - 16 - at.min(bytes.len() - 16));
                bytes.drain(at..at + n_bytes);
            }
            _ => {
                let piece = bytes[at..at + 8].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

#[test]
fn a_changed_file_is_imported_or_refused_and_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let (gguf, made) = (folder.path().join("x.gguf"), folder.path().join("made"));
    for architecture in ["llama", "qwen2", "qwen3"] {
        let sample = Sample::model(architecture);
        let good = sample.bytes();
        let n_data_bytes: usize = sample.tensors.iter().map(|it| it.3.len().next_multiple_of(32)).sum();
        let header_bytes = good.len() - n_data_bytes;
        let (mut n_imported, mut n_refused) = (0, 0);
        for seed in 0..N_FILES {
            let bytes = changed(&good, header_bytes, &mut Random(seed));
            fs::write(&gguf, bytes).unwrap();
            fs::create_dir(&made).unwrap();
            let result = catch_unwind(AssertUnwindSafe(|| import_gguf(&gguf, &made, &mut |_, _| {})));
            match result.unwrap_or_else(|_| panic!("seed {seed} of {architecture} panics")) {
                Ok(_) => n_imported += 1,
                Err(err) => {
                    n_refused += 1;
                    assert!(!err.to_string().is_empty());
                }
            }
            fs::remove_dir_all(&made).unwrap();
        }
        assert!(n_imported > 0 && n_refused > 100, "{n_imported} imported, {n_refused} refused");
    }
}
