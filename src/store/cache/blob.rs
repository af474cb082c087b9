//! The hash in a blob's name: [`BlobHash`].
//!
//! The hub calls a large file by its SHA-256, and a small one by what git calls it, a SHA-1 of its length and its bytes.
//! So every blob can be checked without asking anybody.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1::{Digest, Sha1};

use crate::digest::{hex, sha256_file};
use crate::error::{StoreError, io_error};

const CHUNK_BYTES: usize = 1 << 20;

/// A hash that a file must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BlobHash {
    Sha256(String),
    /// The name of the file's bytes in git.
    Git(String),
}

impl BlobHash {
    /// The hash that a blob's name is; `None` if it is something else, as on some mirrors.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let is_hash = name.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
        match name.len() {
            64 if is_hash => Some(Self::Sha256(name.to_owned())),
            40 if is_hash => Some(Self::Git(name.to_owned())),
            _ => None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Sha256(name) | Self::Git(name) => name,
        }
    }

    /// Fails unless the file has this hash; `what` names it in the error.
    pub(crate) fn check(
        &self,
        path: &Path,
        what: &str,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), StoreError> {
        let got = match self {
            Self::Sha256(_) => sha256_file(path, progress)?.0,
            Self::Git(_) => git_hash(path).map_err(io_error("read", path))?,
        };
        if got == self.name() {
            return Ok(());
        }
        Err(StoreError::HashMismatch { what: what.to_owned(), expected: self.name().to_owned(), got })
    }
}

/// What git calls the bytes of a file.
fn git_hash(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha1::new_with_prefix(format!("blob {}\0", file.metadata()?.len()));
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&hasher.finalize())),
            n_bytes => hasher.update(&chunk[..n_bytes]),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_small_file_is_called_as_git_calls_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello\n").unwrap();
        // `git hash-object`.
        let hash = BlobHash::of_name("ce013625030ba8dba906f756967f9e9ca394464a").unwrap();
        hash.check(file.path(), "hello", &mut |_| {}).unwrap();
        std::fs::write(file.path(), "hello").unwrap();
        let err = hash.check(file.path(), "hello", &mut |_| {}).unwrap_err();
        assert!(matches!(err, StoreError::HashMismatch { .. }), "{err}");
        assert_eq!(BlobHash::of_name("W-something"), None);
        assert_eq!(BlobHash::of_name("../../etc/passwd"), None);
    }
}
