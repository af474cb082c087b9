//! Which glibc a program or library needs: [`needed_glibc`].

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A version of glibc.
pub(super) type Glibc = (u32, u32);

const PREFIX: &[u8] = b"GLIBC_";

/// The latest version of glibc of which the file needs a symbol. Such versions are named only where they are needed: in
/// the file's table of strings.
pub(super) fn needed_glibc(path: &Path) -> Result<Glibc> {
    let bytes = fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let latest = latest(&bytes);
    latest.with_context(|| format!("`{}` names no version of glibc", path.display()))
}

fn latest(bytes: &[u8]) -> Option<Glibc> {
    let starts = bytes.windows(PREFIX.len() + 1).enumerate();
    // A name begins after the end of the one before.
    let names = starts.filter(|(_, it)| it[0] == 0 && it[1..] == *PREFIX);
    names.filter_map(|(at, _)| version(&bytes[at + 1 + PREFIX.len()..])).max()
}

fn version(name: &[u8]) -> Option<Glibc> {
    let end = name.iter().position(|it| *it == 0)?;
    let text = std::str::from_utf8(&name[..end]).ok()?;
    let (major, rest) = text.split_once('.')?;
    let minor = rest.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_version_is_found_among_other_names() {
        let bytes = b"\0GLIBC_2.2.5\0GLIBCXX_3.4.30\0GLIBC_2.34\0GLIBC_PRIVATE\0not-GLIBC_2.99\0GLIBC_2.4\0";
        assert_eq!(latest(bytes), Some((2, 34)));
        assert_eq!(latest(b"\0libc.so.6\0"), None);
    }
}
