//! The npm package `runabout-linux-x64`, for plugins of editors that bring their program along.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::archive::pack;
use super::release::{VERSION, write_file};
use super::stage::Stage;

/// What `require` of the package returns: the path of the program.
const INDEX: &str = "module.exports = require(\"node:path\").join(__dirname, \"bin\", \"runabout\");\n";

pub(super) fn write(stage: &Stage, out: &Path) -> Result<PathBuf> {
    let cpu = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => bail!("npm has no name for `{other}`"),
    };
    let name = format!("runabout-linux-{cpu}");
    let parent = stage.folder.parent().context("the stage is in a folder")?;
    // npm's name for the folder in its archives.
    let package = parent.join("package");
    for file in stage.files()? {
        let to = package.join(&file);
        fs::create_dir_all(to.parent().context("a file is in a folder")?)?;
        // With its permissions.
        fs::copy(stage.folder.join(&file), to)?;
    }
    let manifest = json!({
        "name": name,
        "version": VERSION,
        "description": "The program runabout, a local language model for everyday coding errands",
        "license": "MIT OR Apache-2.0",
        "os": ["linux"],
        "cpu": [cpu],
        "libc": ["glibc"],
        "bin": {"runabout": "bin/runabout"},
        "main": "index.js",
        "files": ["bin", "lib", "share", "index.js"],
    });
    write_file(&package.join("package.json"), serde_json::to_string_pretty(&manifest)? + "\n")?;
    write_file(&package.join("index.js"), INDEX)?;
    let readme = format!(
        "# {name}\n\nThe program [runabout](share/doc/runabout/README.md) for Linux with glibc {} or later.\n\
         `require(\"{name}\")` is its path.\n",
        stage.glibc
    );
    write_file(&package.join("README.md"), readme)?;
    let path = out.join(format!("{name}-{VERSION}.tgz"));
    pack(&package, &path, stage.epoch)?;
    Ok(path)
}
