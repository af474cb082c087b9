//! The gated delta rule against double precision.

use runabout_kernels::*;

use crate::support::{assert_close, cpus, normal};

#[test]
fn the_recurrence_agrees_with_double_precision_and_can_be_divided() {
    let shapes = [(1, 1, 16, 1), (2, 4, 32, 24), (1, 3, 128, 17)];
    for cpu in cpus() {
        for (n_key_heads, n_value_heads, key_dim, value_dim) in shapes {
            let shape = DeltaShape { n_key_heads, n_value_heads, key_dim, value_dim };
            let n = 7;
            let small = |n: usize, seed| -> Vec<f32> {
                normal(n, seed).into_iter().map(|it| it / (key_dim as f32).sqrt()).collect()
            };
            let queries = small(n * n_key_heads * key_dim, 1);
            let keys = small(n * n_key_heads * key_dim, 2);
            let values = normal(n * n_value_heads * value_dim, 3);
            let unit = |it: f32| 1.0 / (1.0 + it.exp());
            let decays: Vec<f32> = normal(n * n_value_heads, 4).into_iter().map(unit).collect();
            let betas: Vec<f32> = normal(n * n_value_heads, 5).into_iter().map(unit).collect();
            let before = normal(shape.n_state(), 6);
            let part = |from: usize, to: usize| DeltaInputs {
                queries: &queries[from * n_key_heads * key_dim..to * n_key_heads * key_dim],
                keys: &keys[from * n_key_heads * key_dim..to * n_key_heads * key_dim],
                values: &values[from * n_value_heads * value_dim..to * n_value_heads * value_dim],
                decays: &decays[from * n_value_heads..to * n_value_heads],
                betas: &betas[from * n_value_heads..to * n_value_heads],
            };
            let mut state = before.clone();
            let mut out = vec![f32::NAN; values.len()];
            gated_delta(&cpu, shape, part(0, n), &mut state, &mut out).unwrap();

            let mut expected: Vec<f64> = before.iter().map(|&it| it.into()).collect();
            let mut outputs = vec![0.0; values.len()];
            for token in 0..n {
                for head in 0..n_value_heads {
                    let key_head = head / (n_value_heads / n_key_heads);
                    let at = (token * n_key_heads + key_head) * key_dim;
                    let of_head = token * n_value_heads + head;
                    for row in 0..value_dim {
                        let first = (head * value_dim + row) * key_dim;
                        let held = &mut expected[first..first + key_dim];
                        let mut sum = 0.0;
                        for (held, key) in held.iter_mut().zip(&keys[at..]) {
                            *held *= f64::from(decays[of_head]);
                            sum += *held * f64::from(*key);
                        }
                        let value = f64::from(values[of_head * value_dim + row]);
                        let delta = (value - sum) * f64::from(betas[of_head]);
                        let mut sum = 0.0;
                        for ((held, key), query) in held.iter_mut().zip(&keys[at..]).zip(&queries[at..]) {
                            *held += f64::from(*key) * delta;
                            sum += *held * f64::from(*query);
                        }
                        outputs[of_head * value_dim + row] = sum;
                    }
                }
            }
            assert_close(&out, &outputs, 2e-6, &format!("{} {shape:?}", cpu.path()));
            assert_close(&state, &expected, 2e-6, &format!("{} {shape:?}", cpu.path()));

            let mut divided = before;
            let mut parts = vec![f32::NAN; values.len()];
            let (first, second) = parts.split_at_mut(3 * n_value_heads * value_dim);
            gated_delta(&cpu, shape, part(0, 3), &mut divided, first).unwrap();
            gated_delta(&cpu, shape, part(3, n), &mut divided, second).unwrap();
            assert_eq!((parts, divided), (out, state));
        }
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let cpu = cpus().pop().unwrap();
    let shape = DeltaShape { n_key_heads: 1, n_value_heads: 1, key_dim: 16, value_dim: 1 };
    let inputs =
        DeltaInputs { queries: &[0.0; 16], keys: &[0.0; 16], values: &[0.0], decays: &[1.0], betas: &[] };
    let mut state = [0.0; 16];
    assert!(matches!(
        gated_delta(&cpu, shape, inputs, &mut state, &mut [0.0]),
        Err(KernelError::Length { what: "betas", expected: 1, got: 0 })
    ));
    let odd = DeltaShape { key_dim: 8, ..shape };
    assert!(matches!(gated_delta(&cpu, odd, inputs, &mut state, &mut [0.0]), Err(KernelError::DeltaShape)));
}
