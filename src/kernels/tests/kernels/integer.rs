//! Tests integer products against double precision, with inputs rounded in the same way and not rounded.

use crate::support::{RandomMatrix, assert_close, cpus_in, normal};
use runabout_kernels::*;

/// The error against a reference that rounds inputs in the same way.
const LIMIT: f64 = 2e-6;
/// The error against a reference that does not.
const ROUNDED: [(Precision, f64); 2] = [(Precision::Int16, 1e-4), (Precision::Int8, 1e-2)];

/// Input rows rounded as `activations/integer.rs` documents.
fn rounded(x: &[f32], precision: Precision) -> Vec<f64> {
    let greatest = if precision == Precision::Int8 { 127.0 } else { 32_639.0 };
    x.chunks(32)
        .flat_map(|chunk| {
            let size = chunk.iter().fold(0.0f32, |a, b| a.max(b.abs()));
            let scale = f64::from(size / greatest);
            chunk.iter().map(move |it| scale * f64::from((it * (greatest / size)).round_ties_even()))
        })
        .collect()
}

fn expected(matrices: &[RandomMatrix], arrangement: Arrangement, n_rows: usize, x: &[f64]) -> Vec<f64> {
    let products: Vec<_> = matrices.iter().map(|it| it.product(x)).collect();
    (0..n_rows)
        .flat_map(|row| {
            let rows = matrices.iter().zip(&products).map(move |(m, p)| &p[row * m.n_rows..][..m.n_rows]);
            match arrangement {
                Arrangement::Stacked => rows.flatten().copied().collect::<Vec<_>>(),
                Arrangement::Gated(_) => {
                    let rows: Vec<_> = rows.collect();
                    rows[0].iter().zip(rows[1]).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect()
                }
            }
        })
        .collect()
}

fn product(cpu: &Cpu, weights: &PackedWeights, x: &[f32]) -> Vec<f32> {
    let mut out = vec![f32::NAN; x.len() / weights.n_inputs() * weights.n_outputs()];
    matmul(cpu, weights, Input { x, norm: None, bias: None }, Epilogue::Store, &mut out).unwrap();
    out
}

fn check(matrices: &[RandomMatrix], arrangement: Arrangement, n_rows: usize) {
    let sources: Vec<_> = matrices.iter().map(RandomMatrix::matrix).collect();
    let x = normal(n_rows * matrices[0].n_cols, 7);
    let exact: Vec<f64> = x.iter().map(|&it| it.into()).collect();
    let exact = expected(matrices, arrangement, n_rows, &exact);
    let shapes: Vec<_> = matrices.iter().map(|it| (it.n_rows, it.n_cols)).collect();
    for (precision, limit) in ROUNDED {
        let same = expected(matrices, arrangement, n_rows, &rounded(&x, precision));
        for cpu in cpus_in(precision) {
            let weights = PackedWeights::pack(&cpu, &sources, arrangement).unwrap();
            let out = product(&cpu, &weights, &x);
            let what = format!("{} {precision} {n_rows} rows of {shapes:?}", cpu.path());
            assert_close(&out, &same, LIMIT, &what);
            // Both factors of a gated pair were rounded.
            let n_rounded = if matches!(arrangement, Arrangement::Gated(_)) { 2.0_f64 } else { 1.0 };
            assert_close(&out, &exact, limit * n_rounded.sqrt(), &what);
        }
    }
}

#[test]
fn every_format_agrees_with_double_precision() {
    let mut seed = 0;
    for bits in [2, 3, 4, 5, 6, 8] {
        for group_size in [32, 64, 128] {
            for scales in [FloatType::F32, FloatType::F16, FloatType::Bf16] {
                seed += 10;
                for n_rows in [1, 6, 19] {
                    let matrix = RandomMatrix::affine(41, 128 * 3, bits, group_size, scales, seed);
                    check(&[matrix], Arrangement::Stacked, n_rows);
                }
            }
        }
    }
}

