//! `cargo xtask bench parity`: compares tiny models of every architecture with mlx_lm, logit by logit.
//!
//! `tests/parity/models.py` makes the models and computes with mlx_lm; the example `parity_models` of `runabout-mlx`
//! loads and compares them: with MLX's own operations, and with the CPU kernels in float32 and as they compute by
//! default. The tests compare a few stored logits of the same models, without Python.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::peers::fetch;
use crate::cargo::build_release;
use crate::setup;

/// A way to compute.
struct Way {
    title: &'static str,
    /// The value of `RUNABOUT_KERNELS`.
    kernels: Option<&'static str>,
    /// The precision, and the bits of keys and values.
    precision: &'static [&'static str],
    /// Whether all models must agree. With keys and values in float16, an expert that is almost as likely as another
    /// may be used in its place, which changes all logits.
    must_agree: bool,
}

const WAYS: [Way; 3] = [
    Way { title: "MLX's operations", kernels: Some("off"), precision: &[], must_agree: true },
    Way { title: "kernels in float32", kernels: None, precision: &["f32", "32"], must_agree: true },
    Way { title: "kernels by default", kernels: None, precision: &[], must_agree: false },
];

/// A line of the example: the model, and what was found.
struct Line {
    model: String,
    found: String,
}

pub(crate) fn run(root: &Path) -> Result<()> {
    setup::run(root, &setup::Args::default())?;
    let example = ["--package", "runabout-mlx", "--example", "parity_models"];
    let example = build_release(root, &example, "examples/parity_models")?;
    let folder = root.join("target/bench");
    let python = fetch::python(&folder)?;
    let models = folder.join("parity");
    make_models(root, &python, &models)?;

    let (mut columns, mut is_equal) = (Vec::new(), true);
    for way in &WAYS {
        let (lines, succeeded) = compare(&example, &models, way)?;
        columns.push(lines);
        is_equal &= succeeded || !way.must_agree;
    }
    print!("{}", table(&columns)?);
    ensure!(is_equal, "some models differ from mlx_lm\nhint: see the lines marked `differs`");
    Ok(())
}

/// Makes all models anew.
fn make_models(root: &Path, python: &Path, models: &Path) -> Result<()> {
    match fs::remove_dir_all(models) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove `{}`", models.display()));
        }
        _ => {}
    }
    let status = Command::new(python)
        .arg(root.join("tests/parity/models.py"))
        .arg(models)
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{}`", python.display()))?;
    ensure!(status.success(), "mlx_lm cannot make the models\nhint: see the output of models.py");
    Ok(())
}

/// Runs the example, and says whether it found all models equal.
fn compare(example: &Path, models: &Path, way: &Way) -> Result<(Vec<Line>, bool)> {
    let mut command = Command::new(example);
    command.arg(models).args(way.precision).env_remove("RUNABOUT_KERNELS");
    if let Some(kernels) = way.kernels {
        command.env("RUNABOUT_KERNELS", kernels);
    }
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", example.display()))?;
    let lines: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().filter_map(line).collect();
    ensure!(!lines.is_empty(), "the comparison ended with {} and compared nothing", output.status);
    Ok((lines, output.status.success()))
}

/// Reads a line of the example: the model, a tab, and what was found.
fn line(text: &str) -> Option<Line> {
    let (model, found) = text.split_once('\t')?;
    Some(Line { model: model.to_owned(), found: found.replace('\t', " ") })
}

/// One row per model, with a column for each way to compute.
fn table(columns: &[Vec<Line>]) -> Result<String> {
    let first = columns.first().context("there are ways to compute")?;
    let mut rows = vec![("model", WAYS.iter().map(|it| it.title.to_owned()).collect::<Vec<_>>())];
    for (i, line) in first.iter().enumerate() {
        let cells = columns.iter().map(|column| {
            let cell = column.get(i).filter(|it| it.model == line.model);
            cell.map(|it| it.found.clone()).context("every way is compared on the same models")
        });
        rows.push((&line.model, cells.collect::<Result<_>>()?));
    }
    let width = rows.iter().map(|it| it.0.len()).max().unwrap_or_default();
    let cell_width = rows.iter().flat_map(|it| &it.1).map(String::len).max().unwrap_or_default();
    let mut text = String::new();
    for (model, cells) in rows {
        let cells: Vec<_> = cells.iter().map(|it| format!("{it:<cell_width$}")).collect();
        text += format!("{model:<width$}  {}", cells.join("  ")).trim_end();
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_model_has_a_row_with_a_column_for_each_way_to_compute() {
        let column = |error: &str| {
            vec![
                line(&format!("llama\t{error}\t48/48")).unwrap(),
                line("qwen3, untied\t2.0e-6\t47/48\tdiffers").unwrap(),
            ]
        };
        let table = table(&[column("1.0e-6"), column("1.5e-5"), column("1.0e-3")]).unwrap();
        let rows: Vec<Vec<_>> = table.lines().map(|it| it.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["llama", "1.0e-6", "48/48", "1.5e-5", "48/48", "1.0e-3", "48/48"]);
        assert_eq!(rows[2][..5], ["qwen3,", "untied", "2.0e-6", "47/48", "differs"]);
    }

    #[test]
    fn a_model_that_only_one_way_was_compared_on_is_an_error() {
        let columns = ["llama\t1.0e-6\t48/48", "qwen3\t1.0e-6\t48/48"].map(|it| vec![line(it).unwrap()]);
        assert!(table(&columns).is_err());
    }
}
