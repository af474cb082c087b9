//! Norms against double precision.

use runabout_kernels::*;

use crate::support::{assert_close, cpus, normal};

#[test]
fn norms_agree_with_double_precision() {
    for cpu in cpus() {
        for (n_rows, n_cols) in [(1, 1), (1, 576), (3, 17), (2, 896), (70, 65), (5, 4_099)] {
            let x = normal(n_rows * n_cols, 1);
            let weight = normal(n_cols, 2);
            let mut out = vec![f32::NAN; x.len()];
            rms_norm(&cpu, &x, Norm { weight: &weight, eps: 1e-5 }, &mut out).unwrap();
            let expected: Vec<f64> = x
                .chunks(n_cols)
                .flat_map(|row| {
                    let mean = row.iter().map(|&it| f64::from(it).powi(2)).sum::<f64>() / n_cols as f64;
                    row.iter()
                        .zip(&weight)
                        .map(move |(&it, &w)| f64::from(it) / (mean + 1e-5).sqrt() * f64::from(w))
                })
                .collect();
            assert_close(&out, &expected, 5e-7, &format!("{} {n_rows} x {n_cols}", cpu.path()));
        }
    }
}

#[test]
fn rows_that_are_not_whole_are_refused() {
    let cpu = cpus().pop().unwrap();
    let weight = [1.0; 4];
    let refused = rms_norm(&cpu, &[0.0; 6], Norm { weight: &weight, eps: 0.0 }, &mut [0.0; 6]);
    assert!(matches!(refused, Err(KernelError::Length { what: "x", expected: 4, got: 6 })));
}
