//! Rotary position embeddings: plain, linear and llama3 scaling, as in mlx_lm's `rope_utils.py`.
//!
//! [`RopeConfig`] reads config.json in all its historical forms; [`Rope`] rotates queries and keys.

use std::cell::RefCell;
use std::sync::Arc;

use mlx_rs::{Array, error::Result, fast};
use runabout_kernels::{RopePairs, RopeTable, Rotation};
use runabout_text::model_json;
use serde::Deserialize;
use serde_json::Value;

use crate::LoadError;
use crate::config::ModelConfig;

/// How positions map to angles. All numbers are finite and above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RopeConfig {
    base: f32,
    is_traditional: bool,
    scaling: Scaling,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scaling {
    None,
    Linear {
        factor: f32,
    },
    /// Wavelengths longer than the original context are multiplied by `factor`, short ones are unchanged, and those
    /// in between are interpolated (Llama 3.1).
    Llama3 {
        factor: f32,
        low_freq_factor: f32,
        high_freq_factor: f32,
        old_context_len: f32,
    },
}

/// The top-level fields of config.json.
#[derive(Deserialize)]
struct RopeFields {
    rope_theta: Option<f32>,
    #[serde(default)]
    rope_traditional: bool,
    partial_rotary_factor: Option<f32>,
    #[serde(default)]
    layer_types: Vec<String>,
}

/// `rope_parameters`, as written by transformers 5, or `rope_scaling`, as written before. Older files have `type`,
/// newer ones `rope_type`, some have both.
#[derive(Default, Deserialize)]
struct RopeParameters {
    rope_theta: Option<f32>,
    rope_type: Option<String>,
    #[serde(rename = "type")]
    old_type: Option<String>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<f32>,
    partial_rotary_factor: Option<f32>,
}

/// The only supported type of layer.
const LAYER_TYPE: &str = "full_attention";

impl RopeConfig {
    /// Precedence as in transformers 5.24: a non-empty `rope_scaling`, then `rope_parameters`, then top-level fields;
    /// `rope_type` before `type`. mlx_lm's llama reads only the older fields.
    pub(crate) fn read(file: &ModelConfig, default_base: f32) -> std::result::Result<Self, LoadError> {
        let top: RopeFields = file.fields()?;
        let object = |field| Some((field, file.get(field)?)).filter(|it| !is_empty(it.1));
        let (path, given) = match object("rope_scaling").or_else(|| object("rope_parameters")) {
            Some((field, object)) => of_layers(file, field, object, &top.layer_types)?,
            None => ("rope_parameters".to_owned(), RopeParameters::default()),
        };
        if let Some(part) = given.partial_rotary_factor.or(top.partial_rotary_factor)
            && part.to_bits() != 1.0_f32.to_bits()
        {
            return Err(
                file.unsupported(format!("`partial_rotary_factor` {part} is not supported, expected 1"))
            );
        }
        let base = file.finite("rope_theta", given.rope_theta.or(top.rope_theta).unwrap_or(default_base))?;
        let finite = |field: &str, value: f32| file.finite(&format!("{path}.{field}"), value);
        let factor = || {
            let missing = || file.impossible(&format!("{path}.factor"), "a number above 0", "none");
            finite("factor", given.factor.ok_or_else(missing)?)
        };
        let scaling = match given.rope_type.or(given.old_type).as_deref().unwrap_or("default") {
            "default" => Scaling::None,
            "linear" => Scaling::Linear { factor: factor()? },
            "llama3" => Scaling::Llama3 {
                factor: factor()?,
                low_freq_factor: finite("low_freq_factor", given.low_freq_factor.unwrap_or(1.0))?,
                high_freq_factor: finite("high_freq_factor", given.high_freq_factor.unwrap_or(4.0))?,
                old_context_len: finite(
                    "original_max_position_embeddings",
                    given.original_max_position_embeddings.unwrap_or(8192.0),
                )?,
            },
            other => {
                return Err(file.unsupported(format!(
                    "`{path}` of type `{other}` is not supported, expected `default`, `linear` or `llama3`"
                )));
            }
        };
        Ok(Self { base, is_traditional: top.rope_traditional, scaling })
    }
}

