//! A model's folder as the program loads it: config.json, the header of its weights, and the weights.
//!
//! An input has the first two, and some bytes that are repeated until there are as many as the header counts: so a short
//! input is a whole model. What loads computes two steps.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;

use runabout_engine::{LanguageModel, SampleRequest, Span};
use runabout_mlx::{DeviceChoice, KvBits, LoadOptions, Precision};
use runabout_text::SamplingParams;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::mutate::{joined, parts};

/// The tiny models of every architecture, by which the program is compared with mlx_lm: their config.json, and the names
/// and shapes of their weights.
const MODELS: &str = include_str!("../../tests/parity/models.json");
/// A model with more weights than that is no input; its file has fewer than its header counts, and is refused.
const MAX_WEIGHTS: usize = 1 << 22;
/// Inputs of `cargo xtask fuzz` are no longer than that.
const MAX_SEED: usize = 1 << 14;

pub(crate) fn run(data: &[u8]) {
    let [config, header, bytes] = parts::<3>(data);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.path().join(name), bytes).expect("a file can be written");
    };
    write("config.json", config);
    write("model.safetensors", &weights(header, bytes));
    let checked = runabout_mlx::check(folder.path());
    let kind = bytes.first().copied().unwrap_or_default();
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        threads: NonZeroUsize::new(1),
        precision: [None, Some(Precision::F32), Some(Precision::Int16), None][usize::from(kind % 4)],
        kv_bits: [None, None, Some(KvBits::Eight), Some(KvBits::ThirtyTwo)][usize::from(kind / 4 % 4)],
        ..LoadOptions::default()
    };
    match runabout_mlx::load(folder.path(), &options, &mut |_, _| {}) {
        Ok(mut model) => {
            checked.expect("what loads has passed the check");
            compute(&mut model);
        }
        Err(error) => drop(error.to_string()),
    }
}

/// A prompt of three tokens and a token after it. What is drawn of weights without sense does not matter.
fn compute(model: &mut impl LanguageModel) {
    let params = SamplingParams::default();
    let slot = model.open_slot();
    let mut history: Vec<u32> = Vec::new();
    for tokens in [&[0, 1, 2][..], &[3]] {
        history.extend(tokens);
        let sample = SampleRequest {
            params: &params,
            history: &history,
            n_generated: 0,
            seed: 0,
            top_logprobs: Some(1),
            allowed: &[],
        };
        let span = Span { slot, tokens, n_drafted: 0, sample: Some(sample), checkpoint: false };
        if model.step(&[span]).is_err() {
            // The slot is closed.
            return;
        }
    }
}

/// The file of weights with this header.
fn weights(header: &[u8], bytes: &[u8]) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Tensor {
        data_offsets: (usize, usize),
    }
    let tensors = serde_json::from_slice::<BTreeMap<String, Tensor>>(header).unwrap_or_default();
    let n = tensors.values().map(|it| it.data_offsets.1).max().unwrap_or(bytes.len());
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header);
    file.extend(bytes.iter().cycle().take(n.min(MAX_WEIGHTS)));
    file
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    #[derive(Deserialize)]
    struct Stored {
        models: Vec<Model>,
    }
    #[derive(Deserialize)]
    struct Model {
        config: Value,
        weights: Vec<Weight>,
    }
    let stored: Stored = serde_json::from_str(MODELS).expect("the file is in order");
    let seed = |(i, it): (usize, Model)| {
        let header = header(&it.weights)?.to_string();
        // Small numbers, read as any float; the first byte chooses how they are computed with.
        let bytes = [u8::try_from(i % 16).unwrap_or_default(), 0x34, 0xb1, 0x2e];
        let seed = joined(&[it.config.to_string().as_bytes(), header.as_bytes(), &bytes]);
        (seed.len() <= MAX_SEED).then_some(seed)
    };
    stored.models.into_iter().enumerate().filter_map(seed).collect()
}

/// The same weight of several layers.
#[derive(Deserialize)]
struct Weight {
    /// With `*` for the number of the layer.
    name: String,
    layers: Vec<usize>,
    shape: Vec<usize>,
    _factor: IgnoredAny,
    _offset: IgnoredAny,
    /// Of an affine quantization, or the name of another one.
    bits: Option<Value>,
}

/// The header of a file with these weights; `None` for the rarer quantizations.
fn header(weights: &[Weight]) -> Option<Value> {
    const GROUP: usize = 32;
    let mut header = json!({});
    let mut end = 0;
    let mut add = |name: String, dtype: &str, n_bytes: usize, shape: &[usize]| {
        let start = end;
        end += n_bytes * shape.iter().product::<usize>();
        header[name] = json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]});
    };
    for Weight { name, layers, shape, bits, .. } in weights {
        let names = layers.iter().map(|it| name.replace('*', &it.to_string()));
        let names: Vec<_> = if layers.is_empty() { vec![name.clone()] } else { names.collect() };
        for name in names {
            let Some(bits) = bits else {
                add(name, "F32", 4, shape);
                continue;
            };
            let bits = usize::try_from(bits.as_u64()?).ok()?;
            let (module, (columns, rows)) = (name.strip_suffix(".weight")?, shape.split_last()?);
            let with = |columns| [rows, &[columns]].concat();
            add(name.clone(), "U32", 4, &with(columns * bits / 32));
            for part in ["scales", "biases"] {
                add(format!("{module}.{part}"), "F16", 2, &with(columns / GROUP));
            }
        }
    }
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_models_that_load() {
        let seeds = seeds();
        assert!(seeds.len() > 20, "{}", seeds.len());
        for seed in seeds {
            let [config, header, bytes] = parts::<3>(&seed);
            let folder = tempfile::tempdir().expect("a folder can be made");
            fs::write(folder.path().join("config.json"), config).expect("a file can be written");
            fs::write(folder.path().join("model.safetensors"), weights(header, bytes)).expect("the same");
            let config = String::from_utf8_lossy(config);
            runabout_mlx::check(folder.path()).unwrap_or_else(|error| panic!("{config}: {error}"));
        }
    }
}
