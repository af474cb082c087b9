//! Measures the limits of the machine, which kernels are compared with.

use std::hint::black_box;

use runabout_kernels::{Cpu, Path};

use crate::timing::best;

/// Bytes that are read, far beyond the size of any cache.
const READ_BYTES: usize = 512 << 20;
const SLICE_BYTES: usize = 16 << 20;
const CHUNK_BYTES: usize = 64 << 10;
/// Steps of multiply-adds per measurement.
const STEPS: usize = 50_000;

pub(crate) struct Limits {
    pub(crate) bytes_per_s: f64,
    /// Peak of f32 multiply-adds, for the measured path.
    pub(crate) flops: f64,
    /// Peak of byte multiply-adds with 32-bit sums; `flops` if the machine has no such instruction.
    pub(crate) byte_ops: f64,
    pub(crate) fork_join_s: f64,
}

impl Limits {
    pub(crate) fn measure(cpu: &Cpu) -> Limits {
        let data = vec![1u64; READ_BYTES / 8];
        let slices: Vec<&[u64]> = data.chunks(SLICE_BYTES / 8).collect();
        let mut turn = 0;
        let read = best(|| {
            turn += 1;
            let chunks: Vec<&[u64]> = slices[turn % slices.len()].chunks(CHUNK_BYTES / 8).collect();
            cpu.pool().for_each(chunks.len(), |i| {
                black_box(chunks[i].iter().fold(0u64, |a, b| a.wrapping_add(*b)));
            });
        });
        let n_jobs = cpu.pool().n_threads();
        let peak = best(|| cpu.pool().for_each(n_jobs, |_| spin(cpu.path(), STEPS)));
        let flops_per_step = (2 * ACCUMULATORS * lanes(cpu.path())) as f64;
        let byte_ops = if has_byte_products(cpu.path()) {
            let peak = best(|| cpu.pool().for_each(n_jobs, |_| spin_bytes(STEPS)));
            (2 * ACCUMULATORS * 64 * STEPS * n_jobs) as f64 / peak
        } else {
            0.0
        };
        let fork_join_s = best(|| cpu.pool().for_each(n_jobs, |i| _ = black_box(i)));
        let flops = flops_per_step * (STEPS * n_jobs) as f64 / peak;
        Limits { bytes_per_s: SLICE_BYTES as f64 / read, flops, byte_ops: byte_ops.max(flops), fork_join_s }
    }
}

/// Enough to hide the latency of a multiply-add, and few enough for sixteen registers.
const ACCUMULATORS: usize = 12;

fn lanes(path: Path) -> usize {
    match path {
        Path::Avx512 => 16,
        Path::Avx2 => 8,
        Path::Neon | Path::Portable => 4,
    }
}

#[cfg(target_arch = "x86_64")]
fn has_byte_products(path: Path) -> bool {
    path == Path::Avx512 && is_x86_feature_detected!("avx512vnni")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_byte_products(_: Path) -> bool {
    false
}

/// Runs `ACCUMULATORS` multiply-adds of 64 bytes, `steps` times, if the machine has them.
#[cfg(target_arch = "x86_64")]
fn spin_bytes(steps: usize) {
    #[target_feature(enable = "avx512f,avx512vnni")]
    fn run(steps: usize) {
        use std::arch::x86_64::{_mm512_dpbusd_epi32, _mm512_set1_epi32};
        let (a, b) = (_mm512_set1_epi32(black_box(0x0102_0304)), _mm512_set1_epi32(black_box(0x0403_0201)));
        let mut acc = [b; ACCUMULATORS];
        for _ in 0..steps {
            for it in &mut acc {
                *it = _mm512_dpbusd_epi32(*it, a, b);
            }
        }
        black_box(acc);
    }
    if is_x86_feature_detected!("avx512vnni") {
        // SAFETY: the machine has the instructions.
        unsafe { run(steps) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn spin_bytes(_: usize) {}

/// Runs `ACCUMULATORS` multiply-adds of a register, `steps` times.
fn spin(path: Path, steps: usize) {
    match path {
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => {
            #[target_feature(enable = "avx512f")]
            fn run(steps: usize) {
                use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps};
                let (a, b) = (_mm512_set1_ps(black_box(0.999)), _mm512_set1_ps(black_box(1e-3)));
                let mut acc = [b; ACCUMULATORS];
                for _ in 0..steps {
                    for it in &mut acc {
                        *it = _mm512_fmadd_ps(*it, a, b);
                    }
                }
                black_box(acc);
            }
            // SAFETY: a `Cpu` of this path exists, so the machine has its instructions.
            unsafe { run(steps) };
        }
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => {
            #[target_feature(enable = "avx2,fma")]
            fn run(steps: usize) {
                use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps};
                let (a, b) = (_mm256_set1_ps(black_box(0.999)), _mm256_set1_ps(black_box(1e-3)));
                let mut acc = [b; ACCUMULATORS];
                for _ in 0..steps {
                    for it in &mut acc {
                        *it = _mm256_fmadd_ps(*it, a, b);
                    }
                }
                black_box(acc);
            }
            // SAFETY: as above.
            unsafe { run(steps) };
        }
        _ => {
            let (a, b) = (black_box(0.999f32), black_box(1e-3f32));
            let mut acc = [[b; 4]; ACCUMULATORS];
            for _ in 0..steps {
                acc.iter_mut().flatten().for_each(|it| *it = *it * a + b);
            }
            black_box(acc);
        }
    }
}
