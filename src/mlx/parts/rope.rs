//! Rotary position embeddings: plain, and with linear, llama3, yarn and longrope scaling, as in mlx_lm's
//! `rope_utils.py`.
//!
//! [`RopeConfig`] reads config.json in all its historical forms; [`Rope`] rotates queries and keys.

use std::cell::RefCell;
use std::sync::Arc;

use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, error::Result, fast, ops};
use runabout_kernels::{RopePairs, RopeTable, Rotation};
use runabout_text::model_json;
use serde::Deserialize;
use serde_json::Value;

use crate::LoadError;
use crate::config::ModelConfig;

/// How positions map to angles. All numbers are finite and above 0.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RopeConfig {
    base: f32,
    is_traditional: bool,
    /// The part of a head's dimensions that is rotated, above 0 and at most 1.
    rotated_part: f32,
    scaling: Scaling,
}

/// What an architecture says of its positions.
#[derive(Clone, Copy)]
pub(crate) struct RopeDefaults<'a> {
    /// For files without `rope_theta`.
    pub(crate) base: f32,
    /// For files without `rope_traditional`.
    pub(crate) is_traditional: bool,
    /// The part of a head that is rotated, for files that do not say; `None` if heads are always rotated as a whole.
    pub(crate) rotated_part: Option<f32>,
    /// The type of layer, for files with parameters by type; `None` if all layers have the same positions.
    pub(crate) layer_type: Option<&'a str>,
}

impl RopeDefaults<'_> {
    /// As in llama.
    pub(crate) const DENSE: Self =
        Self { base: 10_000.0, is_traditional: false, rotated_part: None, layer_type: None };
}

#[derive(Clone, Debug, PartialEq)]
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
    /// Pairs that turn often in the original context keep their frequency, those that turn rarely are slowed by
    /// `factor`, and those in between are interpolated (YaRN).
    Yarn {
        factor: f32,
        old_context_len: f32,
        beta_fast: f32,
        beta_slow: f32,
        /// Queries and keys are multiplied by this.
        magnitude: f32,
    },
    /// Each pair is slowed by a factor of its own (longrope).
    Long {
        factors: Vec<f32>,
        magnitude: f32,
    },
    /// Pairs beyond the rotated part of a head stand still, but are counted in the power series (Gemma 4).
    Proportional {
        factor: f32,
    },
}

/// The top-level fields of config.json.
#[derive(Deserialize)]
struct RopeFields {
    rope_theta: Option<f32>,
    rope_traditional: Option<bool>,
    partial_rotary_factor: Option<f32>,
    #[serde(default)]
    layer_types: Vec<String>,
    max_position_embeddings: Option<f32>,
    original_max_position_embeddings: Option<f32>,
}

/// The type of layers that attend within a window.
const LOCAL_LAYER_TYPE: &str = "sliding_attention";

/// The type of layers that all have the same positions.
const ONLY_LAYER_TYPE: &str = "full_attention";

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
    beta_fast: Option<f32>,
    beta_slow: Option<f32>,
    mscale: Option<f32>,
    mscale_all_dim: Option<f32>,
    long_factor: Option<Vec<f32>>,
}

impl RopeConfig {
    /// Precedence as in transformers 5.24: a non-empty `rope_scaling`, then `rope_parameters`, then top-level fields;
    /// `rope_type` before `type`. mlx_lm's llama reads only the older fields.
    pub(crate) fn read(
        file: &ModelConfig,
        defaults: &RopeDefaults<'_>,
    ) -> std::result::Result<Self, LoadError> {
        let top: RopeFields = file.fields()?;
        let object = |field| Some((field, file.get(field)?)).filter(|it| !is_empty(it.1));
        let (path, given) = match object("rope_scaling").or_else(|| object("rope_parameters")) {
            Some((field, object)) => of_layers(file, field, object, defaults.layer_type, &top.layer_types)?,
            None => ("rope_parameters".to_owned(), RopeParameters::default()),
        };
        let rotated_part = given.partial_rotary_factor.or(top.partial_rotary_factor);
        let rotated_part = match (rotated_part, defaults.rotated_part) {
            (Some(part), None) if part.to_bits() != 1.0_f32.to_bits() => {
                return Err(
                    file.unsupported(format!("`partial_rotary_factor` {part} is not supported, expected 1"))
                );
            }
            (Some(part), Some(_)) if !(part > 0.0 && part <= 1.0) => {
                return Err(file.impossible("partial_rotary_factor", "above 0 and at most 1", part));
            }
            (Some(part), _) | (None, Some(part)) => part,
            (None, None) => 1.0,
        };
        let base = given.rope_theta.or(top.rope_theta).unwrap_or(defaults.base);
        let base = file.finite("rope_theta", base)?;
        let scaling = scaling(file, &path, given, &top)?;
        let is_traditional = top.rope_traditional.unwrap_or(defaults.is_traditional);
        Ok(Self { base, is_traditional, rotated_part, scaling })
    }
}

