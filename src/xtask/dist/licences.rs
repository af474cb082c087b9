//! The licences of everything that is in the program or beside it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::release::write_file;
use crate::cargo;

/// Names of files with licences begin like this.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"];

/// What MLX's wheel brings along from GCC and LAPACK, unchanged.
const LIBRARIES: &str = "\
The libraries in lib/runabout are those of MLX's wheel `mlx-cpu`, unchanged.

libmlx            MIT; see mlx-LICENSE
libblas, liblapack  BSD-3-Clause (the reference BLAS and LAPACK of netlib.org)
libgfortran       GPL-3.0-or-later with the GCC Runtime Library Exception 3.1
libquadmath       LGPL-2.1-or-later

mlx-libraries.cdx.json, from the wheel, says which versions they are and where they come from.
";

/// Writes the licences to a folder.
pub(super) fn write(root: &Path, kit: &Path, to: &Path) -> Result<()> {
    for name in ["LICENSE-MIT", "LICENSE-APACHE", "README.md", "CHANGELOG.md"] {
        let text = fs::read(root.join(name)).with_context(|| format!("cannot read `{name}`"))?;
        write_file(&to.join(name), text)?;
    }
    write_file(&to.join("licences-of-libraries.txt"), LIBRARIES)?;
    let info = fs::read_dir(kit)?
        .flatten()
        .map(|it| it.path())
        .find(|it| it.extension().is_some_and(|it| it == "dist-info"))
        .context("the kit has the wheel's `dist-info`")?;
    for (from, name) in
        [("licenses/LICENSE", "mlx-LICENSE"), ("sboms/auditwheel.cdx.json", "mlx-libraries.cdx.json")]
    {
        let text = fs::read(info.join(from)).with_context(|| format!("MLX's wheel has no `{from}`"))?;
        write_file(&to.join(name), text)?;
    }
    write_file(&to.join("licences-of-crates.txt"), of_crates(root)?)
}

/// The licences of all crates that are linked into the program, each text once.
fn of_crates(root: &Path) -> Result<String> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = cargo::cargo(root)
        .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", &target])
        .output()
        .context("cannot run `cargo metadata`")?;
    ensure!(output.status.success(), "`cargo metadata` failed");
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let linked = linked(&metadata)?;
    let mut list = String::from("The crates that are part of the program, and their licences.\n\n");
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let id = package["id"].as_str().unwrap_or_default();
        // Crates of the workspace have no source.
        if !linked.contains(id) || package["source"].is_null() {
            continue;
        }
        let text = |field: &str| package[field].as_str().unwrap_or("-").to_owned();
        let name = format!("{} {}", text("name"), text("version"));
        let _ = writeln!(list, "{name:<48} {}", text("license"));
        let manifest = text("manifest_path");
        let folder = Path::new(&manifest).parent().context("a manifest is in a folder")?;
        for entry in fs::read_dir(folder)?.flatten() {
            let file = entry.file_name().to_string_lossy().to_uppercase();
            if NAMES.iter().any(|it| file.starts_with(it)) && entry.path().is_file() {
                let text = String::from_utf8_lossy(&fs::read(entry.path())?).replace("\r\n", "\n");
                texts.entry(text.trim().to_owned()).or_default().insert(name.clone());
            }
        }
    }
    for (text, names) in texts {
        let names: Vec<_> = names.into_iter().collect();
        let _ = write!(list, "\n{}\n{}\n\n{text}\n", "=".repeat(78), names.join(", "));
    }
    Ok(list)
}

/// The ids of the packages that `runabout` needs at run time, directly or not.
fn linked(metadata: &Value) -> Result<BTreeSet<String>> {
    let nodes = metadata["resolve"]["nodes"].as_array().context("cargo resolves the dependencies")?;
    let nodes: HashMap<&str, &Value> = nodes.iter().filter_map(|it| Some((it["id"].as_str()?, it))).collect();
    let is_program = |id: &&&str| id.contains("/worker#") || id.contains("/worker)");
    let mut open = vec![*nodes.keys().find(is_program).context("the program is in the workspace")?];
    let mut linked = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !linked.insert(id.to_owned()) {
            continue;
        }
        let dependencies = nodes.get(id).and_then(|it| it["deps"].as_array()).into_iter().flatten();
        open.extend(dependencies.filter(|it| is_normal(it)).filter_map(|it| it["pkg"].as_str()));
    }
    Ok(linked)
}

/// Whether a dependency is more than one of tests or build scripts.
fn is_normal(dependency: &Value) -> bool {
    dependency["dep_kinds"].as_array().into_iter().flatten().any(|it| it["kind"].is_null())
}
