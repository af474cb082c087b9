//! Weights by name, from one safetensors file or several with an index: [`Weights`].
//!
//! The checkpoint must have passed [`check`](crate::checkpoint::check). A weight is read when it is taken, so one
//! that is packed for the CPU kernels and dropped makes room for the next.

use std::collections::HashMap;
use std::path::PathBuf;

use mlx_rs::{Array, Dtype};

use crate::LoadError;
use crate::checkpoint::Checkpoint;
use crate::cpu_kernels::Kernels;
use crate::device::Compute;
use crate::error::{file_message, message};
use crate::linear::{Grouping, Linear, Matrix};
use crate::norm::RmsNorm;
use crate::options::Placement;
use crate::quantized_kv::KvBits;

pub(crate) struct Weights<'a> {
    /// Not read yet; each with the index of its file in `shards`.
    arrays: HashMap<String, (Array, usize)>,
    folder: PathBuf,
    shards: Vec<PathBuf>,
    placement: Placement,
    n_bytes: u64,
    n_bytes_on_disk: u64,
    /// Called with the bytes read so far and in total.
    progress: &'a mut dyn FnMut(u64, u64),
    /// The number of weights by bits, for [`Self::common_bits`].
    n_weights_by_bits: HashMap<i32, u64>,
}

impl<'a> Weights<'a> {
    /// Prepares to read a checked checkpoint. `placement` says where the weights will be used.
    pub(crate) fn open(
        checkpoint: Checkpoint,
        placement: Placement,
        progress: &'a mut dyn FnMut(u64, u64),
    ) -> Result<Self, LoadError> {
        let Checkpoint { folder, shards, n_bytes: n_bytes_on_disk, .. } = checkpoint;
        progress(0, n_bytes_on_disk);
        let mut arrays = HashMap::new();
        for (shard_idx, path) in shards.iter().enumerate() {
            let shard = Array::load_safetensors(path)
                .map_err(|e| LoadError::Weights { path: path.clone(), message: file_message(&e) })?;
            let half = shard.values().map(Array::dtype).find(|it| is_half(*it));
            for (name, array) in shard {
                // The kernels accept matrices in any type.
                let is_packed = placement.kernels.is_some() && array.ndim() == 2;
                let array =
                    if is_packed { array } else { in_compute_type(&name, array, half, placement.compute)? };
                arrays.insert(name, (array, shard_idx));
            }
        }
        let n_weights_by_bits = HashMap::new();
        Ok(Self {
            arrays,
            folder,
            shards,
            placement,
            n_bytes: 0,
            n_bytes_on_disk,
            progress,
            n_weights_by_bits,
        })
    }

    /// The kernels that the weights are packed for, if any.
    pub(crate) fn kernels(&self) -> Option<&Kernels> {
        self.placement.kernels.as_ref()
    }

    /// The quantization of keys and values, if any.
    pub(crate) fn kv_bits(&self) -> Option<KvBits> {
        self.placement.kv_bits
    }

    /// Bytes of the weights taken so far.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// The most common number of bits among the quantized weights taken so far.
    pub(crate) fn common_bits(&self) -> Option<i32> {
        self.n_weights_by_bits.iter().max_by_key(|(bits, n)| (**n, **bits)).map(|(bits, _)| *bits)
    }

    /// Takes a linear layer: its matrix `[n_out, n_in]`, and its bias if it has one.
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

    /// Takes a matrix `[n_out, n_in]`, which is quantized if the checkpoint has scales for it.
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

    /// Takes the norm of rows of `n` numbers.
    pub(crate) fn norm(&mut self, name: &str, n: i32, eps: f32) -> Result<RmsNorm, LoadError> {
        Ok(RmsNorm { weight: self.take(&format!("{name}.weight"), &[n])?, eps })
    }

    /// Takes a weight, which must have this shape.
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

    /// Takes a weight of any shape, and reads it.
    fn take_any(&mut self, name: &str) -> Result<Array, LoadError> {
        let (array, shard_idx) = self
            .arrays
            .remove(name)
            .ok_or_else(|| LoadError::MissingWeight { name: name.to_owned(), folder: self.folder.clone() })?;
        array.eval().map_err(|e| {
            let path = self.shards.get(shard_idx).cloned().unwrap_or_default();
            LoadError::Weights { path, message: message(&e) }
        })?;
        self.n_bytes += array.nbytes() as u64;
        (self.progress)(self.n_bytes.min(self.n_bytes_on_disk), self.n_bytes_on_disk);
        Ok(array)
    }
}

/// Converts a weight to the type in which the device is fast.
///
/// Activations get their type from what is not quantized: norms, biases, plain matrices. A GPU is twice as fast in
/// half precision, and a single float32 norm would turn all activations into float32. MLX on a CPU is thirty times
/// slower in half precision, which it computes one number at a time. The scales of quantized matrices keep their type
/// there.
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
