//! The source files from which holes are cut: packages from registries, pinned by version and hash.
//!
//! They are fetched once into target/bench/corpus, by the registries' own clients with this machine's configuration.
//! Nothing of a package is built, installed or run.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::super::archives::{self, Archive};
use crate::cargo::cargo;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registry {
    Crates,
    Npm,
    Pypi,
}

/// A package, and the files of it that are used.
struct Package {
    registry: Registry,
    name: &'static str,
    version: &'static str,
    /// The SHA-256 of the archive.
    sha256: &'static str,
    /// Files under these folders, with this extension.
    folders: &'static [&'static str],
    extension: &'static str,
    /// Files to leave out, because they are data.
    without: &'static [&'static str],
    language: &'static str,
    /// The extension of further files, which belong to the project but have no holes.
    also: &'static str,
}

const PACKAGES: [Package; 8] = [
    Package {
        registry: Registry::Crates,
        name: "humantime",
        version: "2.2.0",
        sha256: "9b112acc8b3adf4b107a8ec20977da0273a8c386765a3ec0229bd500a1443f9f",
        folders: &["src/"],
        extension: ".rs",
        without: &[],
        language: "rust",
        also: "",
    },
    Package {
        registry: Registry::Crates,
        name: "semver",
        version: "1.0.26",
        sha256: "56e6fa9c48d24d85fb3de5ad847117517440f6beceb7798af16b4a87d616b8d0",
        folders: &["src/"],
        extension: ".rs",
        without: &[],
        language: "rust",
        also: "",
    },
    Package {
        registry: Registry::Crates,
        name: "lz4-sys",
        version: "1.11.1+lz4-1.10.0",
        sha256: "6bd8c0d6c6ed0cd30b3652886bb8711dc4bb01d637a68105a3d5158039b418e6",
        folders: &["liblz4/lib/", "liblz4/programs/"],
        extension: ".c",
        without: &[],
        language: "c",
        also: ".h",
    },
    Package {
        registry: Registry::Pypi,
        name: "packaging",
        version: "24.2",
        sha256: "09abb1bccd265c01f4a3aa3f7a7db064b36514d2cba19a2f694fe6150451a759",
        folders: &["packaging/"],
        extension: ".py",
        without: &["packaging/licenses/_spdx.py"],
        language: "python",
        also: "",
    },
    Package {
        registry: Registry::Pypi,
        name: "click",
        version: "8.1.8",
        sha256: "63c132bbbed01578a06712a2d1f497bb62d9c1c0d329b7903a866228027263b2",
        folders: &["click/"],
        extension: ".py",
        without: &[],
        language: "python",
        also: "",
    },
    Package {
        registry: Registry::Npm,
        name: "commander",
        version: "13.1.0",
        sha256: "d5703ba285336d6d6d86fecf7a9f064e248879497d98ccc98ca849a62e34822a",
        folders: &["package/lib/"],
        extension: ".js",
        without: &[],
        language: "javascript",
        also: "",
    },
    Package {
        registry: Registry::Npm,
        name: "yargs-parser",
        version: "21.1.1",
        sha256: "342b7d527d4a72265b64f27711517349c3c05ee302ab3b8c7452f0bfbe709151",
        folders: &["package/build/lib/"],
        extension: ".js",
        without: &[],
        language: "javascript",
        also: "",
    },
    Package {
        registry: Registry::Npm,
        name: "immer",
        version: "10.1.1",
        sha256: "946cc79684ad1e080b09d4f2da14247b272aa667f3aaa100f35846148689f08f",
        folders: &["package/src/"],
        extension: ".ts",
        without: &[],
        language: "typescript",
        also: "",
    },
];

/// A source file of a package.
#[derive(Clone, Debug)]
pub(in crate::bench) struct SourceFile {
    pub(in crate::bench) package: &'static str,
    pub(super) language: &'static str,
    /// The path within the package.
    pub(in crate::bench) path: String,
    pub(in crate::bench) text: String,
    /// Whether holes may be cut in it.
    pub(super) has_holes: bool,
}

