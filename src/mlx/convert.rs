//! Converts a folder of plain weights to one of quantized weights, as mlx_lm's `convert` does: [`convert`].
//!
//! Which weights are quantized, and how, is what mlx_lm does for the architecture, so that it reads the result and finds
//! the same tensors. It takes architectures whose weights need no other change than that experts are stacked. The memory
//! in use is that of one shard of the result and of one weight.

mod error;
mod quantize;
mod rules;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use mlx_rs::{Array, Dtype};
use runabout_text::model_json;
use serde_json::{Map, Value, json};

use crate::config;
use crate::device::{self, DeviceChoice};
use crate::error::{LoadError, file_message};
use crate::weights::Checkpoint;

pub use error::ConvertError;
pub use quantize::{Mode, Quantization};
pub use rules::Recipe;

use quantize::quantize;
use rules::Rules;

/// The size of a shard in mlx_lm.
const SHARD_BYTES: usize = 5 << 30;
const INDEX: &str = "model.safetensors.index.json";

/// What a conversion does.
#[derive(Clone, Debug, Default)]
pub struct Conversion {
    /// `None` to keep the weights plain.
    pub quantization: Option<Quantization>,
    /// More bits for some weights; only with affine quantization.
    pub recipe: Option<Recipe>,
    /// The type of plain weights; by default the one that config.json names as `torch_dtype`.
    pub float: Option<Float>,
}

/// A type of plain weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float {
    Float16,
    Bfloat16,
    Float32,
}

impl Float {
    fn named(name: &str) -> Option<Self> {
        match name {
            "float16" => Some(Self::Float16),
            "bfloat16" => Some(Self::Bfloat16),
            "float32" => Some(Self::Float32),
            _ => None,
        }
    }

    fn dtype(self) -> Dtype {
        match self {
            Self::Float16 => Dtype::Float16,
            Self::Bfloat16 => Dtype::Bfloat16,
            Self::Float32 => Dtype::Float32,
        }
    }
}

/// Writes the converted weights, their index and config.json of the model in `from` to the empty folder `to`. Calls
/// `progress` with the bytes of plain weights done and in total. The tokenizer's files are not copied.
pub fn convert(
    from: &Path,
    to: &Path,
    conversion: &Conversion,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), ConvertError> {
    let file = config::read(from)?;
    let checkpoint = Checkpoint::open(from, None)?;
    if checkpoint.names().any(|it| it.ends_with(".scales")) {
        return Err(ConvertError::Quantized { folder: from.to_owned() });
    }
    let quantization = conversion.quantization.map(Quantization::checked).transpose()?;
    let rules = Rules::of(&file, quantization, conversion.recipe)?;
    // What the architecture would refuse is refused before anything is written.
    crate::check(from)?;
    device::select(DeviceChoice::Auto)?;
    let mut config = read_config(from)?;
    let named = config.get("torch_dtype").and_then(Value::as_str).and_then(Float::named);
    let dtype = conversion.float.or(named).map(Float::dtype);

    let mut writer = Writer { to, shards: Vec::new(), names: BTreeMap::new(), n_bytes: 0, n_weights: 0 };
    let mut settings = Map::new();
    let arrays = rules.arrange(read(&checkpoint)?)?;
    let n_all_bytes: usize = arrays.values().map(Array::nbytes).sum();
    let (mut shard, mut n_shard_bytes, mut n_done_bytes) = (Vec::new(), 0, 0);
    for (name, array) in arrays {
        n_done_bytes += array.nbytes();
        let array = match dtype {
            Some(dtype) if is_float(array.dtype()) => array.as_dtype(dtype)?,
            _ => array,
        };
        writer.n_weights += array.size() as u64;
        let mut tensors = Vec::new();
        match rules.quantization(&name, array.shape()) {
            Some(chosen) => {
                let module = name.strip_suffix(".weight").unwrap_or(&name);
                if let Some(own) = rules.own_settings(chosen) {
                    settings.insert(module.to_owned(), own);
                }
                for (part, array) in quantize(&array, chosen)? {
                    tensors.push((format!("{module}.{part}"), array));
                }
            }
            None => tensors.push((name, array)),
        }
        for (name, array) in tensors {
            if !shard.is_empty() && n_shard_bytes + array.nbytes() > SHARD_BYTES {
                writer.write(std::mem::take(&mut shard))?;
                n_shard_bytes = 0;
            }
            // So that the plain weight need not be kept until the shard is written.
            array.eval()?;
            n_shard_bytes += array.nbytes();
            shard.push((name, array));
        }
        progress(n_done_bytes as u64, n_all_bytes as u64);
    }
    writer.write(shard)?;
    writer.finish()?;
    if let Some(quantization) = quantization {
        let mut all = quantization.settings();
        all.extend(settings);
        config.insert("quantization".to_owned(), Value::Object(all.clone()));
        config.insert("quantization_config".to_owned(), Value::Object(all));
    }
    write_config(to, config)
}