#[test]
fn every_number_of_rows_agrees_with_double_precision() {
    for n_rows in (1..=30).chain([37, 64, 101]) {
        check(&[RandomMatrix::affine(50, 96, 4, 32, FloatType::F16, 3)], Arrangement::Stacked, n_rows);
        check(&[RandomMatrix::affine(17, 64, 5, 64, FloatType::Bf16, 4)], Arrangement::Stacked, n_rows);
    }
}

#[test]
fn centred_weights_agree_with_double_precision_and_with_the_general_form() {
    for bits in [2, 3, 4, 5, 6, 8] {
        for (group_size, scales) in [(32, FloatType::F16), (64, FloatType::Bf16), (128, FloatType::F32)] {
            let matrix = || RandomMatrix::affine(43, 640, bits, group_size, scales, 6).centred();
            let up = || RandomMatrix::affine(43, 640, bits, group_size, scales, 60).centred();
            for n_rows in [1, 2, 3, 5, 8, 19, 37] {
                check(&[matrix()], Arrangement::Stacked, n_rows);
                check(&[matrix(), up()], Arrangement::Gated(Activation::Silu), n_rows);
            }
            // One row with its own biases makes all rows take the general form.
            let most = RandomMatrix::affine(43, 640, bits, group_size, scales, 6).centred_to(42);
            for cpu in cpus_in(Precision::Int8) {
                let pack = |it: &RandomMatrix| {
                    PackedWeights::pack(&cpu, &[it.matrix()], Arrangement::Stacked).unwrap()
                };
                let (centred, general) = (pack(&matrix()), pack(&most));
                assert!(centred.n_bytes() < general.n_bytes());
                for n_rows in [1, 30] {
                    let x = normal(n_rows * 640, 8);
                    let of = |weights| -> Vec<f32> {
                        product(&cpu, weights, &x).chunks(43).flat_map(|row| row[..42].to_vec()).collect()
                    };
                    let expected: Vec<f64> = of(&general).into_iter().map(f64::from).collect();
                    let what = format!("{} {bits} bits, {n_rows} rows", cpu.path());
                    assert_close(&of(&centred), &expected, LIMIT, &what);
                }
            }
        }
    }
}

#[test]
fn columns_beyond_one_stretch_are_added_up() {
    for n_cols in [512, 544, 1_088, 1_536] {
        for n_rows in [1, 2, 18] {
            check(
                &[RandomMatrix::affine(33, n_cols, 8, 32, FloatType::F16, 5)],
                Arrangement::Stacked,
                n_rows,
            );
        }
    }
}

#[test]
fn stacked_matrices_may_differ_in_everything_but_their_columns() {
    for n_rows in [1, 4, 23] {
        let matrices = [
            RandomMatrix::affine(40, 128, 5, 32, FloatType::F16, 1),
            RandomMatrix::affine(8, 128, 8, 64, FloatType::F32, 2),
            RandomMatrix::affine(16, 128, 3, 128, FloatType::Bf16, 4),
            RandomMatrix::affine(24, 128, 5, 32, FloatType::F16, 5).centred(),
            RandomMatrix::affine(24, 128, 8, 32, FloatType::F16, 6).centred(),
        ];
        check(&matrices, Arrangement::Stacked, n_rows);
    }
}

#[test]
fn a_gate_is_applied_also_between_matrices_of_different_bits() {
    for n_rows in [1, 2, 6, 31] {
        let matrices = [
            RandomMatrix::affine(41, 128, 4, 32, FloatType::F16, 1),
            RandomMatrix::affine(41, 128, 6, 64, FloatType::F16, 2),
        ];
        check(&matrices, Arrangement::Gated(Activation::Silu), n_rows);
        let [gate, up] = matrices;
        check(&[gate, up.centred()], Arrangement::Gated(Activation::Silu), n_rows);
    }
}

