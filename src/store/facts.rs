//! What config.json says about a model: [`ModelFacts`].
//!
//! Nothing here decides whether a model can be run, which depends on its weights too.

use std::fs;
use std::path::Path;

use runabout_text::model_json;
use serde::Serialize;
use serde_json::Value;

use crate::error::{StoreError, io_error};
use crate::footprint::Footprint;

/// The bytes of a key or a value as it is kept by default.
const STATE_BYTES: u64 = 2;

/// What config.json says about a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelFacts {
    /// The architecture.
    pub model_type: String,
    /// `None` if the weights are not quantized.
    pub quantization: Option<Quantization>,
    /// The most tokens of a conversation.
    pub context_tokens: Option<u64>,
    pub n_layers: Option<u64>,
    /// The size of what attention keeps for each token; `None` if the file does not tell.
    pub bytes_per_token: Option<u64>,
}

/// How the weights are quantized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quantization {
    /// `affine` or one of MLX's other modes; for formats of other programs their name.
    pub mode: String,
    pub bits: Option<u64>,
    pub group_size: Option<u64>,
    /// Whether some weights are quantized in another way.
    pub is_mixed: bool,
}

impl ModelFacts {
    /// Reads config.json of a model folder.
    pub fn read(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("config.json");
        let bytes = match fs::read(&path) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::MissingConfig { folder: folder.to_owned() });
            }
            other => other.map_err(io_error("read", &path))?,
        };
        let bad = |reason: String| StoreError::BadConfig { path: path.clone(), reason };
        let config = model_json::parse(&bytes).map_err(|err| bad(err.to_string()))?;
        let model_type = config.get("model_type").and_then(Value::as_str);
        let model_type = model_type.ok_or_else(|| bad("it names no `model_type`".to_owned()))?.to_owned();
        // Of a model with more senses than text, its text part counts.
        let part = Part { inner: config.get("text_config").filter(|it| it.is_object()), outer: &config };
        Ok(Self {
            model_type,
            quantization: quantization(&config),
            context_tokens: part.number("max_position_embeddings"),
            n_layers: part.number("num_hidden_layers"),
            bytes_per_token: part.bytes_per_token(),
        })
    }

    /// The memory that the model takes with `weight_bytes` of weights and a text of `n_tokens`; `None` if the file does
    /// not tell.
    pub fn footprint(&self, weight_bytes: u64, n_tokens: u64) -> Option<Footprint> {
        let n_tokens = self.context_tokens.map_or(n_tokens, |it| it.min(n_tokens));
        Some(Footprint { weight_bytes, bytes_per_token: self.bytes_per_token?, n_tokens })
    }
}

impl Quantization {
    /// A short form, such as `4 bits` or `mxfp4`.
    pub fn summary(&self) -> String {
        let plain = match (self.mode.as_str(), self.bits) {
            ("affine", Some(bits)) => format!("{bits} bits"),
            (mode, _) => mode.to_owned(),
        };
        if self.is_mixed { format!("{plain}, mixed") } else { plain }
    }
}

/// The fields of a model's text part.
struct Part<'a> {
    inner: Option<&'a Value>,
    outer: &'a Value,
}

