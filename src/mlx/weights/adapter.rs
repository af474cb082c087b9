//! Fine-tunings of a model as mlx_lm writes them: [`Adapter`].
//!
//! A folder has adapter_config.json and adapters.safetensors. With `lora` and `dora`, layers get terms of low rank beside
//! their matrices; with `full`, weights take the place of the model's.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use runabout_text::model_json;
use serde::Deserialize;

use super::header::{Tensor, read_header};
use crate::LoadError;

/// An adapter's headers.
pub(crate) struct Adapter {
    /// The file with its weights.
    pub(super) path: PathBuf,
    pub(super) kind: AdapterKind,
    pub(super) n_bytes: u64,
    pub(super) tensors: HashMap<String, Tensor>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum AdapterKind {
    /// Terms are multiplied by `scale`. With DoRA, outputs are then given a learned length.
    LowRank { scale: f32 },
    /// Weights in place of the model's own.
    Full,
}

#[derive(Deserialize)]
struct Config {
    fine_tune_type: Option<String>,
    lora_parameters: Option<Parameters>,
    peft_type: Option<String>,
}

#[derive(Deserialize)]
struct Parameters {
    scale: Option<f32>,
}

impl Adapter {
    pub(crate) fn open(folder: &Path) -> Result<Self, LoadError> {
        let config_path = folder.join("adapter_config.json");
        let bad = |message: String| LoadError::Adapter { path: config_path.clone(), message };
        let text = std::fs::read(&config_path).map_err(|e| bad(e.to_string()))?;
        let config = model_json::parse(&text).map_err(|e| bad(e.to_string()))?;
        let config: Config = model_json::fields(&config).map_err(|e| bad(e.to_string()))?;
        if let Some(kind) = config.peft_type {
            return Err(bad(format!("adapters of PEFT (`peft_type` `{kind}`) are not supported")));
        }
        let kind = match config.fine_tune_type.as_deref().unwrap_or("lora") {
            "full" => AdapterKind::Full,
            "lora" | "dora" => {
                let scale = config.lora_parameters.and_then(|it| it.scale);
                let scale = scale.filter(|it| it.is_finite());
                let missing = || bad("`lora_parameters.scale` must be a number".to_owned());
                AdapterKind::LowRank { scale: scale.ok_or_else(missing)? }
            }
            other => {
                return Err(bad(format!(
                    "`fine_tune_type` `{other}` is not supported, expected `lora`, `dora` or `full`"
                )));
            }
        };
        let path = folder.join("adapters.safetensors");
        let mut tensors = HashMap::new();
        let n_bytes = read_header(&path, &mut tensors)?;
        Ok(Self { path, kind, n_bytes, tensors })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use mlx_rs::Array;
    use serde_json::json;

    use crate::Placement;
    use crate::device::Compute;
    use crate::testing::alone;
    use crate::testing::tiny::Tiny;

    #[test]
    fn an_adapter_that_is_not_of_the_model_is_refused_and_the_reason_named() {
        let _alone = alone();
        let tiny = Tiny::plain();
        let lora =
            json!({"fine_tune_type": "lora", "num_layers": 1, "lora_parameters": {"rank": 2, "scale": 2.0}});
        let [a, b] = ["a", "b"].map(|it| format!("model.layers.0.mlp.up_proj.lora_{it}"));
        let sound = [(&a, [64, 2]), (&b, [2, 96])];
        let embedding = "model.embed_tokens.lora_a".to_owned();
        for (config, weights, expected) in [
            (lora.clone(), &sound[..], None),
            (
                lora.clone(),
                &[(&a, [64, 2]), (&b, [2, 64])],
                Some("lora_b` has the wrong shape: expected [2, 96], got [2, 64]"),
            ),
            (lora.clone(), &[(&embedding, [250, 2])], Some("no layer for its `model.embed_tokens.lora_a`")),
            (
                json!({"fine_tune_type": "full"}),
                &sound[..],
                Some("the model has no weight `model.layers.0.mlp.up_proj.lora_"),
            ),
            (json!({"peft_type": "LORA", "r": 8}), &sound[..], Some("adapters of PEFT (`peft_type` `LORA`)")),
            (json!({"fine_tune_type": "ia3"}), &sound[..], Some("`fine_tune_type` `ia3` is not supported")),
            (
                json!({"lora_parameters": {"alpha": 8}}),
                &sound[..],
                Some("`lora_parameters.scale` must be a number"),
            ),
            (json!([]), &sound[..], Some("adapter_config.json")),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let load = || {
                let placement =
                    Placement { compute: Compute::Cpu, kernels: None, kv_bits: None, group: None };
                let adapter = Some(folder.path());
                crate::load_with(tiny.folder.path(), adapter, &placement, &mut |_, _| {})
                    .err()
                    .map(|it| it.to_string())
            };
            assert!(load().unwrap().contains("adapter_config.json"));
            std::fs::write(folder.path().join("adapter_config.json"), config.to_string()).unwrap();
            let arrays = weights.iter().map(|(name, shape)| {
                let n = usize::try_from(shape[0] * shape[1]).unwrap();
                ((*name).clone(), Array::from_slice(&vec![0.5_f32; n], shape))
            });
            let arrays: Vec<_> = arrays.collect();
            Array::save_safetensors(arrays, None, folder.path().join("adapters.safetensors")).unwrap();
            let got = load();
            let is_right = match (&got, expected) {
                (Some(got), Some(expected)) => got.contains(expected),
                (got, expected) => got.is_none() && expected.is_none(),
            };
            assert!(is_right, "{config}: {got:?}");
        }
    }
}
