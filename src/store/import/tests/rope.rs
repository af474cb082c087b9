//! Rope scaling: from the metadata of a file to config.json.

use serde_json::{Value as Json, json};

use super::import;
use crate::gguf::sample::Sample;
use crate::gguf::{GgmlType, Value};

fn scaling(change: impl FnOnce(&mut Sample)) -> Result<Json, String> {
    let mut sample = Sample::model("llama");
    change(&mut sample);
    Ok(import(&sample)?.json("config.json")["rope_scaling"].clone())
}

#[test]
fn linear_scaling_is_written_under_the_name_that_all_loaders_read() {
    let text = |it: &str| Value::Text(it.to_owned());
    let four = || Value::Float(4.0);
    let linear = json!({ "rope_type": "linear", "factor": 4.0 });
    let said = scaling(|it| {
        it.set("llama.rope.scaling.type", text("linear"));
        it.set("llama.rope.scaling.factor", four());
    });
    assert_eq!(said.unwrap(), linear);
    let unsaid = scaling(|it| it.set("llama.rope.scaling.factor", four()));
    assert_eq!(unsaid.unwrap(), linear, "a factor without a type is linear");
    let old = scaling(|it| it.set("llama.rope.scale_linear", four()));
    assert_eq!(old.unwrap(), linear, "the key of 2023");
    let third = scaling(|it| it.set("llama.rope.scaling.factor", Value::Float(f64::from(0.1_f32))));
    assert_eq!(third.unwrap()["factor"], json!(0.1), "the f32 in its shortest form");
}

#[test]
fn a_rope_that_is_not_scaled_has_no_scaling() {
    for factor in [0.0, 1.0] {
        let plain = scaling(|it| it.set("llama.rope.scaling.factor", Value::Float(factor)));
        assert_eq!(plain.unwrap(), Json::Null, "{factor}");
    }
    let none = scaling(|it| {
        it.set("llama.rope.scaling.type", Value::Text("none".into()));
        it.set("llama.rope.scaling.factor", Value::Float(4.0));
    });
    assert_eq!(none.unwrap(), Json::Null);
    assert_eq!(scaling(|_| {}).unwrap(), Json::Null);
}

#[test]
fn an_unsupported_scaling_is_refused_before_the_import() {
    for kind in ["longrope", "dynamic"] {
        let err = scaling(|it| {
            it.set("llama.rope.scaling.type", Value::Text(kind.to_owned()));
            it.set("llama.rope.scaling.factor", Value::Float(4.0));
        });
        assert!(err.unwrap_err().contains(&format!("needs the rope scaling `{kind}`")));
    }
}

#[test]
fn yarn_keeps_its_parameters_and_needs_the_original_context() {
    let yarn = |it: &mut Sample| {
        it.set("llama.rope.scaling.type", Value::Text("yarn".to_owned()));
        it.set("llama.rope.scaling.factor", Value::Float(32.0));
        it.set("llama.rope.scaling.yarn_beta_fast", Value::Float(16.0));
    };
    let key = "llama.rope.scaling.original_context_length";
    assert!(scaling(yarn).unwrap_err().contains(&format!("`{key}` is missing")));
    let given = scaling(|it| {
        yarn(it);
        it.set(key, Value::Unsigned(4096));
    });
    let expected = json!({
        "rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4096, "beta_fast": 16.0,
        "beta_slow": 1.0,
    });
    assert_eq!(given.unwrap(), expected);
    let other = scaling(|it| {
        yarn(it);
        it.set(key, Value::Unsigned(4096));
        it.set("llama.rope.scaling.yarn_log_multiplier", Value::Float(0.1));
    });
    assert!(other.unwrap_err().contains("`llama.rope.scaling.yarn_log_multiplier`"));
}

/// Llama 3.2's numbers for a head of 16: three short wavelengths, one in the transition, then long ones.
fn llama3(factor: f64) -> Sample {
    let mut sample = Sample::model("llama");
    sample.set("llama.rope.freq_base", Value::Float(500_000.0));
    let formula = |i: u8| {
        let wave = std::f64::consts::TAU * 500_000_f64.powf(f64::from(i) / 8.0);
        let smooth = ((8192.0 / wave - 1.0) / 3.0).clamp(0.0, 1.0);
        1.0 / ((1.0 - smooth) / factor + smooth)
    };
    #[expect(clippy::cast_possible_truncation, reason = "as the file has them")]
    let bytes: Vec<u8> = (0..8).flat_map(|i| (formula(i) as f32).to_le_bytes()).collect();
    sample.tensor("rope_freqs.weight", &[8], GgmlType::F32);
    sample.tensors.last_mut().unwrap().3 = bytes;
    sample
}

#[test]
fn llama_3_rope_frequencies_become_parameters_and_others_are_refused() {
    let mut sample = llama3(32.0);
    let scaling = import(&sample).unwrap().json("config.json")["rope_scaling"].clone();
    assert_eq!(
        scaling,
        json!({
            "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        })
    );
    for other in [3.0, 0.0, -1.0, f32::NAN, f32::INFINITY] {
        sample.tensors.last_mut().unwrap().3[12..16].copy_from_slice(&other.to_le_bytes());
        assert!(import(&sample).err().unwrap().contains("not Llama 3's"), "{other}");
    }
    // The same number of bytes, but in half precision.
    let mut sample = Sample::model("llama");
    sample.tensor("rope_freqs.weight", &[16], GgmlType::F16);
    assert!(import(&sample).err().unwrap().contains("`rope_freqs.weight` must be half a head of F32"));
    let mut sample = llama3(32.0);
    sample.set("llama.rope.scaling.factor", Value::Float(4.0));
    assert!(import(&sample).err().unwrap().contains("scaled in two ways"));
}
