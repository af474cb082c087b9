//! GGUF files, up to the folder that they become.

use std::fs;

use runabout_store::gguf::GgufFile;
use runabout_store::import_gguf;

#[path = "../../tests/support/tiny_gguf.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "it is a part of the tests")]
mod tiny_gguf;

pub(crate) fn run(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("model.gguf");
    fs::write(&path, data).expect("a file can be written");
    let Ok(file) = GgufFile::open(&path) else { return };
    for tensor in &file.tensors {
        let mut block = vec![0; tensor.ggml_type.block_bytes().min(data.len())];
        // What is described must be there.
        file.read(tensor, 0, &mut block).expect("the first block of a tensor can be read");
    }
    let out = folder.path().join("out");
    fs::create_dir(&out).expect("a folder can be made");
    let _ = import_gguf(&path, &out, &mut |_, _| {});
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![tiny_gguf::TinyGguf::new().bytes()]
}
