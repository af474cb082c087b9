//! Converts a GGUF file's tensors and writes them as safetensors, a few megabytes at a time: [`plan`], then [`write`].
//!
//! The plan is made before a byte is converted, so headers are written first and everything after them is appended and
//! hashed. Rows are converted on all cores; one thread writes. All matrices have the same float type (see
//! [`FloatType::of`]); vectors (norms and biases) that are f32 in the file stay f32.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZero;
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, TensorInfo as Header};
use serde_json::json;

use super::architecture::Architecture;
use super::blocks::{GROUP, NotFinite, affine_bits, repack_row};
use super::json_file::write_json;
use super::rope;
use crate::digest::HashingWriter;
use crate::error::{StoreError, io_error};
use crate::gguf::{GgmlType, GgufFile, TensorInfo};
use crate::manifest::FileRecord;

/// mlx_lm's limit for the size of one file.
const SHARD_BYTES: u64 = 5 << 30;
/// Each tensor begins at a multiple of this in its file: a cache line, which suits vector loads.
const ALIGNMENT: usize = 64;
/// The number of source bytes converted between two writes: enough for all cores, and little memory.
const CHUNK_BYTES: usize = 8 << 20;

/// The type of all numbers that are not quantized codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FloatType {
    F16,
    Bf16,
    F32,
}

impl FloatType {
    /// The type of matrices and scales: half precision if any tensor is quantized (because scales are) or in half
    /// precision, otherwise the type of the weights.
    pub(super) fn of(gguf: &GgufFile) -> Self {
        let any = |wanted: fn(GgmlType) -> bool| gguf.tensors.iter().any(|it| wanted(it.ggml_type));
        if any(|it| affine_bits(it).is_some() || it == GgmlType::F16) {
            Self::F16
        } else if any(|it| it == GgmlType::Bf16) {
            Self::Bf16
        } else {
            Self::F32
        }
    }

    /// The type's name in config.json.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::F32 => "float32",
        }
    }

    fn dtype(self) -> Dtype {
        match self {
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
            Self::F32 => Dtype::F32,
        }
    }

    fn n_bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
        }
    }
}

/// The conversion of one GGUF tensor into one safetensors tensor, or three if it is quantized.
pub(super) struct Conversion<'a> {
    tensor: &'a TensorInfo,
    /// The shape for the conversion, in which a permuted vector is a column.
    n_rows: usize,
    n_columns: usize,
    /// Set if llama.cpp interleaved the two halves of each head.
    head_dim: Option<usize>,
    float: FloatType,
    /// Subtracted from numbers that are not quantized.
    offset: f32,
    pub(super) module: String,
    /// The width of the codes; `None` if the tensor is not quantized.
    pub(super) bits: Option<usize>,
    outputs: Vec<(String, Dtype, Vec<usize>)>,
}

impl<'a> Conversion<'a> {
    fn new(
        tensor: &'a TensorInfo,
        module: String,
        name: String,
        permuted: Option<usize>,
        float: FloatType,
    ) -> Self {
        let is_vector = tensor.n_dims == 1;
        let (n_rows, n_columns) = match (is_vector, permuted) {
            (true, Some(_)) => (tensor.n_columns, 1),
            _ => (tensor.n_rows, tensor.n_columns),
        };
        let bits = affine_bits(tensor.ggml_type);
        // A norm in f32 makes activations f32, which are fast on a CPU: MLX computes half precision there one number at
        // a time, 30 times slower. A loader for a GPU converts these few numbers to half precision.
        let float = if is_vector && tensor.ggml_type == GgmlType::F32 { FloatType::F32 } else { float };
        let outputs = match bits {
            None => {
                let shape =
                    if is_vector { vec![tensor.n_columns] } else { vec![tensor.n_rows, tensor.n_columns] };
                vec![(name, float.dtype(), shape)]
            }
            Some(bits) => {
                let groups = vec![n_rows, n_columns / GROUP];
                vec![
                    (format!("{module}.weight"), Dtype::U32, vec![n_rows, n_columns / 32 * bits]),
                    (format!("{module}.scales"), Dtype::F16, groups.clone()),
                    (format!("{module}.biases"), Dtype::F16, groups),
                ]
            }
        };
        Self { tensor, n_rows, n_columns, head_dim: permuted, float, offset: 0.0, module, bits, outputs }
    }

