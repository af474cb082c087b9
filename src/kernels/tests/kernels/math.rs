//! The exponential and the activations against double precision.

use runabout_kernels::{Activation, Cpu, activated, exp_sums};

use crate::support::cpus;

/// Its series in double precision; 1 where the difference from 1 is negligible.
fn erf(x: f64) -> f64 {
    if x.abs() > 5.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

/// A sum with one term.
fn exp(cpu: &Cpu, x: f32) -> f32 {
    exp_sums(cpu, &[x], 0.0, 1.0)[0]
}

#[test]
fn the_exponential_is_good_to_the_last_places() {
    for cpu in cpus() {
        for x in (-87 * 64 + 1..88 * 64).map(|it| it as f32 / 64.0) {
            let (got, expected) = (exp(&cpu, x), f64::from(x).exp());
            let error = (f64::from(got) - expected).abs() / expected;
            assert!(error < 2e-7, "{} exp({x}) is {expected}, got {got}", cpu.path());
        }
    }
}

#[test]
fn the_exponential_ends_in_zero_and_stays_finite() {
    for cpu in cpus() {
        for (x, expected) in [(-1e30, 0.0), (f32::NEG_INFINITY, 0.0), (-88.0, 0.0), (0.0, 1.0)] {
            assert_eq!(exp(&cpu, x), expected, "{} {x}", cpu.path());
        }
        assert!(exp(&cpu, 1e30).is_finite(), "{}", cpu.path());
    }
}

#[track_caller]
fn check(activation: Activation, range: std::ops::Range<i32>, limit: f64, reference: fn(f64) -> f64) {
    let x: Vec<f32> = range.map(|it| it as f32 / 64.0).collect();
    for cpu in cpus() {
        let mut out = x.clone();
        activated(&cpu, activation, &mut out);
        for (&x, &y) in x.iter().zip(&out) {
            let expected = reference(x.into());
            // Where an activation nearly cancels its argument, the error is relative to the argument.
            let size = expected.abs().max(0.05 * f64::from(x.abs())).max(f64::MIN_POSITIVE);
            let error = (f64::from(y) - expected).abs() / size;
            assert!(error < limit, "{} {activation:?}({x}) is {expected}, got {y}", cpu.path());
        }
    }
}

#[test]
fn activations_agree_with_double_precision() {
    check(Activation::Silu, -80 * 64..80 * 64, 1e-6, |x| x / (1.0 + (-x).exp()));
    check(Activation::Gelu, -10 * 64..10 * 64, 4e-6, |x| {
        0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))
    });
    check(Activation::GeluTanh, -10 * 64..10 * 64, 2e-6, |x| {
        0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
    });
}