fn scaling(
    file: &ModelConfig,
    path: &str,
    given: RopeParameters,
    top: &RopeFields,
) -> std::result::Result<Scaling, LoadError> {
    let finite = |field: &str, value: f32| file.finite(&format!("{path}.{field}"), value);
    let needed = |field: &str, value: Option<f32>| {
        let missing = || file.impossible(&format!("{path}.{field}"), "a number above 0", "none");
        finite(field, value.ok_or_else(missing)?)
    };
    let factor = || needed("factor", given.factor);
    let old_context = |default: f32| {
        finite("original_max_position_embeddings", given.original_max_position_embeddings.unwrap_or(default))
    };
    Ok(match given.rope_type.or(given.old_type).as_deref().unwrap_or("default") {
        // Text has the same position in all three dimensions.
        "default" | "mrope" => Scaling::None,
        "linear" => Scaling::Linear { factor: factor()? },
        "llama3" => Scaling::Llama3 {
            factor: factor()?,
            low_freq_factor: finite("low_freq_factor", given.low_freq_factor.unwrap_or(1.0))?,
            high_freq_factor: finite("high_freq_factor", given.high_freq_factor.unwrap_or(4.0))?,
            old_context_len: old_context(8192.0)?,
        },
        "yarn" => {
            let factor = factor()?;
            let magnitude = |scale: f32| if factor > 1.0 { 0.1 * scale * factor.ln() + 1.0 } else { 1.0 };
            let (scale, all) = (given.mscale.unwrap_or(1.0), given.mscale_all_dim.unwrap_or(0.0));
            Scaling::Yarn {
                factor,
                old_context_len: old_context(4096.0)?,
                beta_fast: finite("beta_fast", given.beta_fast.unwrap_or(32.0))?,
                beta_slow: finite("beta_slow", given.beta_slow.unwrap_or(1.0))?,
                magnitude: finite("mscale", magnitude(scale) / magnitude(all))?,
            }
        }
        "longrope" | "su" => {
            let missing = || file.impossible(&format!("{path}.long_factor"), "a list of numbers", "none");
            let factors = given.long_factor.ok_or_else(missing)?;
            factors.iter().try_for_each(|it| finite("long_factor", *it).map(|_| ()))?;
            let old = given.original_max_position_embeddings.or(top.original_max_position_embeddings);
            let old = needed("original_max_position_embeddings", old)?;
            let ratio = top.max_position_embeddings.unwrap_or(old) / old;
            let magnitude = if ratio > 1.0 { (1.0 + ratio.ln() / old.ln()).sqrt() } else { 1.0 };
            Scaling::Long { factors, magnitude: finite("original_max_position_embeddings", magnitude)? }
        }
        "proportional" => Scaling::Proportional { factor: finite("factor", given.factor.unwrap_or(1.0))? },
        other => {
            return Err(file.unsupported(format!(
                "`{path}` of type `{other}` is not supported, expected `default`, `linear`, `llama3`, `yarn`, `longrope` or `proportional`"
            )));
        }
    })
}

