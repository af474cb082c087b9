//! Whatever is wrong with a file, opening it must not panic, allocate without a bound, or succeed.

#![allow(clippy::unwrap_used)]

use std::io::Write;

use proptest::prelude::*;

use super::sample::{Sample, texts};
use super::{GgmlType, GgufFile, Value};
use crate::error::StoreError;

fn open(bytes: &[u8]) -> Result<GgufFile, StoreError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    GgufFile::open(file.path())
}

fn refusal(bytes: &[u8]) -> String {
    open(bytes).unwrap_err().to_string()
}

#[test]
fn what_was_written_is_read() {
    let sample = Sample::model("llama");
    let gguf = open(&sample.bytes()).unwrap();
    assert_eq!(gguf.metadata.text("general.architecture"), Some("llama"));
    assert_eq!(gguf.metadata.count("llama.embedding_length"), Some(32));
    assert_eq!(gguf.metadata.flag("tokenizer.ggml.add_bos_token"), Some(false));
    assert_eq!(gguf.metadata.array("tokenizer.ggml.merges").unwrap().len(), 3);
    for (name, _, ggml_type, expected) in &sample.tensors {
        let tensor = gguf.tensor(name).unwrap();
        assert_eq!(tensor.ggml_type, *ggml_type);
        let mut bytes = vec![0; expected.len()];
        gguf.read(tensor, 0, &mut bytes).unwrap();
        assert_eq!(bytes, *expected);
    }
}

#[test]
fn every_cut_is_an_error() {
    let bytes = Sample::model("qwen2").bytes();
    for n_bytes in 0..bytes.len() {
        let err = open(&bytes[..n_bytes]).unwrap_err();
        assert!(matches!(err, StoreError::BadGguf { .. }), "cut at {n_bytes}: {err}");
    }
}

#[test]
fn each_kind_of_damage_has_its_own_message() {
    let good = Sample::model("llama");
    let spoil = |spoil: fn(&mut Sample)| {
        let mut sample = good.clone();
        spoil(&mut sample);
        refusal(&sample.bytes())
    };
    let patched = |at: usize, with: &[u8]| {
        let mut bytes = good.bytes();
        bytes[at..at + with.len()].copy_from_slice(with);
        refusal(&bytes)
    };
    for (got, expected) in [
        (patched(0, b"PK"), "does not begin with `GGUF`"),
        (patched(4, &1_u32.to_le_bytes()), "format version 1"),
        (patched(4, &3_u32.to_be_bytes()), "big-endian"),
        (patched(4, &9_u32.to_le_bytes()), "expected format version 2 or 3, got 9"),
        (patched(8, &u64::MAX.to_le_bytes()), "more than it has room for"),
        (patched(16, &u64::MAX.to_le_bytes()), "more than it has room for"),
        (spoil(|it| it.metadata.push(it.metadata[0].clone())), "`general.architecture` occurs twice"),
        (spoil(|it| it.tensors.push(it.tensors[0].clone())), "`token_embd.weight` occurs twice"),
        (spoil(|it| it.set("general.alignment", Value::Unsigned(24))), "power of two"),
        (spoil(|it| it.tensors[0].1 = vec![33, 11]), "whole blocks of 32"),
        (spoil(|it| it.tensors[0].1 = vec![]), "1 to 4 dimensions, got 0"),
        (spoil(|it| it.tensors[0].1 = vec![32, u64::MAX, 3]), "overflow"),
        (spoil(|it| it.tensors[0].1 = vec![32, 1 << 40]), "larger than the file"),
        (spoil(|it| it.tensors[0].1 = vec![32, 64]), "overlap"),
        (spoil(|it| it.tensors.last_mut().unwrap().1 = vec![64, 33]), "ends after the file's end"),
        (
            spoil(|it| {
                let nested = (0..6).fold(Value::Bool(true), |value, _| Value::Array(vec![value]));
                it.set("x", nested);
            }),
            "nests arrays too deeply",
        ),
    ] {
        assert!(got.contains(expected), "expected {expected:?} in: {got}");
        assert!(got.contains("\nhint: "), "{got}");
    }
}

