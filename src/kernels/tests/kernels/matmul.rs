//! Tests every path, coding and number of rows against double precision.

use runabout_kernels::*;

use crate::support::{RandomMatrix, assert_close, cpus, normal};

const LIMIT: f64 = 2e-6;

fn check(matrices: &[RandomMatrix], arrangement: Arrangement, n_rows: usize) {
    let sources: Vec<_> = matrices.iter().map(RandomMatrix::matrix).collect();
    let n_cols = matrices[0].n_cols;
    let x = normal(n_rows * n_cols, 7);
    let wide: Vec<f64> = x.iter().map(|&it| it.into()).collect();
    let products: Vec<_> = matrices.iter().map(|it| it.product(&wide)).collect();
    let expected: Vec<f64> = (0..n_rows)
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
        .collect();
    let shapes: Vec<_> = matrices.iter().map(|it| (it.n_rows, it.n_cols)).collect();
    for cpu in cpus() {
        let weights = PackedWeights::pack(&cpu, &sources, arrangement).unwrap();
        let mut out = vec![f32::NAN; n_rows * weights.n_outputs()];
        matmul(&cpu, &weights, Input { x: &x, norm: None, bias: None }, Epilogue::Store, &mut out).unwrap();
        assert_close(&out, &expected, LIMIT, &format!("{} {n_rows} rows of {shapes:?}", cpu.path()));
    }
}

