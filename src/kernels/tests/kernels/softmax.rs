//! Sums of exponentials against double precision.

use runabout_kernels::*;

use crate::support::{cpus, normal};

#[test]
fn sums_agree_with_double_precision_whatever_the_length() {
    for cpu in cpus() {
        for n in [0, 1, 15, 16, 17, 1_023, 1_024, 1_025, 5_000] {
            let values: Vec<f32> = normal(n, 3).iter().map(|it| it * 4.0).collect();
            let sums = exp_sums(&cpu, &values, 9.0, 1.5);
            assert_eq!(sums.len(), n.div_ceil(EXP_SUMS_CHUNK));
            for (chunk, &sum) in values.chunks(EXP_SUMS_CHUNK).zip(&sums) {
                let expected: f64 = chunk.iter().map(|&it| ((f64::from(it) - 9.0) * 1.5).exp()).sum();
                let error = (f64::from(sum) - expected).abs() / expected;
                assert!(error < 1e-5, "{} {n}: {sum} is not {expected}", cpu.path());
            }
        }
    }
}

#[test]
fn what_cannot_be_drawn_adds_nothing() {
    for cpu in cpus() {
        let values = [0.0, f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY];
        assert_eq!(exp_sums(&cpu, &values, 0.0, 1.0), [2.0]);
    }
}
