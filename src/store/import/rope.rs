//! Scaling of rope positions: from a GGUF file to `rope_scaling` in config.json.
//!
//! The rules are those of llama.cpp: a factor without a type is linear, a factor of 0 or 1 means no scaling, and for
//! Llama 3's scaling a tensor has the result. Unsupported kinds are refused before anything is converted. The type is
//! written as `rope_type`, the name that mlx_lm, transformers and our own loader read.

use serde_json::{Value, json};

use super::decimal::shortest;
use super::keys;
use crate::error::StoreError;
use crate::gguf::{GgmlType, GgufFile, TensorInfo};

/// The tensor with the result of Llama 3's scaling.
pub(super) const FREQS: &str = "rope_freqs.weight";
/// The largest relative difference from Llama 3's formula at which the frequencies count as Llama 3's. They are stored
/// as f32.
const TOLERANCE: f64 = 1e-4;

/// The value of `rope_scaling`; null if positions are not scaled.
pub(super) fn scaling(
    gguf: &GgufFile,
    architecture: &str,
    head_dim: usize,
    theta: f64,
) -> Result<Value, StoreError> {
    let is_factor = |it: f64| it.is_finite() && it >= 0.0;
    let number = |key: &str| keys::number(gguf, key, "a number that is not negative", is_factor);
    let factor = match number(&format!("{architecture}.rope.scaling.factor"))? {
        Some(it) => Some(it),
        // The key that files of 2023 used.
        None => number(&format!("{architecture}.rope.scale_linear"))?,
    };
    let factor = factor.filter(|it| *it != 0.0);
    let kind = gguf.metadata.text(&format!("{architecture}.rope.scaling.type")).unwrap_or("linear");
    if let ("yarn", Some(factor), None) = (kind, factor, gguf.tensor(FREQS)) {
        return yarn(gguf, architecture, factor);
    }
    let is_linear = match (kind, factor) {
        ("none", _) => false,
        ("linear", factor) => factor.is_some_and(|it| (it - 1.0).abs() > f64::EPSILON),
        (other, _) => {
            return Err(gguf.unsupported(format!("the rope scaling `{other}`"), "choose another model"));
        }
    };
    match (gguf.tensor(FREQS), factor.filter(|_| is_linear)) {
        (None, None) => Ok(Value::Null),
        (None, Some(factor)) => Ok(json!({ "rope_type": "linear", "factor": shortest(factor) })),
        (Some(freqs), None) => llama3(gguf, freqs, head_dim, theta),
        (Some(_), Some(_)) => {
            Err(gguf.unsupported("a rope that is scaled in two ways", "choose another model"))
        }
    }
}

/// YaRN with the parameters that llama.cpp can be told, and otherwise its defaults.
fn yarn(gguf: &GgufFile, architecture: &str, factor: f64) -> Result<Value, StoreError> {
    let number = |key: &str, or: f64| {
        let key = format!("{architecture}.rope.scaling.{key}");
        let it = keys::number(gguf, &key, "a number above 0", |it| it.is_finite() && it > 0.0)?;
        Ok::<_, StoreError>(shortest(it.unwrap_or(or)))
    };
    let key = format!("{architecture}.rope.scaling.original_context_length");
    let original = keys::count(gguf, &key, 1..=keys::MAX_COUNT)?.ok_or_else(|| keys::absent(gguf, &key))?;
    for other in ["yarn_log_multiplier", "attn_factor", "yarn_ext_factor", "yarn_attn_factor"] {
        let key = format!("{architecture}.rope.scaling.{other}");
        if gguf.metadata.value(&key).is_some() {
            return Err(gguf.unsupported(format!("`{key}`"), "choose another model"));
        }
    }
    Ok(json!({
        "rope_type": "yarn",
        "factor": shortest(factor),
        "original_max_position_embeddings": original,
        "beta_fast": number("yarn_beta_fast", 32.0)?,
        "beta_slow": number("yarn_beta_slow", 1.0)?,
    }))
}

/// Finds the parameters of Llama 3's rope formula, of which llama.cpp only stores the result. The factor is the largest
/// number. The other parameters are the same in all published models, so the formula is computed with them and compared
/// with the stored result.
fn llama3(gguf: &GgufFile, tensor: &TensorInfo, head_dim: usize, theta: f64) -> Result<Value, StoreError> {
    const LOW: f64 = 1.0;
    const HIGH: f64 = 4.0;
    const ORIGINAL_CONTEXT: f64 = 8192.0;

    let shape = (tensor.ggml_type, tensor.n_rows, tensor.n_columns);
    if shape != (GgmlType::F32, 1, head_dim / 2) {
        return Err(gguf.bad(format!("`{FREQS}` must be half a head of F32")));
    }
    let mut bytes = vec![0; tensor.row_bytes()];
    gguf.read(tensor, 0, &mut bytes)?;
    let stored: Vec<f64> =
        bytes.chunks_exact(4).map(|it| f64::from(f32::from_le_bytes([it[0], it[1], it[2], it[3]]))).collect();
    let factor = stored.iter().copied().fold(1.0, f64::max);
    let expected = (0..head_dim / 2).map(|i| {
        let wavelength = std::f64::consts::TAU * theta.powf(2.0 * i as f64 / head_dim as f64);
        if wavelength < ORIGINAL_CONTEXT / HIGH {
            1.0
        } else if wavelength > ORIGINAL_CONTEXT / LOW {
            factor
        } else {
            let smooth = (ORIGINAL_CONTEXT / wavelength - LOW) / (HIGH - LOW);
            ((1.0 - smooth) / factor + smooth).recip()
        }
    });
    // In this form, NaN does not count as equal.
    let is_llama3 =
        stored.iter().zip(expected).all(|(got, expected)| (got / expected - 1.0).abs() <= TOLERANCE);
    if !is_llama3 {
        return Err(gguf.unsupported("rope frequencies that are not Llama 3's", "choose another model"));
    }
    Ok(json!({
        "rope_type": "llama3",
        "factor": shortest(factor),
        "low_freq_factor": LOW,
        "high_freq_factor": HIGH,
        "original_max_position_embeddings": 8192,
    }))
}