impl Part<'_> {
    fn get(&self, field: &str) -> Option<&Value> {
        let found = self.inner.and_then(|it| it.get(field)).or_else(|| self.outer.get(field));
        found.filter(|it| !it.is_null())
    }

    fn number(&self, field: &str) -> Option<u64> {
        self.get(field)?.as_u64()
    }

    /// Keys and values of all layers with attention. Layers with a window keep all of theirs too.
    fn bytes_per_token(&self) -> Option<u64> {
        let n_heads = self.number("num_attention_heads")?;
        let n_kv_heads = self.number("num_key_value_heads").unwrap_or(n_heads);
        let head_dim =
            self.number("head_dim").or_else(|| self.number("hidden_size")?.checked_div(n_heads))?;
        let each = n_kv_heads.checked_mul(head_dim)?.checked_mul(2 * STATE_BYTES)?;
        each.checked_mul(self.n_attention_layers()?)
    }

    fn n_attention_layers(&self) -> Option<u64> {
        let n_layers = self.number("num_hidden_layers")?;
        if let Some(kinds) = self.get("layer_types").and_then(Value::as_array) {
            let has_attention = |it: &&Value| {
                it.as_str().is_some_and(|it| it.ends_with("attention") && !it.starts_with("linear"))
            };
            return u64::try_from(kinds.iter().filter(has_attention).count()).ok();
        }
        if let Some(layers) = self.get("full_attn_idxs").and_then(Value::as_array) {
            return u64::try_from(layers.len()).ok();
        }
        match self.number("full_attention_interval") {
            Some(interval) => n_layers.checked_div(interval),
            None => Some(n_layers),
        }
    }
}

fn quantization(config: &Value) -> Option<Quantization> {
    let found =
        ["quantization", "quantization_config", "compression_config"].iter().find_map(|it| config.get(*it));
    let fields = found?.as_object()?;
    let text = |field: &str| fields.get(field).and_then(Value::as_str);
    let number = |field: &str| fields.get(field).and_then(Value::as_u64);
    // Names of layers are the fields that are objects, or false.
    let is_layer = |(name, it): (&String, &Value)| name.contains('.') && (it.is_object() || it.is_boolean());
    Some(Quantization {
        mode: text("mode").or_else(|| text("quant_method")).unwrap_or("affine").to_owned(),
        bits: number("bits"),
        group_size: number("group_size"),
        is_mixed: fields.iter().any(is_layer),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn facts(config: &Value) -> ModelFacts {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        ModelFacts::read(folder.path()).unwrap()
    }

    #[test]
    fn a_dense_model_keeps_keys_and_values_in_every_layer() {
        let config = json!({
            "model_type": "qwen2", "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
            "hidden_size": 896, "max_position_embeddings": 32768,
            "quantization": { "group_size": 64, "bits": 4, "model.layers.0.mlp": { "bits": 8, "group_size": 64 } },
        });
        let it = facts(&config);
        assert_eq!((it.context_tokens, it.bytes_per_token), (Some(32768), Some(24 * 2 * 2 * 64 * 2)));
        assert_eq!(it.quantization.as_ref().unwrap().summary(), "4 bits, mixed");
        let footprint = it.footprint(1000, 100_000).unwrap();
        assert_eq!(footprint.n_tokens, 32768, "no text is longer than the context");
    }

    #[test]
    fn layers_without_attention_keep_nothing_for_a_token() {
        let of = |more: Value| {
            let mut config = json!({
                "model_type": "x", "num_hidden_layers": 8, "num_attention_heads": 4, "head_dim": 10, "hidden_size": 9,
            });
            config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            facts(&config).bytes_per_token.unwrap() / (2 * 2 * 4 * 10)
        };
        assert_eq!(of(json!({})), 8);
        assert_eq!(of(json!({ "full_attention_interval": 4 })), 2);
        assert_eq!(of(json!({ "full_attn_idxs": [1, 3, 5] })), 3);
        assert_eq!(
            of(json!({ "layer_types": ["conv", "full_attention", "linear_attention", "sliding_attention"] })),
            2
        );
    }

    #[test]
    fn a_model_with_more_senses_is_described_by_its_text_part() {
        let config = json!({
            "model_type": "mistral3", "text_config": { "max_position_embeddings": 10, "num_hidden_layers": null },
            "quantization_config": { "quant_method": "awq", "bits": 4 },
        });
        let it = facts(&config);
        assert_eq!((it.context_tokens, it.bytes_per_token, it.n_layers), (Some(10), None, None));
        assert_eq!(it.quantization.unwrap().summary(), "awq");
    }
}
