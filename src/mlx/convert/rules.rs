//! What mlx_lm does with the weights of each architecture when it converts them: [`Rules`].

use std::collections::{BTreeMap, HashMap};

use mlx_rs::{Array, ops};
use serde_json::{Value, json};

use super::error::ConvertError;
use super::quantize::{Mode, Quantization};
use crate::config::ModelConfig;

/// The architectures whose weights mlx_lm takes as they are, apart from stacking experts.
static ARCHITECTURES: [&str; 18] = [
    "gemma2",
    "gemma3_text",
    "glm4",
    "granite",
    "iquestcoder",
    "llama",
    "mellum",
    "ministral3",
    "mistral",
    "olmo2",
    "phi3",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "seed_oss",
    "smollm3",
    "starcoder2",
    "xverse",
];

/// The projections of an expert.
const EXPERT_PARTS: [&str; 3] = ["up_proj", "down_proj", "gate_proj"];

/// Which weights get more bits, in the words of mlx_lm: fewer bits, and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    Mixed2_6,
    Mixed3_4,
    Mixed3_6,
    Mixed4_6,
}

impl Recipe {
    /// The bits of most weights, and of those that get more.
    fn bits(self) -> (i32, i32) {
        match self {
            Self::Mixed2_6 => (2, 6),
            Self::Mixed3_4 => (3, 4),
            Self::Mixed3_6 => (3, 6),
            Self::Mixed4_6 => (4, 6),
        }
    }
}

/// How the weights of one model are arranged and quantized.
pub(super) struct Rules {
    model_type: String,
    quantization: Option<Quantization>,
    recipe: Option<Recipe>,
    n_layers: usize,
    is_tied: bool,
}

impl Rules {
    /// Fails for an architecture that needs more than this.
    pub(super) fn of(
        file: &ModelConfig,
        quantization: Option<Quantization>,
        recipe: Option<Recipe>,
    ) -> Result<Self, ConvertError> {
        if !ARCHITECTURES.contains(&file.model_type.as_str()) {
            return Err(ConvertError::Architecture {
                model_type: file.model_type.clone(),
                supported: &ARCHITECTURES,
            });
        }
        if recipe.is_some() && quantization.is_none_or(|it| it.mode != Mode::Affine) {
            return Err(ConvertError::Options("a recipe needs affine quantization".to_owned()));
        }
        let n_layers = file.get("num_hidden_layers").and_then(whole).unwrap_or(0);
        let is_tied = file.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(false);
        Ok(Self {
            model_type: file.model_type.clone(),
            quantization,
            recipe,
            n_layers: usize::try_from(n_layers).unwrap_or(usize::MAX),
            is_tied,
        })
    }

    /// The weights that mlx_lm keeps, in order, with experts stacked.
    pub(super) fn arrange(
        &self,
        mut arrays: HashMap<String, Array>,
    ) -> Result<BTreeMap<String, Array>, ConvertError> {
        arrays.retain(|name, _| !name.contains("rotary_emb.inv_freq"));
        if self.is_tied {
            arrays.remove("lm_head.weight");
        }
        for layer in 0..self.n_layers {
            let mlp = format!("model.layers.{layer}.mlp");
            for part in EXPERT_PARTS {
                let mut experts = Vec::new();
                while let Some(expert) =
                    arrays.remove(&format!("{mlp}.experts.{}.{part}.weight", experts.len()))
                {
                    experts.push(expert);
                }
                if !experts.is_empty() {
                    arrays.insert(format!("{mlp}.switch_mlp.{part}.weight"), ops::stack(&experts, 0)?);
                }
            }
        }
        Ok(arrays.into_iter().collect())
    }

    /// How a weight is quantized; `None` if it stays plain.
    pub(super) fn quantization(&self, name: &str, shape: &[i32]) -> Option<Quantization> {
        let all = self.quantization?;
        let module = name.strip_suffix(".weight")?;
        // Norms have one dimension, linear layers and embeddings two, stacked experts three.
        let n_in = shape.last().filter(|_| matches!(shape.len(), 2 | 3))?;
        if n_in % all.group_size() != 0 {
            return None;
        }
        let affine = |bits, group_size| Quantization {
            mode: Mode::Affine,
            bits: Some(bits),
            group_size: Some(group_size),
        };
        if let Some(recipe) = self.recipe {
            let (few, more) = recipe.bits();
            let bits = if self.gets_more(module) { more } else { few };
            return Some(affine(bits, all.group_size()));
        }
        // Routers, and in granite what small numbers would make worthless, get 8 bits whatever the others have.
        let is_delicate = match self.model_type.as_str() {
            "qwen3_moe" | "mellum" => module.ends_with("mlp.gate"),
            "granite" => {
                module.ends_with("self_attn.o_proj")
                    || module.ends_with("mlp.down_proj")
                    || module == "lm_head"
            }
            _ => false,
        };
        Some(if is_delicate { affine(8, 64) } else { all })
    }

    /// What config.json has to say of a module apart from the others.
    pub(super) fn own_settings(&self, chosen: Quantization) -> Option<Value> {
        if self.recipe.is_some() {
            return Some(Value::Object(chosen.settings()));
        }
        let differs = self.quantization.is_some_and(|it| it != chosen);
        differs.then(|| json!({ "group_size": chosen.group_size(), "bits": chosen.bits() }))
    }

    /// Whether a recipe gives a module more bits: the head, and values and outputs in the first and last eighth of the
    /// layers and in every third one between.
    fn gets_more(&self, module: &str) -> bool {
        let layer = module.strip_prefix("model.layers.").and_then(|it| it.split('.').next()?.parse().ok());
        let (idx, eighth): (usize, usize) = (layer.unwrap_or(0), self.n_layers / 8);
        let is_chosen = idx < eighth || idx >= 7 * self.n_layers / 8 || idx.wrapping_sub(eighth) % 3 == 2;
        let is_value_or_output = module.contains("v_proj") || module.contains("down_proj");
        module.contains("lm_head") || is_value_or_output && is_chosen
    }
}
/// A count, which may be written as `64.0`.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64()?.to_string().parse().ok())
}