#[test]
fn a_plain_matrix_among_them_makes_all_of_them_f32() {
    let matrices = [
        RandomMatrix::affine(40, 64, 4, 32, FloatType::F16, 1),
        RandomMatrix::plain(19, 64, FloatType::Bf16, 3),
    ];
    let sources: Vec<_> = matrices.iter().map(RandomMatrix::matrix).collect();
    let x = normal(3 * 64, 7);
    let wide: Vec<f64> = x.iter().map(|&it| it.into()).collect();
    for cpu in cpus_in(Precision::Int8) {
        let weights = PackedWeights::pack(&cpu, &sources, Arrangement::Stacked).unwrap();
        let expected = expected(&matrices, Arrangement::Stacked, 3, &wide);
        assert_close(&product(&cpu, &weights, &x), &expected, LIMIT, &cpu.path().to_string());
    }
}

#[test]
fn a_row_is_the_same_bit_by_bit_whatever_rows_are_beside_it() {
    const N_ROWS: usize = 40;
    let n_cols = 640;
    let random =
        |n_out, bits, group_size| RandomMatrix::affine(n_out, n_cols, bits, group_size, FloatType::F16, 9);
    let cases = [
        vec![random(72, 4, 32)],
        vec![random(72, 5, 64)],
        vec![random(72, 6, 32)],
        vec![random(72, 8, 128)],
        vec![random(72, 5, 32).centred()],
        vec![random(72, 6, 64).centred()],
        vec![random(72, 8, 32).centred()],
        // The third block of the first matrix is multiplied together with the first block of the second.
        vec![random(48, 5, 32).centred(), random(24, 8, 32)],
        vec![random(48, 3, 32), random(24, 6, 32).centred()],
    ];
    for (precision, _) in ROUNDED {
        for cpu in cpus_in(precision) {
            for (case, matrices) in cases.iter().enumerate() {
                let sources: Vec<_> = matrices.iter().map(RandomMatrix::matrix).collect();
                let weights = PackedWeights::pack(&cpu, &sources, Arrangement::Stacked).unwrap();
                let x = normal(N_ROWS * n_cols, 1);
                let all = product(&cpu, &weights, &x);
                for n_rows in 1..N_ROWS {
                    for first in [0, N_ROWS - n_rows] {
                        let some = product(&cpu, &weights, &x[first * n_cols..][..n_rows * n_cols]);
                        let same =
                            some.iter().zip(&all[first * 72..]).all(|(a, b)| a.to_bits() == b.to_bits());
                        assert!(same, "{} {precision}, case {case}, {n_rows} rows", cpu.path());
                    }
                }
            }
        }
    }
}

#[test]
fn rows_are_read_back_as_they_were_packed() {
    for cpu in cpus_in(Precision::Int8) {
        for bits in [2, 3, 4, 5, 6, 8] {
            let random = || RandomMatrix::affine(35, 128, bits, 64, FloatType::F16, 1);
            for matrix in [random(), random().centred()] {
                let weights = PackedWeights::pack(&cpu, &[matrix.matrix()], Arrangement::Stacked).unwrap();
                let rows: Vec<u32> = (0..35).rev().collect();
                let mut out = vec![f32::NAN; 35 * 128];
                weights.read_rows(&cpu, &rows, &mut out).unwrap();
                let expected: Vec<f64> = (0..35 * 128).map(|i| matrix.at(34 - i / 128, i % 128)).collect();
                assert_close(&out, &expected, 1e-7, &format!("{} {bits} bits", cpu.path()));
            }
        }
    }
}

