//! Reads one whole text file: [`Snapshot`].

use std::fs::File;
use std::io::Read;
use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::error::Problem;
use crate::guards::check_text;
use crate::path::FilePath;
use crate::root::check_regular;

/// How files are read: a FIFO that was swapped in must not block, nor a terminal become ours.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// The SHA-256 of a file's bytes.
pub(crate) type Hash = [u8; 32];

/// A text file as it was when it was read. A [`Change`](crate::Change) made of it applies to no other content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub path: FilePath,
    /// All of it, byte for byte: line ends and a byte order mark are kept.
    pub text: String,
    pub(crate) hash: Hash,
    /// When the file was last changed, in nanoseconds since 1970.
    pub modified_ns: i128,
    /// The permissions, as in `chmod`.
    pub mode: u32,
}

impl Snapshot {
    /// The SHA-256 of the text, in hexadecimal.
    pub fn hash_hex(&self) -> String {
        self.hash.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    }

    pub(crate) fn new(path: FilePath, text: String, stat: &Stat) -> Self {
        Self {
            hash: hash(text.as_bytes()),
            path,
            text,
            modified_ns: modified_ns(stat),
            mode: permissions(stat),
        }
    }
}

pub(crate) fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// The bits of `chmod`.
// The type of `st_mode` differs between platforms.
#[allow(clippy::useless_conversion)]
pub(crate) fn permissions(stat: &Stat) -> u32 {
    u32::from(stat.st_mode) & 0o7777
}

// The types of these fields differ between platforms.
#[allow(clippy::useless_conversion)]
fn modified_ns(stat: &Stat) -> i128 {
    i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec)
}

/// Reads the bytes of a regular file of at most `limit_bytes`. `expected` is what was seen under its name; a special
/// file is refused by that, without being opened.
pub(crate) fn read_bytes(
    directory: BorrowedFd<'_>,
    name: &str,
    expected: &Stat,
    limit_bytes: u64,
) -> Result<(Vec<u8>, Stat), Problem> {
    check_regular(expected)?;
    let file = openat(directory, name, FILE, Mode::empty()).map_err(|errno| match errno {
        // Swapped since: for a link, a socket, or nothing.
        Errno::LOOP | Errno::MLINK | Errno::NXIO | Errno::NOENT => Problem::Changed,
        other => other.into(),
    })?;
    let stat = fstat(&file)?;
    check_regular(&stat)?;
    let n_bytes = u64::try_from(stat.st_size).unwrap_or(0);
    if n_bytes > limit_bytes {
        return Err(Problem::TooLarge { n_bytes, limit_bytes });
    }
    let mut bytes = Vec::new();
    // It may grow meanwhile, and files of `/proc` have no size.
    File::from(file).take(limit_bytes + 1).read_to_end(&mut bytes)?;
    let n_bytes = bytes.len() as u64;
    if n_bytes > limit_bytes {
        return Err(Problem::TooLarge { n_bytes, limit_bytes });
    }
    Ok((bytes, stat))
}

/// The bytes as text, unless they are binary or a private key.
pub(crate) fn into_text(bytes: Vec<u8>, allow_secrets: bool) -> Result<String, Problem> {
    if bytes.contains(&0) {
        return Err(Problem::Binary);
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| Problem::NotUtf8 { at: error.utf8_error().valid_up_to() })?;
    check_text(&text, allow_secrets)?;
    Ok(text)
}
