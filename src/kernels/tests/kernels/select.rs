//! The greatest values, wherever they are.

use runabout_kernels::*;

use crate::support::{cpus, normal};

#[test]
fn the_greatest_is_found_wherever_it_is() {
    for cpu in cpus() {
        for n in [1, 2, 15, 16, 17, 63, 64, 65, 200] {
            for at in 0..n {
                let mut values = vec![-2.5; n];
                values[at] = -1.0;
                assert_eq!(argmax(&cpu, &values), Some(at), "{} {n}", cpu.path());
                values[n - 1] = -1.0;
                assert_eq!(argmax(&cpu, &values), Some(at), "{} {n}", cpu.path());
            }
        }
    }
}

#[test]
fn what_is_not_a_number_is_never_the_greatest() {
    for cpu in cpus() {
        let mut values = vec![f32::NAN; 100];
        assert_eq!(argmax(&cpu, &values), None);
        assert!(top_k(&cpu, &values, 3).is_empty());
        values[77] = -3.0;
        values[31] = f32::NEG_INFINITY;
        assert_eq!(argmax(&cpu, &values), Some(77));
        assert_eq!(top_k(&cpu, &values, 3), [(77, -3.0)]);
        assert_eq!(argmax(&cpu, &[]), None);
        assert_eq!(argmax(&cpu, &[f32::NEG_INFINITY; 3]), Some(0));
    }
}

#[test]
fn the_best_k_are_those_of_a_full_sort() {
    for cpu in cpus() {
        for (n, k) in [(1, 1), (10, 20), (1_000, 1), (5_000, 40), (5_000, 700), (300, 0)] {
            // Coarse values, so that many are equal.
            let values: Vec<f32> = normal(n, 5).iter().map(|it| (it * 8.0).round() / 8.0).collect();
            let mut expected: Vec<_> = values.iter().copied().enumerate().collect();
            expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            expected.truncate(k);
            let indices = |it: Vec<(usize, f32)>| it.into_iter().map(|it| it.0).collect::<Vec<_>>();
            assert_eq!(indices(top_k(&cpu, &values, k)), indices(expected), "{} {n} {k}", cpu.path());
        }
    }
}