#[test]
fn norm_bias_and_residual_are_fused() {
    let (n_out, n_cols) = (37, 96);
    let matrix = RandomMatrix::affine(n_out, n_cols, 4, 32, FloatType::F16, 1);
    let (weight, bias) = (normal(n_cols, 2), normal(n_out, 3));
    for (precision, limit) in ROUNDED {
        for cpu in cpus_in(precision) {
            let weights = PackedWeights::pack(&cpu, &[matrix.matrix()], Arrangement::Stacked).unwrap();
            for n_rows in [1, 3, 8, 26] {
                let (x, residual) = (normal(n_rows * n_cols, 4), normal(n_rows * n_out, 5));
                let normed: Vec<f64> = x
                    .chunks(n_cols)
                    .flat_map(|row| {
                        let mean = row.iter().map(|&it| f64::from(it).powi(2)).sum::<f64>() / n_cols as f64;
                        row.iter()
                            .zip(&weight)
                            .map(move |(&x, &w)| f64::from(x) / (mean + 1e-6).sqrt() * f64::from(w))
                    })
                    .collect();
                let expected: Vec<f64> = matrix
                    .product(&normed)
                    .iter()
                    .enumerate()
                    .map(|(i, it)| it + f64::from(bias[i % n_out]) + f64::from(residual[i]))
                    .collect();
                let norm = Some(Norm { weight: &weight, eps: 1e-6 });
                let input = Input { x: &x, norm, bias: Some(&bias) };
                let what = format!("{} {precision} {n_rows} rows", cpu.path());

                let mut out = vec![f32::NAN; n_rows * n_out];
                matmul(&cpu, &weights, input, Epilogue::Add(&residual), &mut out).unwrap();
                assert_close(&out, &expected, limit, &what);

                let mut out = residual.clone();
                matmul(&cpu, &weights, input, Epilogue::Accumulate, &mut out).unwrap();
                assert_close(&out, &expected, limit, &what);
            }
        }
    }
}

#[test]
fn extreme_inputs_keep_to_their_own_rows() {
    let n_cols = 128;
    let random = || RandomMatrix::affine(20, n_cols, 4, 32, FloatType::F16, 1);
    let matrices = [random(), random().centred()];
    for ((precision, _), matrix) in ROUNDED.into_iter().flat_map(|it| matrices.iter().map(move |m| (it, m))) {
        for cpu in cpus_in(precision) {
            let weights = PackedWeights::pack(&cpu, &[matrix.matrix()], Arrangement::Stacked).unwrap();
            for n_rows in [5, 20] {
                let mut x = normal(n_rows * n_cols, 4);
                x[..n_cols].fill(0.0);
                x[n_cols + 7] = f32::NAN;
                x[2 * n_cols + 9] = f32::INFINITY;
                x[3 * n_cols..4 * n_cols].iter_mut().for_each(|it| *it *= 1e-38);
                let out = product(&cpu, &weights, &x);
                let rows: Vec<_> = out.chunks(20).collect();
                let what = format!("{} {precision}", cpu.path());
                assert!(rows[0].iter().all(|it| *it == 0.0), "{what}");
                assert!(rows[1].iter().all(|it| it.is_nan()), "{what}");
                assert!(rows[2].iter().all(|it| !it.is_finite()), "{what}");
                assert!(rows[3..].iter().flat_map(|it| it.iter()).all(|it| it.is_finite()), "{what}");
                assert_eq!(rows[4], product(&cpu, &weights, &x[4 * n_cols..][..n_cols]), "{what}");
            }
        }
    }
}

#[test]
fn the_greatest_values_of_both_signs_do_not_overflow() {
    // Every value of weights and inputs is at its limit, so sums are as large as possible.
    let n_cols = 64;
    let (scales, biases) = (vec![1.0; 16 * 2], vec![0.0; 16 * 2]);
    let (scales, biases) = (Floats::F32(&scales), Floats::F32(&biases));
    for bits in [2, 3, 4, 5, 6, 8] {
        let words = vec![u32::MAX; 16 * n_cols * bits / 32];
        let weights = Weights::Affine { words: &words, scales, biases, bits, group_size: 32 };
        let matrix = Matrix { n_rows: 16, n_cols, weights };
        let greatest = f64::from((1 << bits) - 1);
        for (precision, _) in ROUNDED {
            for cpu in cpus_in(precision) {
                let weights = PackedWeights::pack(&cpu, &[matrix], Arrangement::Stacked).unwrap();
                for n_rows in [1, 18] {
                    for sign in [1.0, -1.0] {
                        let out = product(&cpu, &weights, &vec![sign * 3.5; n_rows * n_cols]);
                        let expected = vec![f64::from(sign) * 3.5 * greatest * n_cols as f64; n_rows * 16];
                        assert_close(
                            &out,
                            &expected,
                            1e-6,
                            &format!("{} {precision} {bits} bits", cpu.path()),
                        );
                    }
                }
            }
        }
    }
}
