//! The Python wheel `runabout`: the client package, with the program as a script of the environment.
//!
//! The program is no script of Python's: it starts without an interpreter. MLX's library goes into the environment's
//! `lib/runabout`, where the program finds it from the environment's `bin`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{Datelike, Timelike};
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::release::VERSION;
use super::stage::Stage;

const CLIENT: &str = "protocol/clients/python";
const EXECUTABLE: u32 = 0o755;
const READABLE: u32 = 0o644;

/// A wheel that is being written, and its list of files.
struct Wheel {
    zip: ZipWriter<File>,
    time: DateTime,
    record: String,
}

pub(super) fn write(root: &Path, stage: &Stage, out: &Path) -> Result<PathBuf> {
    let (major, minor) = stage.glibc.0;
    let tag = format!("py3-none-manylinux_{major}_{minor}_{}", std::env::consts::ARCH);
    let path = out.join(format!("runabout-{VERSION}-{tag}.whl"));
    let file = File::create(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
    let mut wheel = Wheel { zip: ZipWriter::new(file), time: time(stage.epoch)?, record: String::new() };
    let package = root.join(CLIENT).join("src/runabout");
    let mut sources: Vec<_> = fs::read_dir(&package)?.flatten().map(|it| it.path()).collect();
    sources.sort();
    for source in sources.iter().filter(|it| it.is_file()) {
        let name = source.file_name().context("a file has a name")?.to_string_lossy();
        wheel.add(&format!("runabout/{name}"), &fs::read(source)?, READABLE)?;
    }
    let data = format!("runabout-{VERSION}.data");
    let info = format!("runabout-{VERSION}.dist-info");
    for file in stage.files()? {
        let content = fs::read(stage.folder.join(&file))?;
        let name = file.to_string_lossy();
        if let Some(program) = name.strip_prefix("bin/") {
            wheel.add(&format!("{data}/scripts/{program}"), &content, EXECUTABLE)?;
        } else if let Some(document) = name.strip_prefix("share/doc/runabout/") {
            wheel.add(&format!("{info}/licenses/{document}"), &content, READABLE)?;
        } else {
            wheel.add(&format!("{data}/data/{name}"), &content, READABLE)?;
        }
    }
    let readme = fs::read_to_string(root.join(CLIENT).join("README.md"))?;
    let metadata = format!(
        "Metadata-Version: 2.4\nName: runabout\nVersion: {VERSION}\n\
         Summary: A local language model for everyday coding errands, with a client for Python\n\
         License-Expression: MIT OR Apache-2.0\nLicense-File: LICENSE-MIT\nLicense-File: LICENSE-APACHE\n\
         Requires-Python: >=3.9\nClassifier: Typing :: Typed\nDescription-Content-Type: text/markdown\n\n{readme}"
    );
    wheel.add(&format!("{info}/METADATA"), metadata.as_bytes(), READABLE)?;
    let about =
        format!("Wheel-Version: 1.0\nGenerator: cargo xtask dist\nRoot-Is-Purelib: false\nTag: {tag}\n");
    wheel.add(&format!("{info}/WHEEL"), about.as_bytes(), READABLE)?;
    wheel.finish(&format!("{info}/RECORD"))?;
    Ok(path)
}

impl Wheel {
    fn add(&mut self, name: &str, content: &[u8], mode: u32) -> Result<()> {
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(content));
        let _ = writeln!(self.record, "{name},sha256={hash},{}", content.len());
        self.write(name, content, mode)
    }

    fn write(&mut self, name: &str, content: &[u8], mode: u32) -> Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(self.time)
            .unix_permissions(mode);
        self.zip.start_file(name, options)?;
        self.zip.write_all(content)?;
        Ok(())
    }

    fn finish(mut self, record: &str) -> Result<()> {
        let _ = writeln!(self.record, "{record},,");
        let content = std::mem::take(&mut self.record);
        self.write(record, content.as_bytes(), READABLE)?;
        self.zip.finish()?;
        Ok(())
    }
}

/// The time of all files, in UTC.
fn time(epoch: u64) -> Result<DateTime> {
    let time = i64::try_from(epoch).ok().and_then(|it| chrono::DateTime::from_timestamp(it, 0));
    let time = time.context("the time is no date")?;
    let small = |it: u32| u8::try_from(it).unwrap_or_default();
    DateTime::from_date_and_time(
        u16::try_from(time.year()).context("a zip archive has no such year")?,
        small(time.month()),
        small(time.day()),
        small(time.hour()),
        small(time.minute()),
        small(time.second()),
    )
    .context("a zip archive has no such date")
}