/// All files, in an order that does not depend on the machine.
pub(in crate::bench) fn sources(folder: &Path) -> Result<Vec<SourceFile>> {
    let folder = folder.join("corpus");
    fs::create_dir_all(&folder)?;
    let crates = fetch_crates(&folder)?;
    let mut sources = Vec::new();
    for package in &PACKAGES {
        let fetched = match package.registry {
            Registry::Crates => read_crate(package, &crates),
            Registry::Npm => read_npm(package, &folder),
            Registry::Pypi => read_wheel(package, &folder),
        };
        let mut fetched =
            fetched.with_context(|| format!("cannot fetch {} {}", package.name, package.version))?;
        ensure!(!fetched.is_empty(), "{} {} has none of the expected files", package.name, package.version);
        fetched.sort_by(|a, b| a.path.cmp(&b.path));
        sources.append(&mut fetched);
    }
    Ok(sources)
}

impl Package {
    fn archive(&self) -> Archive {
        Archive { name: self.name, version: self.version, sha256: self.sha256 }
    }

    fn source(&self, path: &str, text: String) -> Option<SourceFile> {
        let is_ours = self.folders.iter().any(|it| path.starts_with(it))
            && (path.ends_with(self.extension) || self.is_further(path))
            && !self.without.contains(&path);
        let has_holes = !self.is_further(path);
        let (package, language) = (self.name, self.language);
        is_ours.then(|| SourceFile { package, language, path: path.to_owned(), text, has_holes })
    }

    fn is_further(&self, path: &str) -> bool {
        !self.also.is_empty() && path.ends_with(self.also)
    }
}

/// Fetches all crates with cargo. Returns the output of `cargo metadata` and the text of Cargo.lock.
fn fetch_crates(folder: &Path) -> Result<(Value, String)> {
    let folder = folder.join("crates");
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    let mut manifest = "[package]\nname = \"corpus\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[workspace]\n\n[dependencies]\n".to_owned();
    for package in PACKAGES.iter().filter(|it| it.registry == Registry::Crates) {
        // Writing to a string cannot fail.
        let _ = writeln!(manifest, "{} = \"={}\"", package.name, package.version);
    }
    fs::write(folder.join("Cargo.toml"), manifest)?;
    let output = cargo(&folder)
        .args(["metadata", "--format-version", "1"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo cannot fetch the crates");
    Ok((serde_json::from_slice(&output.stdout)?, fs::read_to_string(folder.join("Cargo.lock"))?))
}

fn read_crate(package: &Package, (metadata, lock): &(Value, String)) -> Result<Vec<SourceFile>> {
    // Cargo checks an archive against this hash before it unpacks it.
    ensure!(
        lock.contains(&format!("checksum = \"{}\"", package.sha256)),
        "expected SHA-256 {}, got another in Cargo.lock",
        package.sha256
    );
    let manifest = metadata["packages"]
        .as_array()
        .and_then(|it| it.iter().find(|it| it["name"] == package.name))
        .and_then(|it| it["manifest_path"].as_str())
        .context("cargo does not say where it is")?;
    let root = Path::new(manifest).parent().context("a manifest lies in a folder")?;
    let mut sources = Vec::new();
    for folder in package.folders {
        for path in archives::files(&root.join(folder))? {
            let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
            sources.extend(fs::read_to_string(&path).ok().and_then(|it| package.source(&name, it)));
        }
    }
    Ok(sources)
}

fn read_npm(package: &Package, folder: &Path) -> Result<Vec<SourceFile>> {
    let texts = archives::npm(package.archive(), folder)?;
    Ok(texts.into_iter().filter_map(|(path, text)| package.source(&path, text)).collect())
}

fn read_wheel(package: &Package, folder: &Path) -> Result<Vec<SourceFile>> {
    let texts = archives::wheel(package.archive(), folder)?;
    Ok(texts.into_iter().filter_map(|(path, text)| package.source(&path, text)).collect())
}
