//! The GGUF header: magic, counts, metadata, tensor directory (format versions 2 and 3, little-endian).
//!
//! [`HeaderReader`] does all the reading. It tracks how many bytes are left and how many values it has made, so a wrong
//! count fails before it costs memory. The layout is described in ggml's `docs/gguf.md`.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::tensor::{GgmlType, TensorInfo};
use super::value::{Metadata, Value};
use crate::error::StoreError;

/// The bytes `GGUF`.
const MAGIC: [u8; 4] = *b"GGUF";
/// The limit for the number of metadata values. The largest vocabularies need about a million (tokens, types, scores,
/// merges). A value can be one byte in the file, and takes 32 bytes of memory besides its text.
const MAX_VALUES: usize = 1 << 22;
/// The limit for everything before the tensors' bytes, and so for all texts. The largest known headers have 20 million
/// bytes.
const MAX_HEADER_BYTES: u64 = 1 << 27;
/// The largest models have a few thousand tensors.
const MAX_TENSORS: u64 = 1 << 16;
/// The limit for keys and tensor names. The format allows 65,535 and 64 bytes.
const MAX_NAME_BYTES: u64 = 65_535;
/// The longest texts known, chat templates, have tens of thousands of bytes.
const MAX_TEXT_BYTES: u64 = 1 << 24;
/// Arrays three levels deep do not occur in practice. Without a limit, nesting could overflow the stack.
const MAX_DEPTH: usize = 4;
/// The alignment if `general.alignment` is absent.
const DEFAULT_ALIGNMENT: u64 = 32;
/// The limit of ggml.
const MAX_DIMS: u32 = 4;

/// Reads the header of a file of `n_bytes`. Every tensor must lie inside the file, and no two may overlap.
pub(super) fn read(
    file: &File,
    n_bytes: u64,
    path: &Path,
) -> Result<(Metadata, Vec<TensorInfo>), StoreError> {
    let reader =
        HeaderReader { reader: BufReader::with_capacity(1 << 20, file), n_bytes, position: 0, n_values: 0 };
    reader.header().map_err(|failure| match failure {
        Failure::Bad(reason) => StoreError::BadGguf { path: path.to_owned(), reason },
        Failure::Unsupported(what, hint) => StoreError::UnsupportedGguf { path: path.to_owned(), what, hint },
        Failure::Io(source) => StoreError::Io { action: "read", path: path.to_owned(), source },
    })
}

enum Failure {
    Bad(String),
    Unsupported(String, &'static str),
    Io(std::io::Error),
}

fn bad<T>(reason: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Bad(reason.into()))
}

struct HeaderReader<R> {
    reader: R,
    n_bytes: u64,
    position: u64,
    n_values: usize,
}

impl<R: Read> HeaderReader<R> {
    fn header(mut self) -> Result<(Metadata, Vec<TensorInfo>), Failure> {
        if self.n_bytes < 4 || self.bytes::<4>()? != MAGIC {
            return bad("it does not begin with `GGUF`");
        }
        let version = self.u32()?;
        match version {
            2 | 3 => {}
            1 => {
                return Err(Failure::Unsupported(
                    "format version 1".into(),
                    "convert the file with a current llama.cpp",
                ));
            }
            _ if matches!(version.swap_bytes(), 1..=3) => {
                return Err(Failure::Unsupported(
                    "big-endian numbers".into(),
                    "fetch the little-endian file",
                ));
            }
            _ => return bad(format!("expected format version 2 or 3, got {version}")),
        }
        let n_tensors = self.u64()?;
        let n_pairs = self.u64()?;
        // A directory entry takes at least 24 bytes, a metadata pair at least 13.
        if n_tensors > MAX_TENSORS.min(self.left() / 24) {
            return bad(format!("it claims {n_tensors} tensors, more than it has room for"));
        }
        if n_pairs > self.left() / 13 {
            return bad(format!("it claims {n_pairs} metadata pairs, more than it has room for"));
        }

        let mut metadata = Metadata::default();
        for _ in 0..n_pairs {
            let key = self.text(MAX_NAME_BYTES, "a metadata key")?;
            let kind = self.u32()?;
            let value = self.value(kind, &key, 0)?;
            if !metadata.insert(key.clone(), value) {
                return bad(format!("metadata key `{key}` occurs twice"));
            }
        }

        let mut tensors = Vec::new();
        let mut names = HashSet::new();
        for _ in 0..n_tensors {
            let tensor = self.tensor()?;
            if !names.insert(tensor.name.clone()) {
                return bad(format!("tensor `{}` occurs twice", tensor.name));
            }
            tensors.push(tensor);
        }
        self.resolve_offsets(&metadata, &mut tensors)?;
        Ok((metadata, tensors))
    }