/// The parameters for the supported type of layer, and their path for error messages. They are either in the object
/// itself or, if there is an object per layer type, in that one.
fn of_layers(
    file: &ModelConfig,
    field: &str,
    object: &Value,
    layer_types: &[String],
) -> std::result::Result<(String, RopeParameters), LoadError> {
    let is_object = |it: &Value| it.is_object() && model_json::float(it).is_none();
    let Some(by_type) = object.as_object().filter(|it| it.values().any(is_object)) else {
        return Ok((field.to_owned(), file.fields_of(object, field)?));
    };
    let is_used =
        |it: &str| if layer_types.is_empty() { true } else { layer_types.iter().any(|other| other == it) };
    let others = by_type.iter().filter(|(name, it)| *name != LAYER_TYPE && is_object(it) && is_used(name));
    match (by_type.get(LAYER_TYPE), others.map(|(name, _)| name.as_str()).next()) {
        (Some(of_type), None) => {
            let path = format!("{field}.{LAYER_TYPE}");
            let parameters = file.fields_of(of_type, &path)?;
            Ok((path, parameters))
        }
        (_, other) => Err(file.unsupported(format!(
            "`{field}` for layers of type `{}` is not supported, expected the same positions in all layers",
            other.unwrap_or("none")
        ))),
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// The minimum length of a table: a quarter of a megabyte for heads of 64.
const MIN_TABLE_POSITIONS: usize = 1024;

/// Rotates queries and keys by their positions.
pub(crate) struct Rope {
    n_dims: i32,
    is_traditional: bool,
    base: Option<f32>,
    scale: f32,
    /// Replaces `base` if the frequencies are not a plain power series.
    freqs: Option<Array>, // [n_dims / 2]
    /// Radians per position for each pair of dimensions, in double precision.
    angles: Vec<f64>,
    /// Used by the CPU kernels. Grows to the longest sequence so far.
    table: RefCell<Option<Arc<RopeTable>>>,
}

impl Rope {
    pub(crate) fn new(n_dims: i32, config: &RopeConfig) -> Self {
        let RopeConfig { base, is_traditional, scaling } = *config;
        let angles = RopeTable::plain_frequencies(f64::from(base), usize::try_from(n_dims).unwrap_or(0));
        let table = RefCell::default();
        let plain = Self { n_dims, is_traditional, base: Some(base), scale: 1.0, freqs: None, angles, table };
        match scaling {
            Scaling::None => plain,
            Scaling::Linear { factor } => {
                let scale = 1.0 / factor;
                let angles = plain.angles.iter().map(|it| it * f64::from(scale)).collect();
                Self { scale, angles, ..plain }
            }
            Scaling::Llama3 { factor, low_freq_factor, high_freq_factor, old_context_len } => {
                let freqs =
                    llama3_freqs(n_dims, base, [factor, low_freq_factor, high_freq_factor], old_context_len);
                let angles = freqs.iter().map(|it| f64::from(*it).recip()).collect();
                let freqs = Array::from_slice(&freqs, &[n_dims / 2]);
                Self { base: None, freqs: Some(freqs), angles, ..plain }
            }
        }
    }

    /// Rotates `x` `[1, n_heads, L, head_dim]`, whose first position is `offset`.
    pub(crate) fn forward(&self, x: &Array, offset: i32) -> Result<Array> {
        fast::rope(x, self.n_dims, self.is_traditional, self.base, self.scale, offset, self.freqs.as_ref())
    }

    /// Rotates already rotated keys, in the layout of `forward`, by `distance` more positions, which may be negative.
    /// Angles are proportional to positions in all supported scalings, so rotations add up.
    pub(crate) fn rotate_by(&self, x: &Array, distance: i32) -> Result<Array> {
        // Each key is treated as the first position of its own text.
        self.forward(&x.reshape(&[-1, 1, 1, x.dim(3)])?, distance)?.reshape(x.shape())
    }
}

#[cfg_attr(not(cpu_kernels), expect(dead_code, reason = "only the kernels ask"))]
impl Rope {
    /// The rotation of keys for the CPU kernels.
    pub(crate) fn kernels_rotation(&self) -> Rotation<'_> {
        Rotation { frequencies: &self.angles, pairs: self.pairs() }
    }

    fn pairs(&self) -> RopePairs {
        if self.is_traditional { RopePairs::Adjacent } else { RopePairs::Halves }
    }

    /// Sines and cosines for at least `n_positions`, and which dimensions are paired.
    pub(crate) fn table(&self, n_positions: usize) -> (Arc<RopeTable>, RopePairs) {
        let mut kept = self.table.borrow_mut();
        let table = match kept.take() {
            Some(table) if table.n_positions() >= n_positions => table,
            // Doubles, so that a growing sequence makes few tables.
            _ => {
                let n_positions = n_positions.next_power_of_two().max(MIN_TABLE_POSITIONS);
                Arc::new(RopeTable::new(&self.angles, 1.0, n_positions))
            }
        };
        *kept = Some(Arc::clone(&table));
        (table, self.pairs())
    }
}

fn llama3_freqs(
    n_dims: i32,
    base: f32,
    [factor, low_freq_factor, high_freq_factor]: [f32; 3],
    old_context_len: f32,
) -> Vec<f32> {
    let low_freq_wavelen = old_context_len / low_freq_factor;
    let high_freq_wavelen = old_context_len / high_freq_factor;
    (0..n_dims / 2)
        .map(|i| {
            let freq = base.powf((2 * i) as f32 / n_dims as f32);
            let wavelen = std::f32::consts::TAU * freq;
            if wavelen > low_freq_wavelen {
                freq * factor
            } else if wavelen > high_freq_wavelen {
                let smooth =
                    (old_context_len / wavelen - low_freq_factor) / (high_freq_factor - low_freq_factor);
                freq / ((1.0 - smooth) / factor + smooth)
            } else {
                freq
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