/// The weights of a checkpoint, lazy.
fn read(checkpoint: &Checkpoint) -> Result<HashMap<String, Array>, ConvertError> {
    let mut arrays = HashMap::new();
    for path in &checkpoint.shards {
        let shard = Array::load_safetensors(path)
            .map_err(|err| LoadError::Weights { path: path.clone(), message: file_message(&err) })?;
        arrays.extend(shard);
    }
    Ok(arrays)
}

fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::Float16 | Dtype::Bfloat16 | Dtype::Float32)
}

fn read_config(from: &Path) -> Result<Map<String, Value>, ConvertError> {
    let path = from.join("config.json");
    let bad = |message: String| LoadError::Config { path: path.clone(), message };
    let bytes = fs::read(&path).map_err(|err| bad(err.to_string()))?;
    // Where possible numbers stay as they are written: transformers refuses 40 where it wants 40.0.
    let as_written = serde_json::from_slice(&bytes);
    let parsed = as_written.or_else(|_| model_json::parse(&bytes).map_err(|err| bad(err.to_string())))?;
    match parsed {
        Value::Object(fields) => Ok(fields),
        _ => Err(bad("it is not an object".to_owned()).into()),
    }
}

/// Writes config.json with its fields in order and without those that mlx_lm leaves out.
fn write_config(to: &Path, mut config: Map<String, Value>) -> Result<(), ConvertError> {
    for field in ["_name_or_path", "vision_config"] {
        config.remove(field);
    }
    let sorted: BTreeMap<String, Value> = config.into_iter().collect();
    write_json(&to.join("config.json"), &json!(sorted))
}

fn write_json(path: &Path, value: &Value) -> Result<(), ConvertError> {
    fs::write(path, format!("{value:#}\n"))
        .map_err(|source| ConvertError::Write { path: path.to_owned(), source })
}

/// The shards of the result, which get their final names when their number is known.
struct Writer<'a> {
    to: &'a Path,
    shards: Vec<HashSet<String>>,
    names: BTreeMap<String, String>,
    n_bytes: usize,
    n_weights: u64,
}

impl Writer<'_> {
    fn unnamed(&self, idx: usize) -> PathBuf {
        self.to.join(format!("shard-{idx}.safetensors"))
    }

    fn write(&mut self, shard: Vec<(String, Array)>) -> Result<(), ConvertError> {
        let path = self.unnamed(self.shards.len());
        self.shards.push(shard.iter().map(|it| it.0.clone()).collect());
        self.n_bytes += shard.iter().map(|it| it.1.nbytes()).sum::<usize>();
        let metadata = HashMap::from([("format".to_owned(), "mlx".to_owned())]);
        Array::save_safetensors(shard, &metadata, &path).map_err(|err| ConvertError::Mlx(file_message(&err)))
    }

    fn finish(mut self) -> Result<(), ConvertError> {
        let n = self.shards.len();
        for (idx, names) in std::mem::take(&mut self.shards).into_iter().enumerate() {
            let name = match n {
                1 => "model.safetensors".to_owned(),
                _ => format!("model-{:05}-of-{n:05}.safetensors", idx + 1),
            };
            let path = self.to.join(&name);
            fs::rename(self.unnamed(idx), &path).map_err(|source| ConvertError::Write { path, source })?;
            self.names.extend(names.into_iter().map(|it| (it, name.clone())));
        }
        let metadata = json!({ "total_size": self.n_bytes, "total_parameters": self.n_weights });
        write_json(&self.to.join(INDEX), &json!({ "metadata": metadata, "weight_map": self.names }))
    }
}
