//! Tests of reading config.json. Expected values come from transformers 5.24.0 (`AutoConfig`, then `rope_parameters`)
//! for the same files, and from mlx_lm 0.32.2 where noted.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

const DEFAULT: f32 = 10_000.0;

fn read(fields: &Value) -> std::result::Result<RopeConfig, String> {
    let folder = tempfile::tempdir().unwrap();
    let mut config = json!({"model_type": "llama"});
    for (key, value) in fields.as_object().unwrap() {
        config[key] = value.clone();
    }
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    RopeConfig::read(&crate::config::read(folder.path()).unwrap(), &RopeDefaults::DENSE)
        .map_err(|e| e.to_string())
}

fn with(base: f32, scaling: Scaling) -> RopeConfig {
    RopeConfig { base, is_traditional: false, rotated_part: 1.0, scaling }
}

#[test]
fn the_base_is_found_wherever_it_was_written() {
    for (fields, expected) in [
        (json!({}), DEFAULT),
        (json!({"rope_theta": 1e5}), 1e5),
        (json!({"rope_theta": null}), DEFAULT),
        (json!({"rope_parameters": {"rope_theta": 1e5}}), 1e5),
        (json!({"rope_parameters": {"rope_theta": 1e5, "rope_type": "default"}}), 1e5),
        (json!({"rope_theta": 5e4, "rope_parameters": {"rope_theta": 1e5, "rope_type": "default"}}), 1e5),
        (json!({"rope_theta": 5e4, "rope_parameters": {"rope_type": "default"}}), 5e4),
        (json!({"rope_theta": 5e4, "rope_scaling": {"rope_theta": 1e5, "rope_type": "default"}}), 1e5),
        (json!({"rope_scaling": {"rope_theta": 1e5, "rope_type": "default"}}), 1e5),
        (json!({"rope_theta": null, "rope_scaling": {"rope_theta": 1e5, "rope_type": "default"}}), 1e5),
        (json!({"rope_theta": 5e4, "rope_scaling": {}, "rope_parameters": {"rope_theta": 1e5}}), 1e5),
        (json!({"rope_parameters": null, "rope_theta": 7e4}), 7e4),
        (json!({"rope_parameters": {}, "rope_theta": 7e4}), 7e4),
        (json!({"rope_scaling": null, "rope_theta": 7e4}), 7e4),
        (json!({"rope_theta": 70_000}), 7e4),
        (
            json!({"rope_theta": 5e4, "layer_types": ["full_attention"],
                "rope_parameters": {"full_attention": {"rope_theta": 1e5, "rope_type": "default"}}}),
            1e5,
        ),
        (
            json!({"layer_types": ["full_attention"],
                "rope_parameters": {"full_attention": {"rope_theta": 1e5}, "sliding_attention": {"rope_theta": 1e4}}}),
            1e5,
        ),
    ] {
        assert_eq!(read(&fields), Ok(with(expected, Scaling::None)), "{fields}");
    }
}

#[test]
fn scaling_is_found_wherever_it_was_written_and_the_newer_name_of_its_type_wins() {
    let linear = with(5e4, Scaling::Linear { factor: 2.0 });
    let llama3 = json!({"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                        "original_max_position_embeddings": 8192});
    let scaled =
        Scaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, old_context_len: 8192.0 };
    let of_type = |keys: &[&str]| {
        let mut object = llama3.clone();
        for key in keys {
            object[*key] = json!("llama3");
        }
        object
    };
    for (fields, expected) in [
        (json!({"rope_theta": 5e4, "rope_scaling": {"type": "linear", "factor": 2.0}}), linear.clone()),
        (json!({"rope_theta": 5e4, "rope_scaling": {"rope_type": "linear", "factor": 2}}), linear.clone()),
        (
            json!({"rope_theta": 5e4, "rope_scaling": {"type": "linear", "rope_type": "linear", "factor": 2.0}}),
            linear.clone(),
        ),
        (
            json!({"rope_theta": 5e4, "rope_scaling": {"type": "yarn", "rope_type": "linear", "factor": 2.0}}),
            linear.clone(),
        ),
        (
            json!({"rope_theta": 5e4, "rope_scaling": {"type": "linear", "rope_type": null, "factor": 2.0}}),
            linear.clone(),
        ),
        (
            json!({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5e4}}),
            linear.clone(),
        ),
        (
            json!({"rope_theta": 5e4, "rope_scaling": {"rope_type": "linear", "factor": 2.0},
                "rope_parameters": {"rope_theta": 1e5, "rope_type": "default"}}),
            linear.clone(),
        ),
        (json!({"rope_theta": 5e4, "rope_scaling": of_type(&["type"])}), with(5e4, scaled.clone())),
        (
            json!({"rope_theta": 5e4, "rope_scaling": of_type(&["rope_type", "type"])}),
            with(5e4, scaled.clone()),
        ),
        (json!({"rope_theta": 5e4, "rope_parameters": of_type(&["rope_type"])}), with(5e4, scaled.clone())),
    ] {
        assert_eq!(read(&fields), Ok(expected), "{fields}");
    }
}