    /// Makes the outputs stacks of `n` matrices.
    fn stack(&mut self, n: usize) {
        for (_, _, shape) in &mut self.outputs {
            if let Some(n_rows) = shape.first_mut() {
                *n_rows /= n;
            }
            shape.insert(0, n);
        }
    }

    fn output_bytes(&self) -> impl Iterator<Item = u64> {
        self.outputs
            .iter()
            .map(|(_, dtype, shape)| shape.iter().product::<usize>() as u64 * (dtype.bitsize() / 8) as u64)
    }

    fn row_bytes(&self) -> usize {
        self.tensor.row_bytes() * self.tensor.n_rows / self.n_rows
    }

    /// The row of the file that becomes row `row`. For its rope over neighbouring pairs, llama.cpp stores as row `2j +
    /// s` of a head what the checkpoint has as row `s * head_dim / 2 + j`.
    fn source_row(&self, row: usize) -> usize {
        match self.head_dim {
            None => row,
            Some(head_dim) => {
                let (head, i) = (row / head_dim, row % head_dim);
                let (half, j) = (i / (head_dim / 2), i % (head_dim / 2));
                head * head_dim + 2 * j + half
            }
        }
    }
}

/// The conversions of all tensors, in the order of writing.
pub(super) fn plan<'a>(
    gguf: &'a GgufFile,
    architecture: &Architecture,
    float: FloatType,
) -> Result<Vec<Conversion<'a>>, StoreError> {
    let mut conversions = Vec::new();
    for tensor in &gguf.tensors {
        // Its contents go to config.json.
        if tensor.name == rope::FREQS {
            continue;
        }
        let Some((module, kind)) = architecture.module_of(&tensor.name) else {
            return Err(gguf.unsupported(format!("the tensor `{}`", tensor.name), "choose another model"));
        };
        let is_matrix = kind == "weight" && tensor.n_dims > 1;
        if affine_bits(tensor.ggml_type).is_some() && !is_matrix {
            return Err(gguf.bad(format!("tensor `{}` is quantized and not a matrix", tensor.name)));
        }
        let permuted = architecture.is_permuted(tensor).then_some(architecture.head_dim);
        let name = if kind.is_empty() { module.clone() } else { format!("{module}.{kind}") };
        let mut conversion = Conversion::new(tensor, module, name, permuted, float);
        conversion.offset = architecture.offset(tensor);
        if let Some(n) = architecture.n_stacked(tensor) {
            conversion.stack(n);
        }
        conversions.push(conversion);
    }
    // Tensors after which the next one would not be aligned come last.
    conversions.sort_by_key(|it| it.output_bytes().any(|n_bytes| n_bytes % ALIGNMENT as u64 != 0));
    Ok(conversions)
}

/// Writes all weights into `folder`; `progress` gets the source bytes done.
pub(super) fn write(
    gguf: &GgufFile,
    conversions: &[Conversion<'_>],
    folder: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<FileRecord>, StoreError> {
    let shards = shards(conversions, SHARD_BYTES);
    let n_threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut records = Vec::new();
    let mut weight_map = serde_json::Map::new();
    let mut total_bytes = 0;
    let mut done = 0;
    for (idx, shard) in shards.iter().enumerate() {
        let name = match shards.len() {
            1 => "model.safetensors".to_owned(),
            n => format!("model-{:05}-of-{n:05}.safetensors", idx + 1),
        };
        let path = folder.join(&name);
        let file = File::create(&path).map_err(io_error("create", &path))?;
        let mut writer = HashingWriter::new(BufWriter::with_capacity(1 << 20, file));
        writer.write_all(&header(shard)?).map_err(io_error("write", &path))?;
        for conversion in *shard {
            convert(gguf, conversion, n_threads, &path, &mut writer, &mut |n_bytes| {
                done += n_bytes;
                progress(done);
            })?;
            total_bytes += conversion.output_bytes().sum::<u64>();
            weight_map
                .extend(conversion.outputs.iter().map(|(output, ..)| (output.clone(), name.clone().into())));
        }
        let (buffered, sha256, n_bytes) = writer.finish();
        let file = buffered.into_inner().map_err(|it| io_error("write", &path)(it.into_error()))?;
        file.sync_all().map_err(io_error("write", &path))?;
        records.push(FileRecord { name, n_bytes, sha256 });
    }
    if shards.len() > 1 {
        weight_map.sort_keys();
        let index = json!({ "metadata": { "total_size": total_bytes }, "weight_map": weight_map });
        records.push(write_json(folder, "model.safetensors.index.json", &index)?);
    }
    Ok(records)
}

/// Splits the list so that no file exceeds `limit`.
fn shards<'s, 'a>(conversions: &'s [Conversion<'a>], limit: u64) -> Vec<&'s [Conversion<'a>]> {
    let mut shards = Vec::new();
    let (mut start, mut n_bytes) = (0, 0);
    for (idx, conversion) in conversions.iter().enumerate() {
        let added: u64 = conversion.output_bytes().sum();
        if n_bytes + added > limit && idx > start {
            shards.push(&conversions[start..idx]);
            (start, n_bytes) = (idx, 0);
        }
        n_bytes += added;
    }
    shards.push(&conversions[start..]);
    shards
}