/// The parameters for a type of layer, and their path for error messages. They are either in the object itself or, if
/// there is an object per type of layer, in that one.
fn of_layers(
    file: &ModelConfig,
    field: &str,
    object: &Value,
    layer_type: Option<&str>,
    layer_types: &[String],
) -> std::result::Result<(String, RopeParameters), LoadError> {
    let is_object = |it: &Value| it.is_object() && model_json::float(it).is_none();
    let Some(by_type) = object.as_object().filter(|it| it.values().any(is_object)) else {
        return Ok((field.to_owned(), file.fields_of(object, field)?));
    };
    let is_used = |it: &&str| layer_types.is_empty() || layer_types.iter().any(|other| other == it);
    let wanted = layer_type.unwrap_or(ONLY_LAYER_TYPE);
    let other = by_type.iter().filter(|(_, it)| is_object(it)).map(|(name, _)| name.as_str());
    let other = other.filter(|it| *it != wanted).find(is_used);
    match by_type.get(wanted) {
        Some(of_type) if other.is_none() || layer_type.is_some() => {
            let path = format!("{field}.{wanted}");
            let parameters = file.fields_of(of_type, &path)?;
            Ok((path, parameters))
        }
        _ => Err(file.unsupported(format!(
            "`{field}` for layers of type `{}` is not supported, expected `{wanted}`",
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
    /// The number of dimensions that are rotated, the first ones of a head.
    n_dims: i32,
    is_traditional: bool,
    base: Option<f32>,
    scale: f32,
    /// Replaces `base` if the frequencies are not a plain power series.
    freqs: Option<Array>, // [n_dims / 2]
    /// Queries and keys are multiplied by this.
    magnitude: f32,
    /// Radians per position for each pair of dimensions, in double precision.
    angles: Vec<f64>,
    /// Used by the CPU kernels. Grows to the longest sequence so far.
    table: RefCell<Option<Arc<RopeTable>>>,
}

impl Rope {
    /// The rotation that config.json describes, for heads of `head_dim`.
    pub(crate) fn read(
        file: &ModelConfig,
        head_dim: i32,
        defaults: &RopeDefaults<'_>,
    ) -> std::result::Result<Self, LoadError> {
        let config = RopeConfig::read(file, defaults)?;
        #[expect(clippy::cast_possible_truncation, reason = "a part of a head has no more dimensions")]
        let n_dims = (head_dim as f32 * config.rotated_part) as i32;
        if n_dims < 2 || n_dims % 2 != 0 {
            return Err(file.impossible(
                "partial_rotary_factor",
                &format!("an even number of dimensions out of {head_dim}"),
                n_dims,
            ));
        }
        if let Scaling::Long { factors, .. } = &config.scaling
            && factors.len() * 2 != n_dims.unsigned_abs() as usize
        {
            let expected = format!("{} numbers", n_dims / 2);
            return Err(file.impossible("rope_scaling.long_factor", &expected, factors.len()));
        }
        if let Scaling::Proportional { factor } = config.scaling {
            let rotated = (n_dims / 2).unsigned_abs() as usize;
            let plain = Self::new(head_dim, &RopeConfig { scaling: Scaling::None, ..config });
            let freqs: Vec<_> = plain_freqs(head_dim, config.base)
                .enumerate()
                .map(|(i, freq)| if i < rotated { factor * freq } else { f32::INFINITY })
                .collect();
            return Ok(plain.with_freqs(&freqs, 1.0));
        }
        Ok(Self::new(n_dims, &config))
    }

    /// The rotation within a window, of a model whose other layers have another one: the parameters of layers of type
    /// `sliding_attention`, or else the base in `field`, without scaling.
    pub(crate) fn read_local(
        file: &ModelConfig,
        head_dim: i32,
        field: &str,
        base: f32,
    ) -> std::result::Result<Self, LoadError> {
        let by_type = |it: &Value| it.get(LOCAL_LAYER_TYPE).is_some();
        if ["rope_scaling", "rope_parameters"].iter().filter_map(|it| file.get(it)).any(by_type) {
            let defaults = RopeDefaults { base, layer_type: Some(LOCAL_LAYER_TYPE), ..RopeDefaults::DENSE };
            return Self::read(file, head_dim, &defaults);
        }
        let base = file.finite(field, base)?;
        let scaling = Scaling::None;
        Ok(Self::new(head_dim, &RopeConfig { base, is_traditional: false, rotated_part: 1.0, scaling }))
    }

    fn new(n_dims: i32, config: &RopeConfig) -> Self {
        let RopeConfig { base, is_traditional, ref scaling, .. } = *config;
        let angles = RopeTable::plain_frequencies(f64::from(base), usize::try_from(n_dims).unwrap_or(0));
        let plain = Self {
            n_dims,
            is_traditional,
            base: Some(base),
            scale: 1.0,
            freqs: None,
            magnitude: 1.0,
            angles,
            table: RefCell::default(),
        };
        match scaling {
            Scaling::None | Scaling::Proportional { .. } => plain,
            Scaling::Linear { factor } => {
                let scale = 1.0 / factor;
                let angles = plain.angles.iter().map(|it| it * f64::from(scale)).collect();
                Self { scale, angles, ..plain }
            }
            Scaling::Llama3 { factor, low_freq_factor, high_freq_factor, old_context_len } => {
                let factors = [*factor, *low_freq_factor, *high_freq_factor];
                plain.with_freqs(&llama3_freqs(n_dims, base, factors, *old_context_len), 1.0)
            }
            Scaling::Yarn { factor, old_context_len, beta_fast, beta_slow, magnitude } => {
                let freqs = yarn_freqs(n_dims, base, *factor, *old_context_len, [*beta_fast, *beta_slow]);
                plain.with_freqs(&freqs, *magnitude)
            }
            Scaling::Long { factors, magnitude } => {
                let freqs: Vec<_> =
                    plain_freqs(n_dims, base).zip(factors).map(|(freq, factor)| freq * factor).collect();
                plain.with_freqs(&freqs, *magnitude)
            }
        }
    }

    /// With other inverse frequencies than the power series of the base.
    fn with_freqs(self, freqs: &[f32], magnitude: f32) -> Self {
        let angles = freqs.iter().map(|it| f64::from(*it).recip()).collect();
        let freqs = Array::from_slice(freqs, &[self.n_dims / 2]);
        Self { base: None, freqs: Some(freqs), angles, magnitude, ..self }
    }

    /// The number of dimensions of a head that are rotated.
    pub(crate) fn n_dims(&self) -> i32 {
        self.n_dims
    }

    /// Rotates `x` `[1, n_heads, L, head_dim]`, whose first position is `offset`.
    pub(crate) fn forward(&self, x: &Array, offset: i32) -> Result<Array> {
        if self.magnitude.to_bits() == 1.0_f32.to_bits() {
            return self.rotate(x, offset);
        }
        let magnitude = Array::from_f32(self.magnitude).as_dtype(x.dtype())?;
        if self.n_dims == x.dim(3) {
            return self.rotate(&x.multiply(magnitude)?, offset);
        }
        let rotated = self.rotate(&x.try_index((.., .., .., ..self.n_dims))?.multiply(magnitude)?, offset)?;
        ops::concatenate(&[rotated, x.try_index((.., .., .., self.n_dims..))?], 3)
    }

    fn rotate(&self, x: &Array, offset: i32) -> Result<Array> {
        fast::rope(x, self.n_dims, self.is_traditional, self.base, self.scale, offset, self.freqs.as_ref())
    }

    /// Rotates already rotated keys, in the layout of `forward`, by `distance` more positions, which may be negative.
    /// Angles are proportional to positions in all supported scalings, so rotations add up.
    pub(crate) fn rotate_by(&self, x: &Array, distance: i32) -> Result<Array> {
        // Each key is treated as the first position of its own text.
        self.rotate(&x.reshape(&[-1, 1, 1, x.dim(3)])?, distance)?.reshape(x.shape())
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
                Arc::new(RopeTable::new(&self.angles, self.magnitude.into(), n_positions))
            }
        };
        *kept = Some(Arc::clone(&table));
        (table, self.pairs())
    }
}

/// Inverse frequencies: positions per radian for each pair of dimensions.
fn plain_freqs(n_dims: i32, base: f32) -> impl Iterator<Item = f32> {
    (0..n_dims / 2).map(move |i| base.powf((2 * i) as f32 / n_dims as f32))
}

fn llama3_freqs(
    n_dims: i32,
    base: f32,
    [factor, low_freq_factor, high_freq_factor]: [f32; 3],
    old_context_len: f32,
) -> Vec<f32> {
    let low_freq_wavelen = old_context_len / low_freq_factor;
    let high_freq_wavelen = old_context_len / high_freq_factor;
    plain_freqs(n_dims, base)
        .map(|freq| {
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

fn yarn_freqs(
    n_dims: i32,
    base: f32,
    factor: f32,
    old_context_len: f32,
    [beta_fast, beta_slow]: [f32; 2],
) -> Vec<f32> {
    // The pair, counted in dimensions, that turns this often in the original context.
    let dim_of = |n_turns: f32| {
        let wavelen = old_context_len / (n_turns * std::f32::consts::TAU);
        n_dims as f32 * wavelen.ln() / (2.0 * base.ln())
    };
    let low = dim_of(beta_fast).floor().max(0.0);
    let high = dim_of(beta_slow).ceil().min((n_dims - 1) as f32);
    let width = if low.to_bits() == high.to_bits() { 0.001 } else { high - low };
    plain_freqs(n_dims, base)
        .enumerate()
        .map(|(i, freq)| {
            let slow = factor * freq;
            let kept = 1.0 - ((i as f32 - low) / width).clamp(0.0, 1.0);
            slow * freq / (slow * kept + freq * (1.0 - kept))
        })
        .collect()
}

#[cfg(test)]
mod tests;
