//! SHA-256 of files and streams: [`HashingWriter`], [`sha256_file`].
//!
//! Hashes are lower-case hexadecimal text, the only form that is stored or compared.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{StoreError, io_error};

/// The bytes read between two progress reports.
const CHUNK_BYTES: usize = 1 << 20;

/// Passes bytes on to `inner`, and hashes and counts them.
pub(crate) struct HashingWriter<W> {
    inner: W,
    hasher: Sha256,
    n_bytes: u64,
}

impl<W: Write> HashingWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), n_bytes: 0 }
    }

    /// The number of bytes written so far.
    #[cfg(feature = "hub")]
    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// The hash of the bytes written so far.
    #[cfg(feature = "hub")]
    pub(crate) fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }

    /// The inner writer, and the hash and number of the bytes written to it.
    pub(crate) fn finish(self) -> (W, String, u64) {
        (self.inner, hex(&self.hasher.finalize()), self.n_bytes)
    }
}

#[cfg(feature = "hub")]
impl HashingWriter<File> {
    /// Opens a file for appending, creating it if it is missing. What it already contains is hashed first.
    pub(crate) fn reopen(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).append(true).create(true).open(path)?;
        let mut this = HashingWriter { inner: io::sink(), hasher: Sha256::new(), n_bytes: 0 };
        io::copy(&mut io::BufReader::with_capacity(CHUNK_BYTES, &file), &mut this)?;
        Ok(Self { inner: file, hasher: this.hasher, n_bytes: this.n_bytes })
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n_bytes = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..n_bytes]);
        self.n_bytes += n_bytes as u64;
        Ok(n_bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The hash and length of a file. `progress` is called with the number of bytes done.
pub(crate) fn sha256_file(path: &Path, progress: &mut dyn FnMut(u64)) -> Result<(String, u64), StoreError> {
    let mut file = File::open(path).map_err(io_error("open", path))?;
    let mut writer = HashingWriter::new(io::sink());
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let n_bytes = file.read(&mut chunk).map_err(io_error("read", path))?;
        if n_bytes == 0 {
            break;
        }
        writer.write_all(&chunk[..n_bytes]).map_err(io_error("read", path))?;
        progress(writer.n_bytes);
    }
    let (_, sha256, n_bytes) = writer.finish();
    Ok((sha256, n_bytes))
}

pub(crate) fn sha256_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut res, byte| {
        // Writing to a string cannot fail.
        let _ = write!(res, "{byte:02x}");
        res
    })
}
