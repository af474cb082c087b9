//! Weights by name, from one safetensors file or several with an index: [`Weights`].
//!
//! An architecture takes its weights twice. The first time each is compared with the files' headers only. So no number
//! in config.json or in a header decides how much is allocated before it has been found to be right. The second time
//! the weights are lazy; [`Reader`] reads them part by part, so that one that is packed for the CPU kernels and dropped
//! makes room for the next.

mod adapted;
mod adapter;
mod checkpoint;
mod foreign;
mod header;
mod low_rank;
mod matrix;
mod micro;
mod mxfp4;
mod piece;
mod random;
mod reader;
mod stack;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use mlx_rs::{Array, Dtype, ops};
use safetensors::tensor::Dtype as FileDtype;

use crate::LoadError;
use crate::config::ModelConfig;
use crate::device::Compute;
use crate::error::file_message;
use crate::options::Placement;
use crate::parts::{Norm, NormKind};

pub(crate) use checkpoint::Checkpoint;
use header::text_name;
#[cfg(cpu_kernels)]
pub(crate) use low_rank::LowRank;
pub(crate) use matrix::{Grouping, Linear, Matrix};
#[cfg(test)]
pub(crate) use micro::tests::quantize;
use micro::{Micro, MicroFormat};
pub(crate) use piece::{Piece, Recurrence, Visit};
pub(crate) use random::{Quantization, RandomWeights};
pub(crate) use reader::Reader;
pub(crate) use stack::Stack;

/// Types that weights are used in as they are.
const FLOATS: &str = "F32, F16 or BF16";

/// Starts of names of a model's other senses, and of layers that predict more than one token.
const OTHER_PARTS: [&str; 8] = [
    "vision_tower.",
    "vision_embedder.",
    "visual.",
    "multi_modal_projector.",
    "audio_tower.",
    "embed_audio.",
    "embed_vision.",
    "mtp.",
];

/// Ends of names that any checkpoint may have and no model needs: what can be computed.
const COMPUTABLE: [&str; 2] = [".rotary_emb.inv_freq", ".masked_bias"];

/// The weights of a model folder.
pub(crate) struct Weights<'a> {
    file: &'a ModelConfig,
    checkpoint: &'a Checkpoint,
    source: Source<'a>,
    /// Whether activations are float32, as on a CPU.
    is_float32: bool,
    /// The lazy weights of the adapter, empty without one.
    adapter_arrays: HashMap<String, Array>,
    taken: BTreeSet<String>,
    adapter_taken: BTreeSet<String>,
    ignored: Vec<String>,
}

/// What a weight is, once its name and shape are known.
enum Source<'a> {
    /// Zeros in its place.
    Unread,
    /// Lazy, by name.
    Lazy(HashMap<String, Array>),
    /// Whatever shape is asked for.
    Random(&'a mut RandomWeights),
}

impl<'a> Weights<'a> {
    /// Compares weights with the headers, and gives zeros.
    pub(crate) fn unread(file: &'a ModelConfig, checkpoint: &'a Checkpoint) -> Self {
        Self {
            file,
            checkpoint,
            source: Source::Unread,
            is_float32: true,
            adapter_arrays: HashMap::new(),
            taken: BTreeSet::new(),
            adapter_taken: BTreeSet::new(),
            ignored: Vec::new(),
        }
    }

    /// Gives lazy weights, which must have been compared before. `placement` says where they will be used.
    pub(crate) fn open(
        file: &'a ModelConfig,
        checkpoint: &'a Checkpoint,
        placement: &Placement,
    ) -> Result<Self, LoadError> {
        let mut arrays = HashMap::new();
        for path in &checkpoint.shards {
            let shard = load(path)?;
            let half = shard.values().map(Array::dtype).find(|it| is_half(*it));
            for (name, array) in shard {
                // The kernels accept matrices in any type.
                let is_packed = placement.kernels.is_some() && array.ndim() > 1;
                let array =
                    if is_packed { array } else { in_compute_type(&name, array, half, placement.compute)? };
                arrays.insert(text_name(&name), array);
            }
        }
        let is_float32 = placement.compute == Compute::Cpu;
        let mut adapter_arrays = HashMap::new();
        if let Some(adapter) = &checkpoint.adapter {
            let half = arrays.values().map(Array::dtype).find(|it| is_half(*it));
            for (name, array) in load(&adapter.path)? {
                let array = in_compute_type(&name, array, half, placement.compute)?;
                adapter_arrays.insert(text_name(&name), array);
            }
        }
        Ok(Self {
            source: Source::Lazy(arrays),
            is_float32,
            adapter_arrays,
            ..Self::unread(file, checkpoint)
        })
    }

