//! Packed weights that are kept and restored.

use runabout_kernels::*;
use serde_json::{Value, json};

fn cpu(precision: Precision) -> Cpu {
    Cpu::new(CpuOptions { precision: Some(precision), ..CpuOptions::default() }).unwrap()
}

/// Gate and up of 24 rows and 64 columns with reproducible numbers.
fn packed(cpu: &Cpu, bits: usize) -> PackedWeights {
    let n_words = 24 * 64 * bits / 32;
    let words: Vec<u32> = (0..n_words as u32).map(|it| it.wrapping_mul(2_654_435_761)).collect();
    let numbers: Vec<f32> = (0..24 * 2_u16).map(|it| f32::from(it) / 64.0 - 0.25).collect();
    let matrix = Matrix {
        n_rows: 24,
        n_cols: 64,
        weights: Weights::Affine {
            words: &words,
            scales: Floats::F32(&numbers),
            biases: Floats::F32(&numbers),
            bits,
            group_size: 32,
        },
    };
    PackedWeights::pack(cpu, &[matrix, matrix], Arrangement::Gated(Activation::Silu)).unwrap()
}

/// FNV-1a, which is short.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, it| (hash ^ u64::from(*it)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn restored_weights_give_the_same_products() {
    for precision in Precision::ALL {
        let cpu = cpu(precision);
        let weights = packed(&cpu, 5);
        let form = serde_json::from_str(&serde_json::to_string(&weights.form()).unwrap()).unwrap();
        let restored = PackedWeights::restore::<KernelError>(&cpu, &form, |to| {
            to.copy_from_slice(weights.bytes());
            Ok(())
        });
        let x: Vec<f32> = (0..3 * 64_u16).map(|it| f32::from(it % 17) - 8.0).collect();
        let [before, after] = [&weights, &restored.unwrap()].map(|weights| {
            let mut out = vec![0.0; 3 * 24];
            let input = Input { x: &x, norm: None, bias: None };
            matmul(&cpu, weights, input, Epilogue::Store, &mut out).unwrap();
            out
        });
        assert!(before.iter().any(|it| *it != 0.0));
        assert_eq!(before, after, "{precision}");
    }
}

/// If this fails because packing has changed, increase [`PACKING_VERSION`] and change the hashes.
#[test]
fn the_same_matrices_are_packed_into_the_same_bytes_in_each_version() {
    let hashes = [Precision::F32, Precision::Int16].map(|precision| {
        let cpu = cpu(precision);
        [3, 4, 5].map(|bits| hash(packed(&cpu, bits).bytes()))
    });
    let expected: [[u64; 3]; 2] = [
        [0x5a4a_adb9_9bd3_3901, 0xe27b_2c3e_65c1_c79d, 0x4aba_a39c_9eaf_cefd],
        [0xf53d_754c_452d_2d25, 0x0c7e_27f2_1ab5_74cd, 0xc782_689c_99c7_bbd9],
    ];
    assert_eq!((PACKING_VERSION, hashes), (1, expected));
}

#[test]
fn forms_that_nothing_is_packed_into_are_refused() {
    // A form comes from a file, which may say anything.
    let good = serde_json::to_value(packed(&cpu(Precision::Int16), 4).form()).unwrap();
    let n_bytes = |json: &Value| {
        let form: PackedForm = serde_json::from_value(json.clone()).unwrap();
        form.n_bytes()
    };
    assert!(n_bytes(&good).is_ok());
    let coding =
        |bits: usize| json!({"Affine": {"bits": bits, "header": {"scales": "F16", "is_centred": false}}});
    let changes: [(&str, Value); 9] = [
        ("/matrices/0/n_rows", json!(0)),
        ("/matrices/0/n_rows", json!(usize::MAX)),
        ("/matrices/0/layout/n_groups", json!(3)),
        ("/matrices/0/layout/n_groups", json!(0)),
        ("/matrices/0/layout/n_groups", json!(usize::MAX)),
        ("/matrices/0/layout/chunks_per_group", json!(3)),
        ("/matrices/0/layout/coding", coding(7)),
        ("/matrices/0/layout/coding", json!({"Plain": "F32"})),
        ("/matrices", json!([])),
    ];
    for (place, value) in changes {
        let mut json = good.clone();
        *json.pointer_mut(place).expect("a form has this place") = value;
        assert!(n_bytes(&json).is_err(), "{json}");
    }
    // Gate and up are two matrices.
    let mut json = good;
    json["matrices"].as_array_mut().unwrap().pop();
    assert!(n_bytes(&json).is_err(), "{json}");
}
