//! Converts a GGUF file into a model folder in the layout of mlx-community: [`import_gguf`].
//!
//! mlx_lm and transformers can load the folder too: it has config.json, tokenizer.json, tokenizer_config.json,
//! generation_config.json and safetensors with MLX's affine quantization. Nothing is written until the whole file is
//! known to be convertible. Fetching and publishing folders is the store's job.

mod architecture;
mod blocks;
mod decimal;
mod family;
mod json_file;
mod keys;
mod rope;
#[cfg(test)]
mod tests;
mod tokenizer;
mod vocabulary;
mod weights;

use std::path::Path;

use crate::error::StoreError;
use crate::gguf::GgufFile;
use crate::manifest::FileRecord;

use architecture::Architecture;
use json_file::write_json;
use vocabulary::Vocabulary;
use weights::FloatType;

/// To be raised when the same file would be converted to different bytes. Folders of another version are imported
/// again.
pub const IMPORTER_VERSION: u32 = 1;

/// Converts `gguf` into files in `folder`, which must exist and be empty. `progress` gets the source bytes done and
/// their total.
pub fn import_gguf(
    gguf: &Path,
    folder: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<FileRecord>, StoreError> {
    let gguf = GgufFile::open(gguf)?;
    let architecture = Architecture::read(&gguf)?;
    let vocabulary = Vocabulary::read(&gguf, architecture.vocab_size)?;
    let tokenizer = tokenizer::tokenizer(&gguf, &vocabulary)?;
    let float = FloatType::of(&gguf);
    let sources = weights::plan(&gguf, &architecture, float)?;

    let total = gguf.tensors.iter().map(|it| (it.row_bytes() * it.n_rows) as u64).sum();
    let mut records = weights::write(&gguf, &sources, folder, &mut |done| progress(done, total))?;

    let bits: Vec<(String, usize)> =
        sources.iter().filter_map(|it| Some((it.module.clone(), it.bits?))).collect();
    let config = architecture.config(float.name(), vocabulary.bos, &vocabulary.ends, &bits);
    let tokenizer_config = tokenizer::tokenizer_config(&gguf.metadata, &vocabulary, architecture.context_len);
    records.push(write_json(folder, "config.json", &config)?);
    records.push(write_json(folder, "generation_config.json", &tokenizer::generation_config(&vocabulary))?);
    records.push(write_json(folder, "tokenizer.json", &tokenizer)?);
    records.push(write_json(folder, "tokenizer_config.json", &tokenizer_config)?);
    records.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(records)
}