#[test]
fn the_memory_for_a_header_is_bounded_even_in_a_large_file() {
    // A sparse file of a gigabyte, which takes no blocks on the disk.
    let roomy = |head: &[u8]| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(head).unwrap();
        file.as_file().set_len(1 << 30).unwrap();
        // Not `unwrap_err`, which would print the whole file.
        GgufFile::open(file.path()).err().unwrap().to_string()
    };
    let head = |n_tensors: u64, n_pairs: u64, rest: &[u8]| {
        let counts = [n_tensors.to_le_bytes(), n_pairs.to_le_bytes()].concat();
        [&b"GGUF\x03\0\0\0"[..], &counts, rest].concat()
    };
    let array = |kind: u32, n_items: u64| {
        [&1_u64.to_le_bytes()[..], b"x", &9_u32.to_le_bytes(), &kind.to_le_bytes(), &n_items.to_le_bytes()]
            .concat()
    };
    for (got, expected) in [
        (roomy(&head(1 << 20, 0, &[])), "it claims 1048576 tensors"),
        (roomy(&head(0, 1 << 60, &[])), "it claims 1152921504606846976 metadata pairs"),
        (roomy(&head(0, 1, &array(0, 1 << 29))), "`x` claims 536870912 items"),
        (roomy(&head(0, 1, &array(0, 1 << 23))), "its metadata holds more than 4194304 values"),
        (roomy(&head(0, 1, &array(9, 1 << 23))), "its metadata holds more than"),
        (roomy(&head(0, 1, &(1_u64 << 40).to_le_bytes())), "a metadata key claims 1099511627776 bytes"),
    ] {
        assert!(got.contains(expected), "expected {expected:?} in: {got}");
    }
}

#[test]
fn a_folder_and_a_pipe_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = GgufFile::open(folder.path()).unwrap_err().to_string();
    assert!(text.contains("it is not a regular file"), "{text}");
}

#[test]
fn a_tensor_type_that_cannot_be_imported_is_named() {
    let mut bytes = Sample::model("llama").bytes();
    let name = b"token_embd.weight";
    let at = bytes.windows(name.len()).position(|it| it == name).unwrap() + name.len() + 4 + 16;
    bytes[at..at + 4].copy_from_slice(&21_u32.to_le_bytes());
    let err = refusal(&bytes);
    assert!(
        err.contains("tensor type `IQ3_S` (in `token_embd.weight`)")
            && err.contains("hint: choose a file of"),
        "{err}"
    );
}

#[test]
fn a_file_that_shrinks_after_opening_is_an_error() {
    let sample = Sample::model("llama");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&sample.bytes()).unwrap();
    let gguf = GgufFile::open(file.path()).unwrap();
    file.as_file().set_len(100).unwrap();
    let tensor = gguf.tensor("token_embd.weight").unwrap();
    assert!(matches!(gguf.read(tensor, 0, &mut [0; 34]), Err(StoreError::Io { .. })));
}

proptest! {
    #[test]
    fn flipped_bytes_never_panic(at in 0_usize..2_000, with in any::<[u8; 8]>(), n in 1_usize..8) {
        let mut bytes = Sample::model("llama").bytes();
        let at = at % (bytes.len() - 8);
        bytes[at..at + n].copy_from_slice(&with[..n]);
        // If it still opens, all its tensors can be read.
        if let Ok(gguf) = open(&bytes) {
            for tensor in &gguf.tensors {
                let mut rows = vec![0; tensor.row_bytes() * tensor.n_rows];
                prop_assert!(gguf.read(tensor, 0, &mut rows).is_ok());
            }
        }
    }

    #[test]
    fn noise_after_the_magic_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(noise);
        let _ = open(&bytes);
    }

    #[test]
    fn any_metadata_survives(keys in proptest::collection::hash_set("[a-z.]{1,12}", 0..6), text in ".{0,20}", number in any::<u64>()) {
        let mut sample = Sample { metadata: Vec::new(), tensors: Vec::new() };
        for key in &keys {
            sample.set(key, Value::Array(vec![Value::Array(vec![Value::Unsigned(number)]), texts(&[&text])]));
        }
        sample.tensor("t", &[64, 3], GgmlType::Q4_0);
        // `general.alignment` would have to be a number.
        prop_assume!(!keys.contains("general.alignment"));
        let gguf = open(&sample.bytes()).unwrap();
        for (key, value) in &sample.metadata {
            prop_assert_eq!(gguf.metadata.value(key), Some(value));
        }
    }
}