#[test]
fn every_affine_format_agrees_with_double_precision() {
    let mut seed = 0;
    for bits in [2, 3, 4, 5, 6, 8] {
        for group_size in [32, 64, 128] {
            for scales in [FloatType::F32, FloatType::F16, FloatType::Bf16] {
                seed += 10;
                for n_rows in [1, 3, 9] {
                    let random = || RandomMatrix::affine(41, 128 * 3, bits, group_size, scales, seed);
                    check(&[random()], Arrangement::Stacked, n_rows);
                    check(&[random().centred()], Arrangement::Stacked, n_rows);
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
fn columns_beyond_one_stretch_are_added_up() {
    for n_cols in [512, 544, 1_088, 1_536] {
        for n_rows in [1, 2, 14] {
            check(
                &[RandomMatrix::affine(33, n_cols, 8, 32, FloatType::F16, 5)],
                Arrangement::Stacked,
                n_rows,
            );
        }
    }
}

#[test]
fn plain_matrices_of_odd_shapes_agree_with_double_precision() {
    for float_type in [FloatType::F32, FloatType::F16, FloatType::Bf16] {
        for (n_out, n_cols) in [(1, 1), (16, 32), (7, 33), (35, 577), (64, 100)] {
            for n_rows in [1, 2, 5, 19] {
                check(&[RandomMatrix::plain(n_out, n_cols, float_type, 6)], Arrangement::Stacked, n_rows);
            }
        }
    }
}

#[test]
fn stacked_matrices_may_differ_in_everything_but_their_columns() {
    for n_rows in [1, 4, 23] {
        let matrices = [
            RandomMatrix::affine(40, 128, 5, 32, FloatType::F16, 1),
            RandomMatrix::affine(8, 128, 8, 64, FloatType::F32, 2),
            RandomMatrix::plain(19, 128, FloatType::Bf16, 3),
            RandomMatrix::affine(16, 128, 3, 128, FloatType::Bf16, 4),
        ];
        check(&matrices, Arrangement::Stacked, n_rows);
    }
}

#[test]
fn a_gate_is_applied_also_between_matrices_of_different_bits() {
    for n_rows in [1, 2, 6, 31] {
        let matrices = [
            RandomMatrix::affine(41, 64, 4, 32, FloatType::F16, 1),
            RandomMatrix::affine(41, 64, 6, 64, FloatType::F16, 2),
        ];
        check(&matrices, Arrangement::Gated(Activation::Silu), n_rows);
    }
}

#[test]
fn norm_bias_and_residual_are_fused() {
    let (n_out, n_cols) = (37, 96);
    let matrix = RandomMatrix::affine(n_out, n_cols, 4, 32, FloatType::F16, 1);
    let (weight, bias) = (normal(n_cols, 2), normal(n_out, 3));
    for cpu in cpus() {
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
            let what = format!("{} {n_rows} rows", cpu.path());

            let mut out = vec![f32::NAN; n_rows * n_out];
            matmul(&cpu, &weights, input, Epilogue::Add(&residual), &mut out).unwrap();
            assert_close(&out, &expected, LIMIT, &what);

            let mut out = residual.clone();
            matmul(&cpu, &weights, input, Epilogue::Accumulate, &mut out).unwrap();
            assert_close(&out, &expected, LIMIT, &what);
        }
    }
}

#[test]
fn a_row_does_not_depend_on_the_rows_beside_it_in_its_value() {
    // Not exactly: kernels for different numbers of rows add in different orders.
    for cpu in cpus() {
        let matrix = RandomMatrix::affine(48, 320, 4, 64, FloatType::F16, 9);
        let weights = PackedWeights::pack(&cpu, &[matrix.matrix()], Arrangement::Stacked).unwrap();
        let x = normal(20 * 320, 1);
        let mut all = vec![0.0; 20 * 48];
        matmul(&cpu, &weights, Input { x: &x, norm: None, bias: None }, Epilogue::Store, &mut all).unwrap();
        for row in 0..20 {
            let x = &x[row * 320..][..320];
            let mut out = vec![0.0; 48];
            matmul(&cpu, &weights, Input { x, norm: None, bias: None }, Epilogue::Store, &mut out).unwrap();
            let all: Vec<f64> = all[row * 48..][..48].iter().map(|&it| it.into()).collect();
            assert_close(&out, &all, LIMIT, &format!("{} row {row}", cpu.path()));
        }
    }
}

#[test]
fn rows_are_read_back_as_they_were_packed() {
    for cpu in cpus() {
        for bits in [2, 3, 4, 5, 6, 8] {
            let first = RandomMatrix::affine(35, 128, bits, 64, FloatType::F16, 1);
            let second = RandomMatrix::plain(5, 128, FloatType::F16, 2);
            let weights =
                PackedWeights::pack(&cpu, &[first.matrix(), second.matrix()], Arrangement::Stacked).unwrap();
            let rows: Vec<u32> = (0..40).rev().collect();
            let mut out = vec![f32::NAN; 40 * 128];
            weights.read_rows(&cpu, &rows, &mut out).unwrap();
            let expected: Vec<f64> = rows
                .iter()
                .flat_map(|&row| (0..128).map(move |col| (row as usize, col)))
                .map(|(row, col)| if row < 35 { first.at(row, col) } else { second.at(row - 35, col) })
                .collect();
            assert_close(&out, &expected, 1e-7, &format!("{} {bits} bits", cpu.path()));
        }
        let matrix = RandomMatrix::plain(3, 4, FloatType::F32, 1);
        let weights = PackedWeights::pack(&cpu, &[matrix.matrix()], Arrangement::Stacked).unwrap();
        assert!(matches!(
            weights.read_rows(&cpu, &[0, 3], &mut [0.0; 8]),
            Err(KernelError::Row { row: 3, n_rows: 3 })
        ));
    }
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let cpu = cpus().pop().unwrap();
    let pack = |bits, group_size, n_words, n_scales, n_cols| {
        let (words, scales) = (vec![0; n_words], vec![0.0; n_scales]);
        let weights = Weights::Affine {
            words: &words,
            scales: Floats::F32(&scales),
            biases: Floats::F32(&scales),
            bits,
            group_size,
        };
        PackedWeights::pack(&cpu, &[Matrix { n_rows: 2, n_cols, weights }], Arrangement::Stacked).map(|_| ())
    };
    assert!(pack(4, 32, 16, 4, 64).is_ok());
    assert!(matches!(pack(7, 32, 16, 4, 64), Err(KernelError::Bits { got: 7 })));
    assert!(matches!(pack(4, 48, 16, 4, 64), Err(KernelError::GroupSize { got: 48 })));
    assert!(matches!(pack(4, 32, 16, 4, 63), Err(KernelError::Columns { group_size: 32, n_cols: 63 })));
    assert!(matches!(pack(4, 32, 15, 4, 64), Err(KernelError::Length { what: "words", .. })));
    assert!(matches!(pack(4, 32, 16, 5, 64), Err(KernelError::Length { what: "scales", .. })));

    let (small, large) =
        (RandomMatrix::plain(2, 8, FloatType::F32, 1), RandomMatrix::plain(3, 8, FloatType::F32, 1));
    let pair = [small.matrix(), large.matrix()];
    assert!(PackedWeights::pack(&cpu, &pair, Arrangement::Gated(Activation::Silu)).is_err());
    assert!(PackedWeights::pack(&cpu, &[], Arrangement::Stacked).is_err());

    let weights = PackedWeights::pack(&cpu, &pair, Arrangement::Stacked).unwrap();
    let x = [0.0; 16];
    let mut out = [0.0; 10];
    let input = Input { x: &x, norm: None, bias: None };
    assert!(matmul(&cpu, &weights, input, Epilogue::Store, &mut out).is_ok());
    assert!(matmul(&cpu, &weights, input, Epilogue::Store, &mut out[1..]).is_err());
    assert!(matmul(&cpu, &weights, Input { x: &x[1..], ..input }, Epilogue::Store, &mut out).is_err());
    assert!(matmul(&cpu, &weights, Input { bias: Some(&x), ..input }, Epilogue::Store, &mut out).is_err());
    assert!(matmul(&cpu, &weights, input, Epilogue::Add(&x), &mut out).is_err());
    assert!(matmul(&cpu, &weights, Input { x: &[], ..input }, Epilogue::Store, &mut []).is_ok());
}
