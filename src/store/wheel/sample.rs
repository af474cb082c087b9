//! Wheels for tests, and a pip that finds packages in one folder only.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::Pip;

/// Writes `name-version-py3-none-any.whl` with these members, in a form that pip accepts.
pub(crate) fn wheel(folder: &Path, name: &str, version: &str, members: &[(&str, &[u8])]) -> PathBuf {
    let stem = format!("{}-{version}", name.replace('-', "_"));
    let path = folder.join(format!("{stem}-py3-none-any.whl"));
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
    let tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    let info = [("METADATA", metadata.as_str()), ("WHEEL", tags), ("RECORD", "")];
    let info = info.map(|(file, text)| (format!("{stem}.dist-info/{file}"), text.as_bytes().to_vec()));
    let members = members.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()));
    for (name, bytes) in members.chain(info) {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap();
    path
}

/// A pip that only looks in `folder`: a script that sets pip's option and then runs Python.
pub(crate) fn pip_for(folder: &Path) -> Pip {
    use std::os::unix::fs::PermissionsExt;
    let python = folder.join("python-for-tests");
    let script = format!("#!/bin/sh\nPIP_FIND_LINKS='{}' exec python3 \"$@\"\n", folder.display());
    std::fs::write(&python, script).unwrap();
    std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
    Pip { python: python.into(), offline: true }
}