/// The header and its length, padded with blanks (which the format allows) so that the data is aligned.
fn header(shard: &[Conversion<'_>]) -> Result<Vec<u8>, StoreError> {
    let mut offset = 0;
    let mut tensors = Vec::new();
    for conversion in shard {
        for ((name, dtype, shape), n_bytes) in conversion.outputs.iter().zip(conversion.output_bytes()) {
            let end = offset + usize::try_from(n_bytes).map_err(|_| too_large())?;
            let info = Header { dtype: *dtype, shape: shape.clone(), data_offsets: (offset, end) };
            tensors.push((name.clone(), info));
            offset = end;
        }
    }
    let format = [("format".to_owned(), "mlx".to_owned())].into();
    let metadata = Metadata::new(Some(format), tensors).map_err(|err| StoreError::BadSafetensors {
        path: "model.safetensors".into(),
        reason: err.to_string(),
    })?;
    let mut json = serde_json::to_vec(&metadata).map_err(|err| StoreError::BadSafetensors {
        path: "model.safetensors".into(),
        reason: err.to_string(),
    })?;
    json.resize((8 + json.len()).next_multiple_of(ALIGNMENT) - 8, b' ');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut json);
    Ok(bytes)
}

fn too_large() -> StoreError {
    StoreError::BadSafetensors { path: "model.safetensors".into(), reason: "it is larger than memory".into() }
}

/// Converts and appends the outputs of one tensor.
fn convert(
    gguf: &GgufFile,
    conversion: &Conversion<'_>,
    n_threads: usize,
    path: &Path,
    writer: &mut impl Write,
    progress: &mut dyn FnMut(u64),
) -> Result<(), StoreError> {
    let row_bytes = conversion.row_bytes();
    // A chunk of a permuted tensor consists of whole heads.
    let unit = conversion.head_dim.unwrap_or(1);
    let chunk_rows = (CHUNK_BYTES / row_bytes).next_multiple_of(unit).max(unit);
    let main_row = match conversion.bits {
        Some(bits) => conversion.n_columns / 8 * bits,
        None => conversion.n_columns * conversion.float.n_bytes(),
    };
    let groups_row = conversion.bits.map_or(0, |_| conversion.n_columns / GROUP * 2);
    let mut raw = Vec::new();
    let mut main = Vec::new();
    // Scales and biases come after the codes in the file, so they are kept in memory: an eighth of a 4-bit matrix each.
    let mut scales = vec![0; groups_row * conversion.n_rows];
    let mut biases = vec![0; groups_row * conversion.n_rows];

    for first in (0..conversion.n_rows).step_by(chunk_rows) {
        let n_rows = chunk_rows.min(conversion.n_rows - first);
        raw.resize(n_rows * row_bytes, 0);
        gguf.read(conversion.tensor, first * row_bytes, &mut raw)?;
        main.resize(n_rows * main_row, 0);
        let groups = first * groups_row..(first + n_rows) * groups_row;
        let chunk = Chunk { conversion, raw: &raw, main_row, groups_row };
        chunk.convert(n_threads, &mut main, &mut scales[groups.clone()], &mut biases[groups]).map_err(
            |NotFinite| {
                gguf.bad(format!("tensor `{}` has numbers outside half precision", conversion.tensor.name))
            },
        )?;
        writer.write_all(&main).map_err(io_error("write", path))?;
        progress((n_rows * row_bytes) as u64);
    }
    writer.write_all(&scales).and_then(|()| writer.write_all(&biases)).map_err(io_error("write", path))
}

