//! Gates and activations against double precision.

use runabout_kernels::*;

use crate::support::{assert_close, cpus, normal};

const SILU: Gating = Gating::Activation(Activation::Silu);

#[test]
fn gates_agree_with_double_precision() {
    for cpu in cpus() {
        for (n_rows, n) in [(1, 1), (3, 17), (2, 896), (70, 65)] {
            let x = normal(n_rows * 2 * n, 1);
            let mut out = vec![f32::NAN; n_rows * n];
            gated(&cpu, SILU, &x, n, &mut out).unwrap();
            let silu = |it: f64| it / (1.0 + (-it).exp());
            let expected: Vec<f64> = x
                .chunks(2 * n)
                .flat_map(|row| (0..n).map(move |i| silu(row[i].into()) * f64::from(row[n + i])))
                .collect();
            assert_close(&out, &expected, 5e-7, &format!("{} {n_rows} x {n}", cpu.path()));

            gated(&cpu, Gating::Clamped { limit: 0.5, slope: 1.702 }, &x, n, &mut out).unwrap();
            let clamped = |gate: f64, up: f64| {
                let gate = gate.min(0.5);
                gate / (1.0 + (-f64::from(1.702_f32) * gate).exp()) * (up.clamp(-0.5, 0.5) + 1.0)
            };
            let expected: Vec<f64> = x
                .chunks(2 * n)
                .flat_map(|row| (0..n).map(move |i| clamped(row[i].into(), row[n + i].into())))
                .collect();
            assert_close(&out, &expected, 5e-7, &format!("clamped, {} {n_rows} x {n}", cpu.path()));

            let mut alone = x.clone();
            activated(&cpu, Activation::Silu, &mut alone);
            let expected: Vec<f64> = x.iter().map(|&it| silu(it.into())).collect();
            assert_close(&alone, &expected, 5e-7, &format!("{} {n_rows} x {n}", cpu.path()));
        }
    }
}

#[test]
fn rows_that_are_not_whole_are_refused() {
    let cpu = cpus().pop().unwrap();
    let refused = gated(&cpu, SILU, &[0.0; 6], 2, &mut [0.0; 4]);
    assert!(matches!(refused, Err(KernelError::Length { what: "x", expected: 8, got: 6 })));
    assert!(gated(&cpu, SILU, &[], 0, &mut []).is_err());
}