    /// Makes all weights up. `checkpoint` is empty.
    pub(crate) fn random(
        file: &'a ModelConfig,
        checkpoint: &'a Checkpoint,
        weights: &'a mut RandomWeights,
    ) -> Self {
        Self { source: Source::Random(weights), ..Self::unread(file, checkpoint) }
    }

    /// Whether there is a weight of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.checkpoint.get(name).is_some()
    }

    /// The shape of the weight of this name, if there is one.
    pub(crate) fn shape(&self, name: &str) -> Option<&[i32]> {
        self.checkpoint.get(name).map(|it| it.shape.as_slice())
    }

    /// Whether the output matrix is the embedding, which config.json may say in `tie_word_embeddings`.
    pub(crate) fn is_tied(&self, said: Option<bool>) -> Result<bool, LoadError> {
        if let Source::Random(_) = self.source {
            return Ok(said.unwrap_or(true));
        }
        self.checkpoint.is_tied(self.file, said)
    }

    /// Expects weights whose names start with `prefix`, which are not used.
    pub(crate) fn ignore(&mut self, prefix: &str) {
        self.ignored.push(prefix.to_owned());
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
        let bias = has_bias.then(|| self.vector(&format!("{name}.bias"), n_out)).transpose()?;
        let (matrix, low_rank) = self.adapted(name, matrix, [n_out, n_in])?;
        Ok(Linear { matrix, low_rank, bias })
    }

    /// Takes a matrix `[n_out, n_in]`, which is quantized if the checkpoint has scales for it.
    pub(crate) fn matrix(&mut self, name: &str, n_out: i32, n_in: i32) -> Result<Matrix, LoadError> {
        self.matrix_of(name, &[n_out, n_in])
    }

    /// Takes a matrix `[n_out, n_in]` as the numbers that it stands for, in the type of activations.
    pub(crate) fn dense(&mut self, name: &str, n_out: i32, n_in: i32) -> Result<Array, LoadError> {
        let matrix = self.matrix(name, n_out, n_in)?;
        if !matches!(self.source, Source::Lazy(_)) {
            return Ok(ops::zeros::<f32>(&[n_out, n_in])?);
        }
        let (matrix, low_rank) = self.adapted(name, matrix, [n_out, n_in])?;
        let numbers = matrix.dequantized()?;
        let numbers = match low_rank {
            Some(low_rank) => numbers.add(low_rank.product()?)?,
            None => numbers,
        };
        Ok(if self.is_float32 { numbers.as_dtype(Dtype::Float32)? } else { numbers })
    }

    /// Takes one layer for each of `n` experts: stacked under `name`, or else each under the name that `each` gives.
    pub(crate) fn stack(
        &mut self,
        name: &str,
        each: impl Fn(usize) -> Option<String>,
        [n, n_out, n_in]: [i32; 3],
        has_bias: bool,
    ) -> Result<Stack, LoadError> {
        let low_rank = self.low_rank(name, &[n], [n_out, n_in])?;
        let first = each(0).filter(|it| self.has(&format!("{it}.weight")));
        let Some(first) = first.filter(|_| !self.has(&format!("{name}.weight"))) else {
            let matrix = self.matrix_of(name, &[n, n_out, n_in])?;
            let bias = has_bias.then(|| self.array(&format!("{name}.bias"), &[n, n_out])).transpose()?;
            return Ok(Stack { matrix, low_rank, bias });
        };
        let layers = (0..usize::try_from(n).unwrap_or(0))
            .filter_map(each)
            .map(|name| self.linear(&name, n_out, n_in, has_bias))
            .collect::<Result<Vec<_>, _>>()?;
        let stack = Stack::of(&layers).map_err(|what| {
            self.file.unsupported(format!("experts of different {what} (`{first}`) are not supported"))
        })?;
        Ok(Stack { low_rank, ..stack })
    }

    /// Takes the RMS norm of rows of `n` numbers.
    pub(crate) fn norm(&mut self, name: &str, n: i32, eps: f32) -> Result<Norm, LoadError> {
        let weight = self.vector(&format!("{name}.weight"), n)?;
        Ok(Norm { kind: NormKind::Rms, weight, eps })
    }

    /// Takes an RMS norm whose weight is stored as its difference from 1.
    pub(crate) fn norm_around_1(&mut self, name: &str, n: i32, eps: f32) -> Result<Norm, LoadError> {
        let norm = self.norm(name, n, eps)?;
        let weight = norm.weight.add(Array::from_f32(1.0).as_dtype(norm.weight.dtype())?)?;
        Ok(Norm { weight, ..norm })
    }

    /// Takes a layer norm with a bias.
    pub(crate) fn layer_norm(&mut self, name: &str, n: i32, eps: f32) -> Result<Norm, LoadError> {
        let norm = self.norm(name, n, eps)?;
        let bias = self.vector(&format!("{name}.bias"), n)?;
        Ok(Norm { kind: NormKind::Layer { bias }, ..norm })
    }

    /// Takes `n` numbers.
    pub(crate) fn vector(&mut self, name: &str, n: i32) -> Result<Array, LoadError> {
        self.array(name, &[n])
    }

    /// Fails if the checkpoint has a weight that shows that config.json is not of this model: a bias of a layer that
    /// should have none, or one more layer than there should be. Other weights that are not used are reported.
    pub(crate) fn finish(self, n_layers: usize) -> Result<(), LoadError> {
        let is_ignored = |name: &str| {
            COMPUTABLE.iter().any(|it| name.ends_with(it))
                || OTHER_PARTS.iter().any(|it| name.strip_prefix("model.").unwrap_or(name).starts_with(it))
                || self.ignored.iter().any(|it| name.starts_with(it))
        };
        let mut unused: Vec<&str> =
            self.checkpoint.names().filter(|it| !self.taken.contains(*it) && !is_ignored(it)).collect();
        unused.sort_unstable();
        for name in &unused {
            let of_layer = name.strip_prefix("model.layers.").and_then(|it| it.split('.').next());
            let is_beyond = of_layer.and_then(|it| it.parse().ok()).is_some_and(|it: usize| it >= n_layers);
            let module = name.strip_suffix(".bias").map(|it| format!("{it}.weight"));
            if is_beyond || module.is_some_and(|it| self.taken.contains(&it)) {
                return Err(LoadError::UnexpectedWeight { name: (*name).to_owned() });
            }
        }
        if let Some(adapter) = &self.checkpoint.adapter
            && let Some(name) = adapter.tensors.keys().find(|it| !self.adapter_taken.contains(*it))
        {
            let message = format!("the model has no layer for its `{name}`");
            return Err(LoadError::Adapter { path: adapter.path.clone(), message });
        }
        if let Some(first) = unused.first() {
            tracing::warn!(n = unused.len(), first, "weights that the model does not use");
        }
        Ok(())
    }

    fn matrix_of(&mut self, name: &str, shape: &[i32]) -> Result<Matrix, LoadError> {
        if let Source::Random(weights) = &mut self.source {
            return Ok(weights.matrix(shape)?);
        }
        let weight_name = format!("{name}.weight");
        let scales_name = format!("{name}.scales");
        if let Some(matrix) = self.micro(name, [&weight_name, &scales_name], shape)? {
            return Ok(matrix);
        }
        match (self.checkpoint.get(&weight_name), self.checkpoint.get(&scales_name)) {
            (Some(weight), None) if is_float(weight.dtype) => {
                Ok(Matrix::Plain { weight: self.array(&weight_name, shape)? })
            }
            (Some(weight), Some(scales)) if weight.dtype == FileDtype::U32 && is_float(scales.dtype) => {
                let grouping = Grouping::of(&weight_name, shape, &weight.shape, &scales.shape)?;
                let scales_shape = scales.shape.clone();
                Ok(Matrix::Quantized {
                    weight: self.take(&weight_name)?,
                    scales: self.take(&scales_name)?,
                    biases: self.array(&format!("{name}.biases"), &scales_shape)?,
                    grouping,
                })
            }
            (weight, _) => Err(match (foreign::format(self.file, self.checkpoint, name), weight) {
                (Some((format, name)), _) => LoadError::ForeignQuantization { format, name },
                (None, Some(weight)) => weight.wrong_type(&weight_name, FLOATS),
                (None, None) => self.missing(&weight_name),
            }),
        }
    }

    /// The matrix if it consists of small floats.
    fn micro(
        &mut self,
        name: &str,
        [weight_name, scales_name]: [&str; 2],
        shape: &[i32],
    ) -> Result<Option<Matrix>, LoadError> {
        let tensors = (self.checkpoint.get(weight_name), self.checkpoint.get(scales_name));
        let (Some(weight), Some(scales)) = tensors else { return Ok(None) };
        let Some(format) = MicroFormat::of(shape, weight, scales) else { return Ok(None) };
        let global = format!("{name}.global_scale");
        if self.has(&global) {
            let message = "a scale of the whole matrix".to_owned();
            return Err(LoadError::UnsupportedQuantization { name: global, message });
        }
        let (weight, scales) = (self.take(weight_name)?, self.take(scales_name)?);
        Ok(Some(Matrix::Micro(Micro { format, weight, scales })))
    }

    /// Takes the matrices of `n` experts as OpenAI stores mxfp4: bytes in `_blocks` and exponents in `_scales`.
    pub(crate) fn mxfp4_blocks(
        &mut self,
        name: &str,
        [n, n_out, n_in]: [i32; 3],
        bias: &str,
    ) -> Result<Stack, LoadError> {
        let (blocks_name, scales_name) = (format!("{name}_blocks"), format!("{name}_scales"));
        let n_groups = n_in / 32;
        for (name, shape) in
            [(&blocks_name, &[n, n_out, n_groups, 16][..]), (&scales_name, &[n, n_out, n_groups])]
        {
            let tensor = self.checkpoint.get(name).ok_or_else(|| self.missing(name))?;
            if tensor.dtype != FileDtype::U8 {
                return Err(tensor.wrong_type(name, "U8"));
            }
            tensor.check_shape(name, shape)?;
        }
        let (blocks, scales) = (self.take(&blocks_name)?, self.take(&scales_name)?);
        let shape = [n, n_out, n_groups * 4];
        let weight = match self.source {
            Source::Lazy(_) => blocks.view_dtype(Dtype::Uint32)?.reshape(&shape)?,
            Source::Unread | Source::Random(_) => ops::zeros::<f32>(&shape)?,
        };
        let matrix = Matrix::Micro(Micro { format: MicroFormat::Mxfp4, weight, scales });
        Ok(Stack { matrix, low_rank: None, bias: Some(self.array(bias, &[n, n_out])?) })
    }

    /// Takes numbers that are not quantized.
    pub(crate) fn array(&mut self, name: &str, shape: &[i32]) -> Result<Array, LoadError> {
        if let Source::Random(weights) = &mut self.source {
            return Ok(weights.array(shape)?);
        }
        let tensor = self.checkpoint.get(name).ok_or_else(|| self.missing(name))?;
        if !is_float(tensor.dtype) {
            return Err(tensor.wrong_type(name, FLOATS));
        }
        tensor.check_shape(name, shape)?;
        self.take(name)
    }

    fn take(&mut self, name: &str) -> Result<Array, LoadError> {
        self.taken.insert(name.to_owned());
        let tensor = self.checkpoint.get(name).ok_or_else(|| self.missing(name))?;
        match &self.source {
            Source::Lazy(arrays) => arrays.get(name).cloned().ok_or_else(|| self.missing(name)),
            Source::Unread | Source::Random(_) => Ok(ops::zeros::<f32>(&tensor.shape)?),
        }
    }

    /// Quantization that is not known may keep the weight under another name.
    fn missing(&self, name: &str) -> LoadError {
        let name = name.to_owned();
        if let Some(format) = foreign::declared(self.file, &self.checkpoint.folder) {
            return LoadError::ForeignQuantization { format, name };
        }
        LoadError::MissingWeight { name, folder: self.checkpoint.folder.clone() }
    }
}

/// The lazy arrays of a file.
fn load(path: &Path) -> Result<HashMap<String, Array>, LoadError> {
    Array::load_safetensors(path)
        .map_err(|e| LoadError::Weights { path: path.to_owned(), message: file_message(&e) })
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

fn is_float(dtype: FileDtype) -> bool {
    matches!(dtype, FileDtype::F32 | FileDtype::F16 | FileDtype::BF16)
}
