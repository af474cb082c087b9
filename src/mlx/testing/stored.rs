//! The models of `tests/parity/models.json`, with what mlx_lm computes with them: [`StoredModels`].
//!
//! `tests/parity/models.py` writes the file. It has no weights, which follow from their names by the same formula.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use mlx_rs::{Array, ops};
use serde::Deserialize;
use serde_json::Value;

use crate::weights;

#[derive(Deserialize)]
pub(crate) struct StoredModels {
    pub(crate) prompt: Vec<u32>,
    /// The positions of the prompt whose logits are known.
    pub(crate) positions: Vec<usize>,
    group_size: i32,
    pub(crate) models: Vec<StoredModel>,
}

#[derive(Deserialize)]
pub(crate) struct StoredModel {
    pub(crate) name: String,
    pub(crate) config: Value,
    weights: Vec<StoredWeight>,
    adapter: Option<StoredAdapter>,
    /// The greedy tokens after the prompt.
    pub(crate) tokens: Vec<u32>,
    /// For each of `tokens`, how much greater its logit is than any other.
    pub(crate) gaps: Vec<f32>,
    /// The greatest of all logits of the prompt.
    pub(crate) scale: f32,
    /// The first logits at each of the positions.
    pub(crate) logits: Vec<Vec<f32>>,
}

/// A fine-tuning of the model.
#[derive(Deserialize)]
struct StoredAdapter {
    config: Value,
    weights: Vec<StoredWeight>,
}

/// How a weight is quantized.
#[derive(Deserialize)]
#[serde(untagged)]
enum Coding {
    /// Affine.
    Bits(i32),
    /// One of MLX's formats of small floats.
    Format(String),
}

/// The same weight of several layers; it is quantized if it has bits.
#[derive(Deserialize)]
struct StoredWeight {
    /// With `*` for the number of the layer.
    name: String,
    layers: Vec<usize>,
    shape: Vec<i32>,
    factor: f64,
    offset: f64,
    bits: Option<Coding>,
}

impl StoredModels {
    pub(crate) fn read() -> Self {
        serde_json::from_str(include_str!("../../../tests/parity/models.json")).unwrap()
    }

    /// Writes the model's checkpoint.
    pub(crate) fn checkpoint(&self, model: &StoredModel) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), model.config.to_string()).unwrap();
        let arrays: Vec<_> = model.weights.iter().flat_map(|it| it.arrays("", self.group_size)).collect();
        Array::save_safetensors(arrays, None, folder.path().join("model.safetensors")).unwrap();
        if let Some(adapter) = &model.adapter {
            let to = model.adapter_folder(folder.path()).unwrap();
            std::fs::create_dir(&to).unwrap();
            std::fs::write(to.join("adapter_config.json"), adapter.config.to_string()).unwrap();
            let arrays: Vec<_> =
                adapter.weights.iter().flat_map(|it| it.arrays("adapter.", self.group_size)).collect();
            Array::save_safetensors(arrays, None, to.join("adapters.safetensors")).unwrap();
        }
        folder
    }
}

impl StoredModel {
    /// Where its adapter is in its checkpoint's folder, if it has one.
    pub(crate) fn adapter_folder(&self, folder: &Path) -> Option<PathBuf> {
        self.adapter.as_ref().map(|_| folder.join("adapter"))
    }
}

impl StoredWeight {
    /// The weight of every layer, under the names that a checkpoint has for its parts. `seed` comes before the names that
    /// the numbers follow from.
    fn arrays(&self, seed: &str, group_size: i32) -> Vec<(String, Array)> {
        let mut names: Vec<_> =
            self.layers.iter().map(|it| self.name.replace('*', &it.to_string())).collect();
        if names.is_empty() {
            names.push(self.name.clone());
        }
        names.into_iter().flat_map(|it| self.parts(seed, it, group_size)).collect()
    }

    fn parts(&self, seed: &str, name: String, group_size: i32) -> Vec<(String, Array)> {
        #[expect(clippy::cast_possible_truncation, reason = "mlx_lm has them in float32 too")]
        let (factor, offset) = (self.factor as f32, self.offset as f32);
        let n = self.shape.iter().product::<i32>().unsigned_abs();
        let values: Vec<f32> = numbers(&format!("{seed}{name}"), n).map(|it| it * factor + offset).collect();
        let weight = Array::from_slice(&values, &self.shape);
        let Some(coding) = &self.bits else { return vec![(name, weight)] };
        let module = name.strip_suffix(".weight").unwrap();
        let (of_scales, of_biases) = (format!("{module}.scales"), format!("{module}.biases"));
        match coding {
            Coding::Bits(bits) => {
                let (words, scales, biases) = ops::quantize(&weight, group_size, *bits).unwrap();
                vec![(name, words), (of_scales, scales), (of_biases, biases)]
            }
            Coding::Format(format) => {
                let [words, scales] = weights::quantize(&weight, format);
                vec![(name, words), (of_scales, scales)]
            }
        }
    }
}

/// `n` numbers in [-1, 1) that follow from the name: its FNV-1a hash seeds a sequence, of which each is mixed.
fn numbers(name: &str, n: u32) -> impl Iterator<Item = f32> {
    let seed =
        name.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (0..n).map(move |i| {
        let mut x = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9));
        x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D);
        x = (x ^ (x >> 15)).wrapping_mul(0x846C_A68B);
        x ^= x >> 16;
        #[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
        let x = (x >> 8) as f32;
        x / 8_388_608.0 - 1.0
    })
}