/// Rows in memory, which are shared out over threads.
struct Chunk<'c> {
    conversion: &'c Conversion<'c>,
    raw: &'c [u8],
    main_row: usize,
    groups_row: usize,
}

impl Chunk<'_> {
    fn convert(
        &self,
        n_threads: usize,
        main: &mut [u8],
        scales: &mut [u8],
        biases: &mut [u8],
    ) -> Result<(), NotFinite> {
        let n_rows = main.len() / self.main_row;
        let share = n_rows.div_ceil(n_threads);
        std::thread::scope(|scope| {
            let (mut scales, mut biases) = (scales, biases);
            let mut workers = Vec::new();
            for (idx, main) in main.chunks_mut(share * self.main_row).enumerate() {
                let n_group_bytes = main.len() / self.main_row * self.groups_row;
                let (scales_share, biases_share);
                (scales_share, scales) = scales.split_at_mut(n_group_bytes);
                (biases_share, biases) = biases.split_at_mut(n_group_bytes);
                workers.push(scope.spawn(move || self.rows(idx * share, main, scales_share, biases_share)));
            }
            workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Err(NotFinite)))
        })
    }

    fn rows(
        &self,
        first: usize,
        main: &mut [u8],
        scales: &mut [u8],
        biases: &mut [u8],
    ) -> Result<(), NotFinite> {
        let row_bytes = self.conversion.row_bytes();
        for (idx, main) in main.chunks_exact_mut(self.main_row).enumerate() {
            let row = self.conversion.source_row(first + idx);
            let raw = &self.raw[row * row_bytes..][..row_bytes];
            if self.conversion.bits.is_some() {
                let groups = idx * self.groups_row..(idx + 1) * self.groups_row;
                let ggml_type = self.conversion.tensor.ggml_type;
                repack_row(ggml_type, raw, main, &mut scales[groups.clone()], &mut biases[groups])?;
            } else {
                let Conversion { float, offset, .. } = *self.conversion;
                convert_floats(self.conversion.tensor.ggml_type, raw, float, offset, main)?;
            }
        }
        Ok(())
    }
}

/// Converts between float types. A finite number that would become infinite is an error; others are rounded.
fn convert_floats(
    from: GgmlType,
    raw: &[u8],
    to: FloatType,
    offset: f32,
    out: &mut [u8],
) -> Result<(), NotFinite> {
    let is_same = matches!(
        (from, to),
        (GgmlType::F16, FloatType::F16) | (GgmlType::Bf16, FloatType::Bf16) | (GgmlType::F32, FloatType::F32)
    );
    if is_same && offset.to_bits() == 0 {
        out.copy_from_slice(raw);
        return Ok(());
    }
    let value = |idx: usize| match from {
        GgmlType::F16 => f16::from_le_bytes([raw[2 * idx], raw[2 * idx + 1]]).to_f32(),
        GgmlType::Bf16 => bf16::from_le_bytes([raw[2 * idx], raw[2 * idx + 1]]).to_f32(),
        _ => f32::from_le_bytes([raw[4 * idx], raw[4 * idx + 1], raw[4 * idx + 2], raw[4 * idx + 3]]),
    };
    for (idx, out) in out.chunks_exact_mut(to.n_bytes()).enumerate() {
        let value = value(idx) - offset;
        let is_finite = match to {
            FloatType::F16 => {
                out.copy_from_slice(&f16::from_f32(value).to_le_bytes());
                f16::from_f32(value).is_finite()
            }
            FloatType::Bf16 => {
                out.copy_from_slice(&bf16::from_f32(value).to_le_bytes());
                bf16::from_f32(value).is_finite()
            }
            FloatType::F32 => {
                out.copy_from_slice(&value.to_le_bytes());
                value.is_finite()
            }
        };
        if !is_finite {
            return Err(NotFinite);
        }
    }
    Ok(())
}
