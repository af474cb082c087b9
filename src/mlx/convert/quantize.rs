//! MLX's forms of quantization, in the parameters that mlx_lm's `convert` has: [`Quantization`].

use std::ffi::CStr;

use mlx_rs::error::{Exception, Result};
use mlx_rs::{Array, Stream};
use serde_json::{Map, Value, json};

use super::error::ConvertError;

/// How groups of weights are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Whole numbers with a scale and a bias for each group.
    #[default]
    Affine,
    /// Floats of 4 bits with a power of two for each group of 32.
    Mxfp4,
    /// Floats of 4 bits with a float of 8 bits for each group of 16.
    Nvfp4,
    /// Floats of 8 bits with a power of two for each group of 32.
    Mxfp8,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Affine => "affine",
            Self::Mxfp4 => "mxfp4",
            Self::Nvfp4 => "nvfp4",
            Self::Mxfp8 => "mxfp8",
        }
    }

    fn c_name(self) -> &'static CStr {
        match self {
            Self::Affine => c"affine",
            Self::Mxfp4 => c"mxfp4",
            Self::Nvfp4 => c"nvfp4",
            Self::Mxfp8 => c"mxfp8",
        }
    }

    /// The group size and the bits that mlx_lm takes if none are given.
    fn defaults(self) -> (i32, i32) {
        match self {
            Self::Affine => (64, 4),
            Self::Mxfp4 => (32, 4),
            Self::Nvfp4 => (16, 4),
            Self::Mxfp8 => (32, 8),
        }
    }
}

/// A form of quantization. `None` is the mode's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantization {
    pub mode: Mode,
    pub group_size: Option<i32>,
    pub bits: Option<i32>,
}

impl Quantization {
    /// The same with its defaults filled in. Fails if MLX does not have it.
    pub(super) fn checked(self) -> std::result::Result<Self, ConvertError> {
        let (group_size, bits) = (self.group_size(), self.bits());
        let is_known = match self.mode {
            Mode::Affine => [2, 3, 4, 5, 6, 8].contains(&bits) && [32, 64, 128].contains(&group_size),
            other => (group_size, bits) == other.defaults(),
        };
        if !is_known {
            let expected = match self.mode {
                Mode::Affine => "2, 3, 4, 5, 6 or 8 bits in groups of 32, 64 or 128".to_owned(),
                other => format!("{} bits in groups of {}", other.defaults().1, other.defaults().0),
            };
            let name = self.mode.name();
            return Err(ConvertError::Options(format!(
                "there is no `{name}` quantization with {bits} bits in groups of {group_size}, expected {expected}"
            )));
        }
        Ok(Self { group_size: Some(group_size), bits: Some(bits), ..self })
    }

    pub(super) fn group_size(self) -> i32 {
        self.group_size.unwrap_or(self.mode.defaults().0)
    }

    pub(super) fn bits(self) -> i32 {
        self.bits.unwrap_or(self.mode.defaults().1)
    }

    /// As config.json has it.
    pub(super) fn settings(self) -> Map<String, Value> {
        let fields = [
            ("group_size", json!(self.group_size())),
            ("bits", json!(self.bits())),
            ("mode", json!(self.mode.name())),
        ];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// The parts of a quantized weight with the names that they have in a checkpoint, lazy.
pub(super) fn quantize(weight: &Array, to: Quantization) -> Result<Vec<(&'static str, Array)>> {
    let optional = |value| mlx_sys::mlx_optional_int { value, has_value: true };
    let stream = Stream::default();
    let mut parts = Vec::new();
    // SAFETY: the handles are of living objects, made here or owned by `weight` and `stream`; the name is a C string.
    // `mlx_vector_array_get` makes new arrays, which have no other owner.
    unsafe {
        let mut result = mlx_sys::mlx_vector_array_new();
        let no_scale = mlx_sys::mlx_array_new();
        let status = mlx_sys::mlx_quantize(
            &raw mut result,
            weight.as_ptr(),
            optional(to.group_size()),
            optional(to.bits()),
            to.mode.c_name().as_ptr(),
            no_scale,
            stream.as_ptr(),
        );
        if status == 0 {
            for idx in 0..mlx_sys::mlx_vector_array_size(result) {
                let mut part = mlx_sys::mlx_array_new();
                mlx_sys::mlx_vector_array_get(&raw mut part, result, idx);
                parts.push(Array::from_ptr(part));
            }
        }
        mlx_sys::mlx_array_free(no_scale);
        mlx_sys::mlx_vector_array_free(result);
        if status != 0 {
            return Err(Exception::custom(format!("cannot quantize a weight of shape {:?}", weight.shape())));
        }
    }
    Ok(["weight", "scales", "biases"].into_iter().zip(parts).collect())
}
