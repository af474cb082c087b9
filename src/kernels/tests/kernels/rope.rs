//! Rotations against double precision.

use runabout_kernels::*;

use crate::support::{assert_close, cpus, normal};

#[test]
fn rotations_agree_with_double_precision() {
    for cpu in cpus() {
        for pairs in [RopePairs::Halves, RopePairs::Adjacent] {
            for (n_tokens, n_heads, head_dim, n_dims) in [
                (1, 9, 64, 64),
                (5, 2, 80, 80),
                (3, 2, 96, 24),
                (2, 1, 128, 128),
                (2, 3, 8, 6),
                (9, 1, 72, 72),
            ] {
                let frequencies = RopeTable::plain_frequencies(10_000.0, n_dims);
                let mut table = RopeTable::new(&frequencies, 1.25, 10);
                table.extend_to(1_000 + n_tokens);
                let x = normal(n_tokens * n_heads * head_dim, 3);
                let mut expected: Vec<f64> = x.iter().map(|&it| it.into()).collect();
                for (i, head) in expected.chunks_mut(head_dim).enumerate() {
                    let position = (1_000 + i / n_heads) as f64;
                    for (p, frequency) in frequencies.iter().enumerate() {
                        let (sin, cos) = (position * frequency).sin_cos();
                        let (a, b) = match pairs {
                            RopePairs::Halves => (p, p + n_dims / 2),
                            RopePairs::Adjacent => (2 * p, 2 * p + 1),
                        };
                        (head[a], head[b]) =
                            (1.25 * (head[a] * cos - head[b] * sin), 1.25 * (head[a] * sin + head[b] * cos));
                    }
                }
                let mut out = x.clone();
                rope(&cpu, Rope { table: &table, pairs }, &mut out, n_heads, head_dim, 1_000).unwrap();
                assert_close(&out, &expected, 2e-7, &format!("{} {pairs:?} {head_dim} {n_dims}", cpu.path()));
            }
        }
    }
}

#[test]
fn positions_beyond_the_table_are_refused() {
    let cpu = cpus().pop().unwrap();
    let table = RopeTable::new(&RopeTable::plain_frequencies(1e4, 8), 1.0, 4);
    let with = Rope { table: &table, pairs: RopePairs::Halves };
    let mut x = [0.0; 16];
    assert!(rope(&cpu, with, &mut x, 1, 8, 2).is_ok());
    assert!(matches!(
        rope(&cpu, with, &mut x, 1, 8, 3),
        Err(KernelError::Position { n_positions: 4, got: 4 })
    ));
    assert!(matches!(rope(&cpu, with, &mut x, 4, 4, 0), Err(KernelError::RotatedDims { .. })));
}
