//! Weights by checkpoint name, out of one safetensors file or several with an index.
//!
//! What there is was compared with config.json before ([`checkpoint::check`](crate::checkpoint::check)). A weight is read when it is taken: one
//! that is packed for the CPU kernels and dropped leaves room for the next.

use std::collections::HashMap;
use std::path::PathBuf;

use mlx_rs::{Array, Dtype};

use crate::LoadError;
use crate::checkpoint::Checkpoint;
use crate::cpu_kernels::Kernels;
use crate::device::Compute;
use crate::error::{said, said_of_file};
use crate::linear::{Grouping, Linear, Matrix};
use crate::norm::RmsNorm;
use crate::options::Place;
use crate::quantized_kv::KvBits;

pub(crate) struct Weights<'a> {
    /// Not read yet; each with its file's place in `shards`.
    arrays: HashMap<String, (Array, usize)>,
    folder: PathBuf,
    shards: Vec<PathBuf>,
    place: Place,
    n_bytes: u64,
    n_bytes_on_disk: u64,
    /// Told the bytes read so far and in all.
    progress: &'a mut dyn FnMut(u64, u64),
    /// How many weights have how many bits; [`Self::common_bits`].
    n_weights_by_bits: HashMap<i32, u64>,
}

impl<'a> Weights<'a> {
    /// Makes the weights of a checkpoint that was checked ready to be read. `place` is where they will be used.
    pub(crate) fn open(
        checkpoint: Checkpoint,
        place: Place,
        progress: &'a mut dyn FnMut(u64, u64),
    ) -> Result<Self, LoadError> {
        let Checkpoint { folder, shards, n_bytes: n_bytes_on_disk, .. } = checkpoint;
        progress(0, n_bytes_on_disk);
        let mut arrays = HashMap::new();
        for (shard_idx, path) in shards.iter().enumerate() {
            let shard = Array::load_safetensors(path)
                .map_err(|e| LoadError::Weights { path: path.clone(), message: said_of_file(&e) })?;
            let half = shard.values().map(Array::dtype).find(|it| is_half(*it));
            for (name, array) in shard {
                // The kernels take matrices in any type.
                let is_packed = place.kernels.is_some() && array.ndim() == 2;
                let array =
                    if is_packed { array } else { in_compute_type(&name, array, half, place.compute)? };
                arrays.insert(name, (array, shard_idx));
            }
        }
        let n_weights_by_bits = HashMap::new();
        Ok(Self { arrays, folder, shards, place, n_bytes: 0, n_bytes_on_disk, progress, n_weights_by_bits })
    }

    /// What packs the weights, if MLX does not take them as they are.
    pub(crate) fn kernels(&self) -> Option<&Kernels> {
        self.place.kernels.as_ref()
    }

    /// Bits of the keys and values that will be kept, if few.
    pub(crate) fn kv_bits(&self) -> Option<KvBits> {
        self.place.kv_bits
    }

    /// Bytes of all that was taken.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Bits of most of the quantized weights taken so far.
    pub(crate) fn common_bits(&self) -> Option<i32> {
        self.n_weights_by_bits.iter().max_by_key(|(bits, n)| (**n, **bits)).map(|(bits, _)| *bits)
    }

    /// Takes out a linear layer's matrix `[n_out, n_in]`, and its bias if it has one.
    pub(crate) fn linear(
        &mut self,
        name: &str,
        n_out: i32,
        n_in: i32,
        has_bias: bool,
    ) -> Result<Linear, LoadError> {
        let matrix = self.matrix(name, n_out, n_in)?;
        let bias = has_bias.then(|| self.take(&format!("{name}.bias"), &[n_out])).transpose()?;
        Ok(Linear { matrix, bias })
    }

    /// Takes out a matrix `[n_out, n_in]`, quantized if there are scales for it.
    pub(crate) fn matrix(&mut self, name: &str, n_out: i32, n_in: i32) -> Result<Matrix, LoadError> {
        let weight_name = format!("{name}.weight");
        let scales_name = format!("{name}.scales");
        if !self.arrays.contains_key(&scales_name) {
            return Ok(Matrix::Plain { weight: self.take(&weight_name, &[n_out, n_in])? });
        }
        let weight = self.take_any(&weight_name)?;
        let scales = self.take_any(&scales_name)?;
        let grouping = Grouping::of(&weight_name, [n_out, n_in], weight.shape(), scales.shape())?;
        let Grouping { group_size, bits } = grouping;
        let biases = self.take(&format!("{name}.biases"), scales.shape())?;
        let n_weights = u64::from(n_out.unsigned_abs()) * u64::from(n_in.unsigned_abs());
        *self.n_weights_by_bits.entry(bits).or_default() += n_weights;
        Ok(Matrix::Quantized { weight, scales, biases, group_size, bits })
    }

    /// Takes out a norm over rows of `n`.
    pub(crate) fn norm(&mut self, name: &str, n: i32, eps: f32) -> Result<RmsNorm, LoadError> {
        Ok(RmsNorm { weight: self.take(&format!("{name}.weight"), &[n])?, eps })
    }

    /// Takes a weight out, of just this shape.
    fn take(&mut self, name: &str, shape: &[i32]) -> Result<Array, LoadError> {
        let array = self.take_any(name)?;
        if array.shape() == shape {
            return Ok(array);
        }
        Err(LoadError::WrongShape {
            name: name.to_owned(),
            expected: shape.to_vec(),
            got: array.shape().to_vec(),
        })
    }

    /// Takes a weight out, whatever its shape, and reads it.
    fn take_any(&mut self, name: &str) -> Result<Array, LoadError> {
        let (array, shard_idx) = self
            .arrays
            .remove(name)
            .ok_or_else(|| LoadError::MissingWeight { name: name.to_owned(), folder: self.folder.clone() })?;
        array.eval().map_err(|e| {
            let path = self.shards.get(shard_idx).cloned().unwrap_or_default();
            LoadError::Weights { path, message: said(&e) }
        })?;
        self.n_bytes += array.nbytes() as u64;
        (self.progress)(self.n_bytes.min(self.n_bytes_on_disk), self.n_bytes_on_disk);
        Ok(array)
    }
}

/// The array in the type that the device is fast in.
///
/// Activations take their type from what is not quantized: norms, biases, plain matrices. A GPU is twice as fast in half
/// precision, and a single float32 norm among half-precision weights would turn all activations into float32. MLX on a
/// CPU is thirty times slower in half precision, which it computes one number at a time. The scales of quantized
/// matrices stay as they are there.
fn in_compute_type(
    name: &str,
    array: Array,
    half: Option<Dtype>,
    compute: Compute,
) -> Result<Array, LoadError> {
    let is_scale = name.ends_with(".scales") || name.ends_with(".biases");
    Ok(match (compute, array.dtype(), half) {
        (Compute::Gpu, Dtype::Float32, Some(half)) => array.as_dtype(half)?,
        (Compute::Cpu, it, _) if is_half(it) && !is_scale => array.as_dtype(Dtype::Float32)?,
        _ => array,
    })
}

fn is_half(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::Float16 | Dtype::Bfloat16)
}