    fn tensor(&mut self) -> Result<TensorInfo, Failure> {
        let name = self.text(MAX_NAME_BYTES, "a tensor name")?;
        let n_dims = self.u32()?;
        if n_dims == 0 || n_dims > MAX_DIMS {
            return bad(format!("tensor `{name}` must have 1 to {MAX_DIMS} dimensions, got {n_dims}"));
        }
        let n_columns = self.u64()?;
        let mut n_rows = 1_u64;
        for _ in 1..n_dims {
            let dim = self.u64()?;
            n_rows = match n_rows.checked_mul(dim) {
                Some(it) => it,
                None => return bad(format!("the dimensions of tensor `{name}` overflow")),
            };
        }
        let code = self.u32()?;
        let offset = self.u64()?;
        let ggml_type = GgmlType::from_code(code).map_err(|kind| {
            Failure::Unsupported(
                format!("tensor type {kind} (in `{name}`)"),
                "choose a file of another type, such as Q4_K_M, Q6_K or Q8_0",
            )
        })?;
        let block_len = ggml_type.block_len() as u64;
        if n_columns == 0 || n_rows == 0 || n_columns % block_len != 0 {
            return bad(format!(
                "the rows of tensor `{name}` must be whole blocks of {block_len}, got {n_rows} x {n_columns}"
            ));
        }
        let fits = (n_columns / block_len)
            .checked_mul(ggml_type.block_bytes() as u64)
            .and_then(|row_bytes| row_bytes.checked_mul(n_rows))
            .is_some_and(|it| it <= self.n_bytes);
        let (Ok(n_columns), Ok(n_rows), true) = (usize::try_from(n_columns), usize::try_from(n_rows), fits)
        else {
            return bad(format!("tensor `{name}` ({n_rows} x {n_columns}) is larger than the file"));
        };
        Ok(TensorInfo { name, ggml_type, n_columns, n_rows, n_dims: n_dims as usize, offset })
    }

    /// Turns the directory's offsets into offsets from the start of the file.
    fn resolve_offsets(&self, metadata: &Metadata, tensors: &mut [TensorInfo]) -> Result<(), Failure> {
        let alignment = match metadata.value("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(value) => match value.as_count().map(|it| it as u64) {
                Some(it) if it.is_power_of_two() && it <= 1 << 20 => it,
                _ => return bad("`general.alignment` must be a power of two"),
            },
        };
        let data_start = self.position.next_multiple_of(alignment);
        let mut extents = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let n_bytes = tensor.row_bytes() as u64 * tensor.n_rows as u64;
            if tensor.offset % alignment != 0 {
                return bad(format!("tensor `{}` does not begin at a multiple of {alignment}", tensor.name));
            }
            let start = data_start.checked_add(tensor.offset);
            match start.and_then(|start| start.checked_add(n_bytes)) {
                Some(end) if end <= self.n_bytes => extents.push((end - n_bytes, end)),
                _ => {
                    return bad(format!(
                        "tensor `{}` ends after the file's end at {} bytes",
                        tensor.name, self.n_bytes
                    ));
                }
            }
            tensor.offset += data_start;
        }
        extents.sort_unstable();
        if extents.windows(2).any(|pair| matches!(pair, [(_, end), (start, _)] if end > start)) {
            return bad("two tensors overlap");
        }
        Ok(())
    }

    fn value(&mut self, kind: u32, key: &str, depth: usize) -> Result<Value, Failure> {
        self.n_values += 1;
        if self.n_values > MAX_VALUES {
            return bad(format!("its metadata holds more than {MAX_VALUES} values"));
        }
        Ok(match kind {
            0 => Value::Unsigned(u64::from(u8::from_le_bytes(self.bytes()?))),
            1 => Value::Signed(i64::from(i8::from_le_bytes(self.bytes()?))),
            2 => Value::Unsigned(u64::from(u16::from_le_bytes(self.bytes()?))),
            3 => Value::Signed(i64::from(i16::from_le_bytes(self.bytes()?))),
            4 => Value::Unsigned(u64::from(self.u32()?)),
            5 => Value::Signed(i64::from(i32::from_le_bytes(self.bytes()?))),
            6 => Value::Float(f64::from(f32::from_le_bytes(self.bytes()?))),
            7 => match self.bytes::<1>()? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [other] => return bad(format!("`{key}` must be 0 or 1, got {other}")),
            },
            8 => Value::Text(self.text(MAX_TEXT_BYTES, key)?),
            9 => {
                if depth == MAX_DEPTH {
                    return bad(format!("`{key}` nests arrays too deeply"));
                }
                let item_kind = self.u32()?;
                let n_items = self.u64()?;
                // An item takes at least one byte.
                if n_items > self.left() {
                    return bad(format!("`{key}` claims {n_items} items, more than the file has room for"));
                }
                let mut items = Vec::new();
                for _ in 0..n_items {
                    items.push(self.value(item_kind, key, depth + 1)?);
                }
                Value::Array(items)
            }
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.bytes()?)),
            12 => Value::Float(f64::from_le_bytes(self.bytes()?)),
            other => return bad(format!("`{key}` has the unknown value type {other}")),
        })
    }

    fn text(&mut self, limit: u64, what: &str) -> Result<String, Failure> {
        let n_bytes = self.u64()?;
        if n_bytes > limit.min(self.left()) {
            return bad(format!("{what} claims {n_bytes} bytes, more than it may have"));
        }
        let mut bytes = Vec::new();
        self.reader.by_ref().take(n_bytes).read_to_end(&mut bytes).map_err(Failure::Io)?;
        if bytes.len() as u64 != n_bytes {
            return bad("it ends within its header");
        }
        self.position += n_bytes;
        String::from_utf8(bytes).or_else(|_| bad(format!("{what} is not UTF-8")))
    }

    fn u32(&mut self) -> Result<u32, Failure> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, Failure> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        if self.left() < N as u64 {
            return bad(self.cut());
        }
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(Failure::Io)?;
        self.position += N as u64;
        Ok(bytes)
    }

    /// Explains why there is nothing left to read.
    fn cut(&self) -> String {
        if self.n_bytes > MAX_HEADER_BYTES {
            format!("its header has more than {MAX_HEADER_BYTES} bytes")
        } else {
            "it ends within its header".to_owned()
        }
    }

    /// The number of bytes that the header may still take.
    fn left(&self) -> u64 {
        self.n_bytes.min(MAX_HEADER_BYTES).saturating_sub(self.position)
    }
}
