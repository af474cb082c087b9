//! Rotary position embeddings: plain, linear and llama3 scaling, as in mlx_lm's `rope_utils.py`.

use std::cell::RefCell;
use std::sync::Arc;

use mlx_rs::{Array, error::Result, fast};
use runabout_kernels::{RopePairs, RopeTable, Turn};
use serde::Deserialize;

/// `rope_scaling` in config.json. Older files say `type`, newer ones `rope_type`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct RopeScaling {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<f32>,
}

/// A table is at least this long: a quarter of a megabyte for heads of 64.
const MIN_TABLE_POSITIONS: usize = 1024;

/// Rotates queries and keys by their positions.
pub(crate) struct Rope {
    n_dims: i32,
    is_traditional: bool,
    base: Option<f32>,
    scale: f32,
    /// Given instead of `base` where the frequencies are not a plain power series.
    freqs: Option<Array>, // [n_dims / 2]
    /// Radians per position of each pair of dimensions, the same in double precision.
    angles: Vec<f64>,
    /// For the CPU kernels; as long as a sequence has been.
    table: RefCell<Option<Arc<RopeTable>>>,
}

impl Rope {
    /// `Err` says in words what is not supported.
    pub(crate) fn new(
        n_dims: i32,
        base: f32,
        is_traditional: bool,
        scaling: Option<&RopeScaling>,
    ) -> std::result::Result<Self, String> {
        let angles = RopeTable::plain_frequencies(f64::from(base), usize::try_from(n_dims).unwrap_or(0));
        let table = RefCell::default();
        let plain = Self { n_dims, is_traditional, base: Some(base), scale: 1.0, freqs: None, angles, table };
        let Some(scaling) = scaling else { return Ok(plain) };
        let factor = || scaling.factor.ok_or_else(|| "`rope_scaling.factor` is missing".to_owned());
        match scaling.rope_type.as_deref().unwrap_or("default") {
            "default" => Ok(plain),
            "linear" => {
                let scale = 1.0 / factor()?;
                let angles = plain.angles.iter().map(|it| it * f64::from(scale)).collect();
                Ok(Self { scale, angles, ..plain })
            }
            "llama3" => {
                let freqs = llama3_freqs(n_dims, base, factor()?, scaling);
                let angles = freqs.iter().map(|it| f64::from(*it).recip()).collect();
                let freqs = Array::from_slice(&freqs, &[n_dims / 2]);
                Ok(Self { base: None, freqs: Some(freqs), angles, ..plain })
            }
            other => Err(format!(
                "`rope_scaling` type `{other}` is not supported, expected `default`, `linear` or `llama3`"
            )),
        }
    }

    /// `x`: `[1, n_heads, L, head_dim]`, its first position being `offset`.
    pub(crate) fn forward(&self, x: &Array, offset: i32) -> Result<Array> {
        fast::rope(x, self.n_dims, self.is_traditional, self.base, self.scale, offset, self.freqs.as_ref())
    }

    /// Rotated keys of `x`'s layout as they are `distance` positions further on, or back. All scalings that there are
    /// leave angles proportional to positions, so that rotations add up.
    pub(crate) fn turn(&self, x: &Array, distance: i32) -> Result<Array> {
        // Each key is at the first position of a text of its own.
        self.forward(&x.reshape(&[-1, 1, 1, x.dim(3)])?, distance)?.reshape(x.shape())
    }
}

#[cfg_attr(not(cpu_kernels), expect(dead_code, reason = "only the kernels ask"))]
impl Rope {
    /// What turns keys in the CPU kernels.
    pub(crate) fn kernels_turn(&self) -> Turn<'_> {
        Turn { frequencies: &self.angles, pairs: self.pairs() }
    }

    fn pairs(&self) -> RopePairs {
        if self.is_traditional { RopePairs::Adjacent } else { RopePairs::Halves }
    }

    /// Sines and cosines of at least `n_positions`, and which dimensions are rotated together.
    pub(crate) fn table(&self, n_positions: usize) -> (Arc<RopeTable>, RopePairs) {
        let mut kept = self.table.borrow_mut();
        let table = match kept.take() {
            Some(table) if table.n_positions() >= n_positions => table,
            // Doubling, so that a growing sequence makes few tables.
            _ => {
                let n_positions = n_positions.next_power_of_two().max(MIN_TABLE_POSITIONS);
                Arc::new(RopeTable::new(&self.angles, 1.0, n_positions))
            }
        };
        *kept = Some(Arc::clone(&table));
        (table, self.pairs())
    }
}

/// Wavelengths longer than the original context are stretched by `factor`, short ones are left alone, and those
/// between are blended (Llama 3.1).
fn llama3_freqs(n_dims: i32, base: f32, factor: f32, scaling: &RopeScaling) -> Vec<f32> {
    let low_freq_factor = scaling.low_freq_factor.unwrap_or(1.0);
    let high_freq_factor = scaling.high_freq_factor.unwrap_or(4.0);
    let old_context_len = scaling.original_max_position_embeddings.unwrap_or(8192.0);
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
mod tests {
    use super::*;

    #[test]
    fn llama3_scaling_stretches_only_long_wavelengths() {
        let scaling = RopeScaling {
            rope_type: Some("llama3".to_owned()),
            factor: Some(8.0),
            low_freq_factor: Some(1.0),
            high_freq_factor: Some(4.0),
            original_max_position_embeddings: Some(8192.0),
        };
        let freqs = llama3_freqs(64, 500_000.0, 8.0, &scaling);
        // mlx_lm 0.32.2: `Llama3RoPE(64, base=500000.0, ...)._freqs`.
        let expected = [
            (0, 1.0),
            (14, 311.386_2),
            (15, 728.919_56),
            (16, 1_905.320_4),
            (17, 5_601.997),
            (31, 2_654_405.0),
        ];
        for (i, expected) in expected {
            let got: f32 = freqs[i];
            assert!((got / expected - 1.0).abs() < 1e-4, "frequency {i}: expected {expected}, got {got}");
        }
    }

    #[test]
    fn an_unknown_scaling_is_refused_by_name() {
        let scaling = RopeScaling { rope_type: Some("yarn".to_owned()), ..RopeScaling::default() };
        let message = Rope::new(64, 10_000.0, false, Some(&scaling)).err().unwrap_or_default();
        assert!(message.contains("`yarn`"), "{message}");
    }
}