#[test]
fn what_is_not_supported_is_refused_wherever_it_was_written() {
    for (fields, expected) in [
        (json!({"rope_scaling": {"type": "ntk", "factor": 4.0}}), "`rope_scaling` of type `ntk`"),
        (
            json!({"rope_scaling": {"type": "linear", "rope_type": "dynamic", "factor": 2.0}}),
            "type `dynamic`",
        ),
        (
            json!({"rope_parameters": {"rope_type": "longrope", "rope_theta": 1e4}}),
            "`rope_parameters.long_factor` must be a list of numbers, got none",
        ),
        (
            json!({"rope_parameters": {"full_attention": {"rope_theta": 1e5}, "sliding_attention": {"rope_theta": 1e4}}}),
            "`rope_parameters` for layers of type `sliding_attention`",
        ),
        (
            json!({"rope_parameters": {"sliding_attention": {"rope_theta": 1e4}}}),
            "of type `sliding_attention`",
        ),
        (
            json!({"rope_parameters": {"full_attention": {"rope_type": "ntk", "factor": 2.0}}}),
            "`rope_parameters.full_attention` of type `ntk`",
        ),
        (
            json!({"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}),
            "`partial_rotary_factor` 0.5",
        ),
        (json!({"partial_rotary_factor": 0.25}), "`partial_rotary_factor` 0.25"),
        (
            json!({"rope_scaling": {"type": "linear"}}),
            "`rope_scaling.factor` must be a number above 0, got none",
        ),
        (
            json!({"rope_scaling": {"type": "linear", "factor": 0}}),
            "`rope_scaling.factor` must be a number above 0, got 0",
        ),
        (
            json!({"rope_scaling": {"type": "linear", "factor": {"__float__": "Infinity"}}}),
            "`rope_scaling.factor` must be",
        ),
        (json!({"rope_scaling": {"type": "linear", "factor": "2"}}), "`rope_scaling.factor` must be"),
        (json!({"rope_scaling": "linear"}), "`rope_scaling` must be"),
        (json!({"rope_theta": 0}), "`rope_theta` must be a number above 0, got 0"),
        (json!({"rope_theta": -1.5}), "`rope_theta` must be a number above 0, got -1.5"),
        (json!({"rope_theta": 1e300}), "`rope_theta` must be a number above 0, got inf"),
    ] {
        let message = read(&fields).unwrap_err();
        assert!(message.contains(expected) && message.contains("config.json"), "{fields}: {message}");
    }
}

#[test]
fn llama3_scaling_stretches_only_long_wavelengths() {
    let freqs = llama3_freqs(64, 500_000.0, [8.0, 1.0, 4.0], 8192.0);
    // mlx_lm 0.32.2: `Llama3RoPE(64, base=500000.0, ...)._freqs`.
    let expected =
        [(0, 1.0), (14, 311.386_2), (15, 728.919_56), (16, 1_905.320_4), (17, 5_601.997), (31, 2_654_405.0)];
    for (i, expected) in expected {
        let got: f32 = freqs[i];
        // Two powers in float32, each to a few units in the last place.
        assert!((got / expected - 1.0).abs() < 1e-4, "frequency {i}: expected {expected}, got {got}");
    }
}

#[test]
fn yarn_slows_only_pairs_that_turn_rarely() {
    let freqs = yarn_freqs(64, 150_000.0, 32.0, 4096.0, [32.0, 1.0]);
    // mlx_lm 0.32.2: `YarnRoPE(64, base=150000, scaling_factor=32, ...)._freqs`.
    let expected = [
        (0, 1.0),
        (8, 19.679_897),
        (9, 31.624_8),
        (12, 142.537_16),
        (16, 1_721.326),
        (18, 26_103.654),
        (31, 3_307_412.5),
    ];
    for (i, expected) in expected {
        let got: f32 = freqs[i];
        assert!((got / expected - 1.0).abs() < 1e-4, "frequency {i}: expected {expected}, got {got}");
    }
    let yarn = json!({"rope_scaling": {"type": "yarn", "factor": 32.0}});
    let Scaling::Yarn { magnitude, .. } = read(&yarn).unwrap().scaling else { panic!("not yarn") };
    assert!((magnitude - 1.346_574).abs() < 1e-5, "{magnitude}");
}
